package flist

import (
	"bytes"
	"fmt"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/wire"
)

// maxNsec is the most nanoseconds that a time can have.
const maxNsec = 999_999_999

// entry reads one entry (section 1.4) and adds it to the list.
func (d *Decoder) entry(flags uint32) {
	d.readName(flags)
	f := d.store.file()
	ref, inList := d.readReference(flags)
	if inList {
		d.copyLinked(f, ref)
	} else {
		d.readFields(flags, f)
	}
	if d.in.err != nil {
		return
	}
	d.join(flags, f, ref)
	if d.opts.ACLs && f.Meta.Kind != tree.Symlink {
		access, initial := d.readACL(&d.access, true), int32(0)
		if f.Meta.IsDir() {
			initial = d.readACL(&d.initial, false)
		}
		if access|initial != 0 {
			f.Own().access, f.Own().initial = access, initial
		}
	}
	if d.opts.Xattrs {
		f.Xattrs = d.readXattrs()
	}
	if d.in.err != nil {
		return
	}
	d.directoryFlags(flags, f)
	d.identify(f)
	if d.recv.Change != nil && !inList && f.Meta.Kind != tree.Symlink && f.Meta.Exists() {
		d.recv.Change(f)
	}
	d.add(f)
}

// readFields reads items 6 to 17 of an entry.
func (d *Decoder) readFields(flags uint32, f *File) {
	in, m := &d.in, &f.Meta
	m.Size = d.readSize()
	d.readTimes(flags, f)
	if flags&flagSameMode == 0 {
		d.prev.mode = uint32(in.int()) & 0xffff
	}
	d.readKind(m)
	if d.opts.Atimes && !m.IsDir() {
		if flags&flagSameAtime == 0 {
			d.prev.atime = in.varlong(4)
		}
		f.Own().Atime.Sec = d.prev.atime
	}
	d.readOwners(flags, m)
	d.readRdev(flags, f)
	if m.Kind == tree.Symlink && d.opts.Links {
		d.readTarget(f)
	}
	if d.opts.Protocol < 30 {
		d.readInode(flags, f)
	}
	d.readSum(f)
}

func (d *Decoder) readSize() int64 {
	var size int64
	if d.opts.Protocol >= 30 {
		size = d.in.varlong(3)
	} else {
		size = d.in.longint()
	}
	if size < 0 {
		d.in.failf(ErrUnsafe, "size %d", size)
	}
	return size
}

// readTimes reads the modification and creation times.
func (d *Decoder) readTimes(flags uint32, f *File) {
	in := &d.in
	if flags&flagSameTime == 0 {
		if d.opts.Protocol >= 30 {
			d.prev.mtime = in.varlong(4)
		} else {
			d.prev.mtime = int64(uint32(in.int()))
		}
	}
	f.Meta.sec = d.prev.mtime
	if flags&flagNsec != 0 && d.opts.Protocol >= 31 {
		nsec := in.varint()
		if nsec < 0 || nsec > maxNsec {
			in.failf(ErrProtocol, "%d nanoseconds", nsec)
		}
		f.Meta.nsec = uint32(nsec)
	}
	switch {
	case !d.opts.Crtimes:
	case flags&flagCrtimeSame != 0:
		f.Own().Crtime.Sec = f.Meta.sec
	default:
		f.Own().Crtime.Sec = in.varlong(4)
	}
}

// readKind makes the mode in the delta state that of m.
func (d *Decoder) readKind(m *Meta) {
	if d.in.err != nil {
		return
	}
	mode := d.prev.mode
	kind, ok := tree.KindOfMode(mode)
	switch {
	case mode == 0 && d.recv.DeleteMissing:
		kind = tree.Missing
	case mode == 0:
		d.in.failf(ErrProtocol, "mode 0 without --delete-missing-args")
	case !ok:
		d.in.failf(ErrProtocol, "mode %#o", mode)
	}
	m.Kind, m.Perm = kind, uint16(mode&tree.PermMask)
	if kind.IsDevice() || kind.IsSpecial() {
		m.Size = 0
	}
}

// readOwners reads the ids of the sender; mapIDs replaces them.
func (d *Decoder) readOwners(flags uint32, m *Meta) {
	in := &d.in
	names := d.opts.Protocol >= 30
	if d.opts.Owner {
		if flags&flagSameUID == 0 {
			d.prev.uid = uint32(in.int30())
			if names && flags&flagUserName != 0 {
				d.users.set(d.prev.uid, in.shortName())
			}
		}
		m.UID = d.prev.uid
	}
	if d.opts.Group {
		if flags&flagSameGID == 0 {
			d.prev.gid = uint32(in.int30())
			if names && flags&flagGroupName != 0 {
				d.groups.set(d.prev.gid, in.shortName())
			}
		}
		m.GID = d.prev.gid
	}
}

// readRdev reads a device number (section 1.7).
func (d *Decoder) readRdev(flags uint32, f *File) {
	in, m := &d.in, &f.Meta
	if !d.opts.hasRdev(m.Kind) {
		if d.opts.Protocol == 27 && !m.Kind.IsDevice() && !m.Kind.IsSpecial() {
			d.prev.rdev = 0
		}
		return
	}
	var major, minor uint32
	switch {
	case d.opts.Protocol == 27:
		if flags&flagSameRdev27 == 0 {
			d.prev.rdev = uint32(in.int())
		}
		major, minor = d.prev.rdev>>8&0xfff, d.prev.rdev&0xff|d.prev.rdev>>12&0xfff00
	default:
		if flags&flagSameMajor == 0 {
			d.prev.major = uint32(in.int30())
		}
		major = d.prev.major
		if flags&flagMinor8 != 0 && d.opts.Protocol < 30 {
			minor = uint32(in.byte())
		} else {
			minor = uint32(in.int30())
		}
	}
	if m.Kind.IsDevice() {
		f.Own().Major, f.Own().Minor = major, minor
	}
}

// readTarget reads what a symlink points at. One that cannot be converted makes
// the entry one that only holds its place.
func (d *Decoder) readTarget(f *File) {
	n := d.in.count("length of a symlink's target", maxTarget)
	if d.in.err == nil && n == 0 {
		d.in.failf(ErrProtocol, "symlink without a target")
	}
	target := d.in.bytes(n)
	if bytes.IndexByte(target, 0) >= 0 {
		d.in.failf(ErrProtocol, "symlink's target with a NUL byte")
	}
	if d.opts.Convert != nil && d.opts.Compat&wire.SymlinkIconv != 0 && d.in.err == nil {
		converted, err := d.opts.Convert(target)
		if err == nil && (len(converted) == 0 || len(converted) > maxTarget || bytes.IndexByte(converted, 0) >= 0) {
			err = errNoName
		}
		if err != nil {
			d.drop(f, fmt.Sprintf("[Receiver] cannot convert symlink data for: \"%s\" (%v)", d.name, err))
		}
		target = converted
	}
	f.Own().Target = string(target)
}

// drop makes f an entry that only holds its place, with an error to report.
func (d *Decoder) drop(f *File, why string) {
	f.Dup = true
	d.list.ioError |= ioErrorGeneral
	d.list.dropped = true
	d.recv.Warn(wire.CodeErrorXfer, why)
}

// readSum reads the -c checksum.
func (d *Decoder) readSum(f *File) {
	if !d.opts.hasSum(f.Meta.Kind) {
		return
	}
	sum := d.in.bytes(d.opts.SumLen)
	if f.Meta.Kind == tree.File {
		f.Own().Sum = sum
	}
}
