package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/generator"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/receiver"
	"lockstep/internal/rsync/wire"
)

// receive runs the receiving half.
func (e *end) receive(ctx context.Context, arg string) (*output.Stats, error) {
	e.role = "Receiver"
	e.notes, e.lists = dest.NewNotes(), flist.NewLists()
	forwarded, err := e.forwardNames()
	if err != nil {
		return nil, err
	}
	chmod, err := e.chmod()
	if err != nil {
		return nil, err
	}
	dec, err := e.decoder(chmod)
	if err != nil {
		return nil, err
	}
	if e.server {
		e.debug(option.DebugRecv, 1, "server_recv(%d) starting pid=%d", serverWordsLeft, os.Getpid())
	}
	e.announceList()
	before := e.r.Count()
	first, err := e.firstList(dec)
	e.listed = e.r.Count() - before
	if err == nil && forwarded != nil {
		err = forwarded()
	}
	if orphan := (*flist.OrphanError)(nil); errors.As(err, &orphan) {
		e.role = "generator" // which finds it out in rsync
		err = fatalf(ExitProtocol, "ABORTING due to invalid path from sender: %s", orphan.Path)
	}
	if err != nil {
		return nil, err
	}
	if len(first.Files) == 0 && !e.server {
		return e.emptyStats(), nil // the server has gone (rsync-filelist 2.6)
	}
	e.updating = true
	if e.opt.ListOnly > 0 {
		arg = "." // nothing is done there
	}
	e.debug(option.DebugRecv, 1, "get_local_name count=%d %s", e.lists.Known(), arg)
	d, err := dest.Open(dest.Params{
		Opt: e.opt, Protocol: e.protocol, Talk: e.talk, Sets: e.lists.Xattrs(), XattrRules: e.rules,
		Module: e.module(), File: e.file, Chmod: chmod, Modes: e.host != nil && e.host.LogsModes,
	}, arg, dest.List{Entries: e.lists.Known(), First: firstOf(first)})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if e.pulse != nil {
		go e.pulse.keepAlive()
	}
	return e.update(ctx, d, dec)
}

func firstOf(r *flist.Received) *flist.File {
	for _, f := range r.Order {
		if !f.Dup {
			return f
		}
	}
	return nil
}

// decoder reads the lists of this session, and changes the modes in them.
func (e *end) decoder(chmod *option.Chmod) (*flist.Decoder, error) {
	opt := e.opt
	o := flist.Options{
		Protocol: e.protocol, Compat: e.compat,
		Owner: opt.Owner, Group: opt.Group, Links: opt.Links, Devices: opt.Devices, Specials: opt.Specials,
		HardLinks: opt.HardLinks, ACLs: opt.ACLs, Xattrs: opt.Xattrs > 0, NumericIDs: opt.NumericIDs,
		Atimes: opt.Atimes > 0, Crtimes: opt.Crtimes, Local: e.local,
	}
	if e.charset != nil {
		o.Iconv, o.Convert = true, e.charset.fromWire
	}
	if opt.Checksum {
		o.SumLen = e.file.Size()
	}
	warn := func(text string) { e.talk.Text(wire.CodeWarning, text) }
	var names flist.Directory
	numeric := opt.NumericIDs
	if e.host != nil {
		names, numeric = e.host.Names, numeric || e.host.Numeric
	}
	ids, err := flist.NewIDMap(flist.IDOptions{
		Names:   names,
		UserMap: opt.UserMap, GroupMap: opt.GroupMap, Numeric: numeric, Super: os.Geteuid() == 0 || opt.Super > 0, Warn: warn,
	})
	if err != nil {
		return nil, fatalf(ExitSyntax, "%s", err)
	}
	var change func(*flist.File)
	if chmod != nil {
		change = func(f *flist.File) { f.Meta.Perm = uint16(chmod.Apply(f.Meta.Mode()) & tree.PermMask) }
	}
	accept, err := e.acceptNames()
	if err != nil {
		return nil, err
	}
	receive := flist.Receive{
		Relative: opt.Relative, DeleteMissing: opt.DeleteMissingArgs, Prune: opt.PruneEmptyDirs && !e.incremental(),
		Keep: e.namedDir, IDs: ids, Accept: accept, Change: change, Warn: e.talk.Text, MaxAlloc: opt.MaxAlloc,
		Arrived: e.listArrived, Duplicate: e.tellDuplicate,
	}
	if e.opt.Debugs(option.DebugOwn, debugMapped) {
		receive.Mapped = e.idMapped
	}
	return flist.NewDecoder(e.r, o, receive)
}

// tellDuplicate says which entry counts no more.
func (e *end) tellDuplicate(p tree.Path, index int32) {
	e.debug(option.DebugDup, 1, "removing duplicate name %s from file list (%d)", listedName(p), index)
}

func (e *end) incremental() bool { return e.compat.Has(wire.IncRecurse) }

// namedDir reports whether a filter rule of this side names an empty directory,
// which --prune-empty-dirs then keeps.
func (e *end) namedDir(dir tree.Path) bool {
	return e.scope().Protected(dir, true)
}

// announceList says that the list is coming.
func (e *end) announceList() {
	e.talk.Text(wire.CodeLog, "receiving file list")
	switch {
	case e.server || e.opt.Info[option.InfoFlist] == 0:
	case e.incremental():
		e.talk.Text(wire.CodeClient, "receiving incremental file list\n")
	case e.opt.Dirs:
		e.talk.Text(wire.CodeClient, "receiving file list ... ")
	}
}

// announceArrival says that the only list is there.
func (e *end) announceArrival(files int) {
	switch {
	case e.server || e.incremental() || !e.opt.Dirs || e.opt.Info[option.InfoFlist] == 0:
	case e.opt.Info[option.InfoFlist] > 1:
		plural := "s"
		if files == 1 {
			plural = ""
		}
		e.talk.Text(wire.CodeClient, fmt.Sprintf("%d file%s to consider\n", files, plural))
	default:
		e.talk.Text(wire.CodeClient, "done\n")
		e.talk.Text(wire.CodeLog, "done")
	}
}

// firstList reads as much of the lists as decides about the destination
// (rsync-transfer 4.0): with incremental recursion and a single entry that is
// the second list, too.
func (e *end) firstList(dec *flist.Decoder) (*flist.Received, error) {
	first, err := dec.First()
	if err != nil {
		return nil, err
	}
	e.tellFirst()
	e.lists.Add(first)
	e.ioError.Or(first.IOError & ioBits)
	first.IOError = e.ioError.Load() // with messages that came in its midst
	if !e.incremental() || len(first.Files) > 1 {
		return first, nil
	}
	ndx, err := e.r.Ndx(e.protocol)
	switch {
	case err != nil:
		return nil, err
	case ndx == wire.NDXFlistEOF:
		dec.EndOfLists()
		e.debug(option.DebugFlist, debugKept, "[%s] flist_eof=1", e.role)
		e.lists.End(nil)
		return first, nil
	case ndx > wire.NDXFlistOffset:
		return nil, fmt.Errorf("index %d instead of a file list: %w", ndx, flist.ErrProtocol)
	}
	sub, err := dec.Sub(wire.NDXFlistOffset - ndx)
	if err != nil {
		return nil, err
	}
	e.debug(option.DebugFlist, debugKept, "[%s] receiving flist for dir %d", e.role, wire.NDXFlistOffset-ndx)
	e.tellFirst()
	e.lists.Add(sub)
	first.IOError |= sub.IOError
	return first, nil
}

// scope is the filter rules of this side for the destination.
func (e *end) scope() *filter.Scope {
	return e.rules.ScopeAt(filter.Place{DeleteExcluded: e.opt.DeleteExcluded})
}

// update runs generator and receiver to the goodbye.
func (e *end) update(ctx context.Context, d *dest.Dest, dec *flist.Decoder) (*output.Stats, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		decided generator.Result
		got     receiver.Result
		errs    [2]error
		both    sync.WaitGroup
	)
	var first sync.Once // the role that fails first is the one that failed: the other is called off
	e.role = "generator"
	params := e.generatorParams(d)
	d.Protect(params.Kept)
	failed := func(role string, err error) {
		if err != nil {
			first.Do(func() { e.role = role })
			cancel(err)
		}
	}
	both.Go(func() {
		decided, errs[0] = generator.Run(ctx, e.w, params, d.As("generator"), e.lists, e.notes, e.talk)
		failed("generator", errs[0])
	})
	got, errs[1] = receiver.Run(ctx, e.r, e.receiverParams(), d.As("receiver"), dec, e.lists, e.notes, e.talk)
	failed("receiver", errs[1])
	both.Wait()
	e.ioError.Or(int32(decided.IOError) | got.IOError)
	if errs[0] == nil && errs[1] == nil {
		return e.receiverStats(&decided, &got), nil
	}
	return e.receiverStats(&decided, &got), cmp.Or(context.Cause(ctx), errors.Join(errs[:]...))
}

func (e *end) generatorParams(d *dest.Dest) generator.Params {
	p := generator.Params{
		Opt: e.opt, Protocol: e.protocol, Compat: e.compat, Seed: e.seed, Xfer: e.xfer,
		Server: e.server, Local: e.local, Scope: e.destScope(d),
	}
	if e.host != nil {
		p.Refused, p.Readable = e.host.refusedBelow(d.Dir()), e.host.Readable
	}
	if e.reading != nil {
		p.Batch = e.reading
	}
	if e.other != nil {
		p.Succeeded = e.other.delivered
	}
	return p
}

// destScope is the rules with the merge files of the destination, where those of
// its top count only if that is listed itself.
func (e *end) destScope(d *dest.Dest) *filter.Scope {
	if e.rules == nil {
		return nil
	}
	top := firstOf(e.lists.Oldest())
	place := filter.Place{
		Root: d.Dir(), DeleteExcluded: e.opt.DeleteExcluded, Unlisted: top == nil || !top.Path.IsRoot(), ReadAbove: e.readAbove,
	}
	if root := d.Root(); root != nil {
		place.Read = e.mergeReader(root.Reader())
	}
	return e.rules.ScopeAt(place)
}

func (e *end) receiverParams() receiver.Params {
	p := receiver.Params{
		Opt: e.opt, Protocol: e.protocol, Compat: e.compat, Seed: e.seed, Xfer: e.xfer, Compress: e.compress,
		File: e.file, Server: e.server, Batch: e.reading, Interrupt: e.link.interrupt,
	}
	if e.tellsLists() {
		p.Listed = e.tellLists
	}
	return p
}

// receiverStats are the numbers of a run as a receiving side knows them.
func (e *end) receiverStats(decided *generator.Result, got *receiver.Result) *output.Stats {
	s := &output.Stats{
		Files: got.Files, Created: got.Created, Deleted: decided.Deleted,
		Transferred: got.Transferred, TotalSize: got.TotalSize, TransferredSize: got.TransferredSize,
		Literal: got.Literal, Matched: got.Matched, ListSize: e.listed + got.ListSize,
		Sent: e.w.Count(), Received: e.r.Count(), Protocol: e.protocol,
	}
	if peer := got.Peer; peer != nil {
		s.Sent, s.Received, s.TotalSize = peer.Read, peer.Written, peer.TotalSize
		s.ListBuild, s.ListSend = peer.ListBuild, peer.ListSend
	}
	return s
}

// emptyStats are those of a session in which there was nothing to list.
func (e *end) emptyStats() *output.Stats {
	return &output.Stats{Sent: e.w.Count(), Received: e.r.Count(), Protocol: e.protocol}
}
