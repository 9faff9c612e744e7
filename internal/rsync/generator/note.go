package generator

import (
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
)

// drain takes down what the notes say that are there, and reports whether there
// were any. It decides nothing, so that it may be called in the middle of a
// decision; work acts on it.
func (g *run) drain() bool {
	any := false
	for {
		n, ok := g.notes.TryTake()
		if !ok {
			return any
		}
		any = true
		g.take(n)
	}
}

func (g *run) take(n dest.Note) {
	switch n.Kind {
	case dest.PhaseDone:
		g.dones++
		return
	case dest.Ended:
		g.ended = true
		return
	}
	l, f := g.find(n.Index)
	if f == nil || *l.mark(f)&asked == 0 {
		return // of a dry run, or made up by the peer
	}
	m := l.mark(f)
	*m &^= asked
	g.pending--
	g.pendSize -= f.Meta.Size
	switch {
	case n.Kind == dest.Redo && *m&redone == 0:
		g.redos = append(g.redos, f)
		return
	case n.Kind == dest.Installed:
		g.succeed(f, true)
	}
	if g.linked(f) {
		g.landed = append(g.landed, landing{l, f, n.Kind == dest.Installed})
		return
	}
	l.busy--
}

// landing is a name of a set of hard links whose data has come, or will not.
type landing struct {
	l  *list
	f  *flist.File
	ok bool
}

// work does what follows from the notes that were taken down: it links the
// other names of files that are in place, tries another name where one failed,
// and asks again for what was damaged, as soon as the phase allows it.
func (g *run) work() {
	for len(g.landed) > 0 || len(g.redos) > 0 && g.redoes() {
		for len(g.landed) > 0 {
			n := g.landed[0]
			g.landed = g.landed[1:]
			n.l.busy--
			if n.ok {
				g.lead(n.f)
			} else {
				g.grounded(n)
			}
		}
		if len(g.redos) == 0 || !g.redoes() {
			return
		}
		f := g.redos[0]
		g.redos = g.redos[1:]
		l, _ := g.find(f.Index)
		l.busy--
		have, err := g.look(l, f)
		g.decide(l, f, &have, err, attempt{redo: true})
	}
}

// redoes reports whether files may be asked for again: an incremental session
// does it at any time, otherwise there is a phase for it.
func (g *run) redoes() bool { return g.inc || g.state == redoing }

// grounded takes a name that cannot be had from its set; another one is tried.
func (g *run) grounded(n landing) {
	s := g.set(n.f)
	if s.flying == n.f {
		s.flying = nil
	}
	if g.state <= redoing {
		g.elect(s)
	}
}

// mind makes the sender's trouble count that was heard of.
func (g *run) mind() { g.result.IOError |= int(g.notes.Ills()) }
