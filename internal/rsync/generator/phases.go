package generator

import (
	"cmp"
	"fmt"

	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// finish does what comes after the last entry (rsync-transfer 1.8).
//
// The sender takes no item report after the last DONE of a phase for granted:
// rsync 3.5.0 dies of one. So links that wait for a file that is asked for again
// are made before that DONE is written.
func (g *run) finish() error {
	if err := g.drainPasses(); err != nil {
		return err
	}
	lists := g.taken
	g.change(redoing)
	if !g.inc {
		g.done() // D0
	}
	if err := g.until(func() bool { return g.dones >= lists && len(g.redos) == 0 && !g.mayLand() }); err != nil {
		return err
	}
	g.done() // D1
	g.change(delayed)
	if err := g.afterRedo(lists); err != nil {
		return err
	}
	g.change(closing)
	if g.timing.late() {
		if err := g.until(func() bool { return g.dones >= g.phasesEnd(lists) }); err != nil {
			return err
		}
		g.deleteLate()
		if g.p.Protocol >= 31 {
			g.deletions()
			g.done() // D3
		}
	}
	g.change(farewell)
	if err := g.until(func() bool { return false }); err != nil {
		return err
	}
	g.touchAll()
	g.limitReached()
	g.done() // goodbye
	g.change(finished)
	return g.w.Flush()
}

// drainPasses waits until all incremental lists are finished, which includes
// what has to be asked for again. The DONE of the last one is D0.
func (g *run) drainPasses() error {
	g.work()
	g.settle()
	if !g.inc {
		return nil
	}
	return g.until(func() bool { return len(g.open) == 0 })
}

// mayLand reports whether a set of hard links waits for a file that is under
// way, and the receiver will tell how that ends before the next phase: below
// protocol 30 it does not hear of files that are not sent, and delayed updates
// have a phase of their own.
func (g *run) mayLand() bool {
	return g.waiting > 0 && g.pending > 0 && g.p.Protocol >= 30 && !g.opt.DelayUpdates
}

// afterRedo writes D2 and, unless deletion is late, the statistics of deletions
// and D3, as early as what is still to be reported allows.
func (g *run) afterRedo(lists int) error {
	early := g.p.Protocol >= 31 && !g.timing.late()
	if g.opt.DelayUpdates || g.waiting > 0 {
		if early {
			g.deletions()
		}
		if err := g.until(func() bool { return g.dones >= lists+1 }); err != nil {
			return err
		}
		if g.p.Protocol >= 29 {
			g.done() // D2
		}
		if early {
			g.done() // D3
		}
		return nil
	}
	if g.p.Protocol >= 29 {
		g.done() // D2
	}
	if early {
		g.deletions()
		g.done() // D3
	}
	return nil
}

// phasesEnd is how many DONEs the sender writes for all lists and phases.
func (g *run) phasesEnd(lists int) int {
	if g.p.Protocol < 29 {
		return lists + 1
	}
	return lists + 2
}

// until goes on working on notes until there is nothing more to wait for, or
// the receiver has read everything.
func (g *run) until(ready func() bool) error {
	for {
		g.drain()
		g.work()
		g.settle()
		if ready() || g.ended {
			return cmp.Or(g.fatal, g.w.Err())
		}
		if err := g.wait(false); err != nil {
			return err
		}
	}
}

// deletions sends the statistics of deletions.
func (g *run) deletions() {
	if !g.tallies() {
		return
	}
	g.w.Ndx(g.p.Protocol, wire.NDXDelStats)
	for _, n := range g.d.DeleteCounts() {
		g.w.Varint(min(n, maxDeleted))
	}
}

// tallies reports whether the statistics have deletions: not those of missing
// arguments alone.
func (g *run) tallies() bool { return g.timing != never || g.opt.Force }

// maxDeleted is the most that a count of deletions may be on the wire.
const maxDeleted = 1 << 28

// limitReached tells of deletions that --max-delete prevented.
func (g *run) limitReached() {
	if n := g.d.LimitSkipped(); n > 0 {
		g.text(wire.CodeWarning, fmt.Sprintf("Deletions stopped due to --max-delete limit (%d skipped)", n))
		g.result.IOError |= ioDeleteLimit
	}
	g.debug(option.DebugGenr, 1, "generate_files finished")
}

// count fills in the Result.
func (g *run) count() {
	if g.d == nil || !g.tallies() {
		return
	}
	n := g.d.DeleteCounts()
	g.result.Deleted = output.Counts{Reg: int(n[0]), Dir: int(n[1]), Link: int(n[2]), Dev: int(n[3]), Special: int(n[4])}
}
