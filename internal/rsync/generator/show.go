package generator

import (
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// show prints the line of an entry (--list-only).
func (g *run) show(f *flist.File) {
	style := output.ListStyle{Human: g.opt.HumanReadable, Links: g.opt.Links, Atimes: g.opt.Atimes > 0}
	g.text(wire.CodeInfo, style.Line(&output.Listed{Name: printed(f.Path), Meta: f.Full(), Target: g.d.Target(f), Atime: f.Extra().Atime}))
}
