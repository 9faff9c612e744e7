package receiver

import (
	"fmt"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// maxXname is the longest name in an echo, in bytes, as of any path.
const maxXname = 4095

// echo is the head of the sender's answer: what the generator had asked for or
// reported (1.3).
//
//	ndx
//	short iflags             from protocol 29 on; before, every echo is a transfer
//	[byte basis]             BASIS_TYPE_FOLLOWS
//	[vstring xname]          XNAME_FOLLOWS
//	[attribute values]       see hasXattrs
type echo struct {
	index int32
	flags wire.Item
	basis wire.Basis
	xname string
	file  *flist.File
	redo  bool
}

// item reads an echo and what follows it.
func (m *run) item(ndx int32) error {
	e := echo{index: ndx, flags: wire.ItemTransfer | wire.ItemMissingDetails, basis: wire.BasisFile}
	if m.params.Protocol >= itemFlagsMin {
		if err := m.header(&e); err != nil {
			return err
		}
		if m.isKeepAlive(&e) {
			return nil
		}
	}
	var err error
	if e.file, err = m.lists.Find(ndx); err != nil {
		return protocolError(ndx, err)
	}
	m.meter.echo(m, ndx)
	m.meet(&e)
	if m.hasXattrs(&e) {
		if err := m.lists.Xattrs().Answer(m.r, e.file.Xattrs); err != nil {
			return err
		}
	}
	e.redo = m.redos.has(ndx)
	if e.flags&wire.ItemTransfer == 0 {
		if m.hasXattrs(&e) {
			_ = m.dest.SetXattrs(e.file) // it told what it could not do
		}
		m.created(&e)
		m.talk.Item(m.event(&e), false)
		return nil
	}
	return m.transfer(&e)
}

// created counts what is new at the destination.
func (m *run) created(e *echo) {
	if e.flags&wire.ItemNew != 0 && !e.redo {
		add(&m.result.Created, e.file.Meta.Kind)
	}
}

// header reads item flags and what they announce.
func (m *run) header(e *echo) error {
	flags, err := m.r.Short()
	if err != nil {
		return err
	}
	e.flags = wire.Item(flags)
	if e.flags&wire.ItemBasisFollows != 0 {
		b, err := m.r.Byte()
		if err != nil {
			return err
		}
		e.basis = wire.Basis(b)
		if e.basis >= wire.BasisFuzzy && m.params.Opt.Fuzzy == 0 {
			return &Error{Code: codeProtocol, Text: fmt.Sprintf("invalid basis type %#x: no --fuzzy [receiver]", b)}
		}
	}
	if e.flags&wire.ItemXnameFollows != 0 {
		e.xname, err = m.r.VString(maxXname)
	}
	return err
}

// isKeepAlive recognizes the keep-alive of protocol 29: the index after the last
// one, and the flag of a new item alone (1.3).
func (m *run) isKeepAlive(e *echo) bool {
	return m.params.Protocol == 29 && e.flags == wire.ItemNew && int(e.index) == m.lists.Known()
}

// hasXattrs reports whether values of attributes follow that were asked for.
func (m *run) hasXattrs(e *echo) bool {
	opt := m.params.Opt
	if opt.Xattrs == 0 || opt.DryRun || e.flags&wire.ItemXattr == 0 || m.lists.Xattrs() == nil {
		return false
	}
	const link = wire.ItemXnameFollows | wire.ItemLocalChange
	shortcut := m.params.Protocol >= xattrShortcut && !m.params.Compat.Has(wire.AvoidXattrOptim)
	return !shortcut || e.flags&link != link
}

// showsDigests reports whether the formats have digests: not those that protocols
// below 30 use by themselves.
func (m *run) showsDigests() bool { return m.params.Xfer != checksum.MD4Old }

// event is an echo for the formats of 5.3.
func (m *run) event(e *echo) *output.Event {
	f := e.file
	v := &output.Event{
		Flags: e.flags, Path: f.Path, Meta: f.Full(), Target: m.dest.Target(f),
		Digits: 2 * m.params.Xfer.Size(), NoGroup: !m.dest.KeepsGroup(f.Meta.GID),
	}
	if m.params.Opt.Checksum && m.showsDigests() {
		v.Digits, v.Digest = 2*m.params.File.Size(), m.params.File.Hex(f.Extra().Sum)
	}
	if e.flags&wire.ItemTransfer == 0 && e.flags&wire.ItemXnameFollows != 0 {
		v.Leader, v.HasXname = e.xname, true
	}
	return v
}
