package session

import (
	"context"
	"os"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/sender"
)

// send runs the sending half.
func (e *end) send(ctx context.Context, args []string) (*output.Stats, error) {
	e.role = "sender"
	if e.server {
		e.debug(option.DebugSend, 1, "server_sender starting pid=%d", os.Getpid())
	}
	names, err := e.listedNames()
	if err != nil {
		return nil, err
	}
	src := sender.Sources{Args: args, Rules: e.rules}
	if names != nil {
		defer names.close()
		src.Names = names.next
	}
	if err := e.sourcePlace(&src); err != nil {
		return nil, err
	}
	defer src.Place.Close()
	p := sender.Params{
		Opt: e.opt, Protocol: e.protocol, Compat: e.compat, Seed: e.seed,
		Xfer: e.xfer, File: e.file, Compress: e.compress, Level: e.level,
		Talk: e.talk, Server: e.server, Local: e.local, Succeeded: &e.succeeded, Interrupt: e.link.interrupt,
	}
	if e.charset != nil {
		p.Iconv, p.Convert = true, e.charset.toWire
	}
	if e.host != nil {
		p.Module, p.Daemon = e.host.Module, true
		p.Names = &flist.Names{From: e.host.known()}
	}
	if e.batch != nil {
		p.Only, p.Record = e.batch.only(e.opt), e.batch.data
	}
	if p.Chmod, err = e.chmod(); err != nil {
		return nil, err
	}
	result, err := sender.Run(ctx, e.r, e.w, p, sender.Job{Sources: &src})
	stats := e.senderStats(&result)
	e.ioError.Or(int32(result.IOError))
	return stats, err
}

// sourcePlace opens the place where source arguments begin.
func (e *end) sourcePlace(src *sender.Sources) error {
	var err error
	if e.host != nil {
		src.Place, err = walk.OpenModule(e.host.Dir)
		src.Guard, src.Readable = e.host.Guard.ScopeAt(filter.Place{}), e.host.Readable
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	src.Name = dir
	src.Place, err = walk.OpenPlace(".") // which may be all of it that can be searched
	return err
}

// chmod is the change of modes that this side makes.
func (e *end) chmod() (*option.Chmod, error) {
	if e.server && e.host == nil || len(e.opt.Chmod) == 0 {
		return nil, nil
	}
	return option.ParseChmod(e.opt.Chmod, dest.Umask())
}

// senderStats are the numbers of a run as a sender knows them.
func (e *end) senderStats(r *sender.Result) *output.Stats {
	return &output.Stats{
		Files: r.Counts, Created: r.Created,
		Deleted:     output.Counts{Reg: r.DelStats.Files, Dir: r.DelStats.Dirs, Link: r.DelStats.Symlinks, Dev: r.DelStats.Devices, Special: r.DelStats.Specials},
		Transferred: r.Transferred, TotalSize: r.TotalSize, TransferredSize: r.TransferredSize,
		Literal: r.Literal, Matched: r.Matched,
		ListSize: r.ListSize, ListBuild: r.ListBuild, ListSend: r.ListSend,
		Sent: r.Written, Received: r.Read + e.unsent.Load(), Protocol: e.protocol,
	}
}
