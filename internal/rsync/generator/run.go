package generator

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// Pacing, none of which is protocol.
const (
	breatheEvery = 64   // entries between two looks at the notes
	fetchAhead   = 4096 // entries of lists that are taken before their turn
	linksKnown   = 500  // entries to wait for with hard links and incremental lists (rsync-filelist 2.5)
)

// run is what main owns.
type run struct {
	ctx   context.Context
	w     *wire.Writer
	p     *Params
	opt   *option.Set
	d     *dest.Dest
	lists *flist.Lists
	notes *dest.Notes
	talk  output.Talk
	scout *scout

	state  state
	timing timing
	inc    bool // lists come directory by directory
	dry    bool // nothing is changed on disk
	data   bool // data is asked for: not -n
	whole  bool // no deltas
	root   bool // we run as root
	shape  flist.Options

	open     []*list // not finished, oldest first
	upcoming []*list // those of them that were not gone through
	current  *list   // the last one of which an entry was gone through
	taken    int     // lists taken so far
	complete bool    // all of them
	steps    int     // entries that were gone through
	kin      *kin    // of the only list

	dirs     map[*flist.File]dirMark
	left     []*list       // those whose directories wait for the end to be told, for --debug=TIME
	touched  []*flist.File // directories to be touched up at the end
	links    map[*flist.LinkGroup]*linkSet
	waiting  int // links that wait for the one that is transferred
	landed   []landing
	redos    []*flist.File
	pending  int   // files whose data was asked for and that no note was about
	pendSize int64 // bytes of them, while sources are removed
	dones    int   // DONEs of the sender that the receiver has read
	ended    bool  // it has read all

	blocks *checksum.Blocks
	signer delta.Signer
	fuzzy  fuzzy
	sweep  sweeper
	saidIO bool // that deletion is off

	fatal  error // from deep below: ends the run at the next stop
	result Result
}

// list is a list that is not finished yet.
type list struct {
	*flist.Received
	marks  []mark // by position in Files
	busy   int    // entries whose outcome is awaited
	passed bool   // gone through
	chunks int    // entries of Order that were given to the scouts
}

// mark says what is under way for an entry.
type mark uint8

const (
	asked  mark = 1 << iota // its data was asked for and has not come
	sent                    // its data was asked for at some time
	redone                  // asked for again
)

// Run decides about all entries of lists and sees the transfer through to the
// goodbye, which it writes. w is past the handshake and the filter list. Errors
// are an *Error, those of the stream, of package flist, or the cause of ctx's
// end. The Result is filled as far as the run came.
func Run(ctx context.Context, w *wire.Writer, p Params, d *dest.Dest, lists *flist.Lists, notes *dest.Notes, talk output.Talk) (Result, error) {
	if err := p.validate(); err != nil {
		return Result{}, err
	}
	o := p.Opt
	g := &run{
		ctx: ctx, w: w, p: &p, opt: o, d: d, lists: lists, notes: notes, talk: talk,
		timing: p.deletion(),
		inc:    p.Compat.Has(wire.IncRecurse),
		dry:    o.DryRun || o.OnlyWriteBatch != "",
		data:   !o.DryRun,
		whole:  o.Append == 0 && o.Whole(p.Local) || p.Xfer == checksum.None,
		root:   os.Geteuid() == 0,
		shape:  flist.Options{Protocol: p.Protocol, Compat: p.Compat, Xattrs: o.Xattrs > 0},
		dirs:   make(map[*flist.File]dirMark),
		links:  make(map[*flist.LinkGroup]*linkSet),
		blocks: p.Xfer.Blocks(p.Seed, p.Compat.Has(wire.ChecksumSeedFix)),
	}
	g.scout = newScout(g)
	err := g.do()
	g.scout.close()
	g.count()
	g.mind()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return g.result, err
}

// do is main.
func (g *run) do() error {
	if g.opt.Debugs(option.DebugGenr, 1) {
		g.text(wire.CodeInfo, fmt.Sprintf("generator starting pid=%d", os.Getpid()))
	}
	if err := g.gather(); err != nil {
		return err
	}
	l, err := g.next()
	if err != nil {
		return err
	}
	if g.timing == before && l != nil && !g.inc {
		g.sweepAll(l)
		g.scout.removals++ // times of directories are not what they were either
	}
	how := "enabled"
	if g.whole {
		how = "disabled for local transfer or --whole-file"
	}
	g.debug(option.DebugFlist, 1, "delta-transmission "+how)
	for l != nil {
		if err := g.pass(l); err != nil {
			return err
		}
		if l, err = g.next(); err != nil {
			return err
		}
	}
	return g.finish()
}

// change is the only place where the state changes.
func (g *run) change(to state) {
	g.state = to
	if to <= closing && to > passing {
		g.debug(option.DebugGenr, 1, fmt.Sprintf("generate_files phase=%d", to))
	}
}

// gather waits for enough entries to know the partners of hard links.
func (g *run) gather() error {
	if !g.inc || !g.opt.HardLinks {
		return nil
	}
	defer g.mind()
	for !g.complete && g.lists.Known() < linksKnown {
		if err := g.idle(true); err != nil {
			return err
		}
		if err := g.fetch(); err != nil {
			return err
		}
	}
	return nil
}

// next is the list whose turn it is, nil after the last one.
func (g *run) next() (*list, error) {
	for {
		if err := g.fetch(); err != nil {
			return nil, err
		}
		if len(g.upcoming) > 0 {
			l := g.upcoming[0]
			g.upcoming = g.upcoming[1:]
			g.result.IOError |= int(l.IOError)
			return l, nil
		}
		if g.complete {
			return nil, nil
		}
		if err := g.idle(true); err != nil {
			return nil, err
		}
	}
}

// fetch takes the lists that are there, as far as the scouts have use for them.
func (g *run) fetch() error {
	ahead := 0
	for _, l := range g.upcoming {
		ahead += len(l.Order)
	}
	for !g.complete && ahead < fetchAhead {
		r, more, err := g.lists.Poll(g.taken)
		switch {
		case err != nil:
			return err
		case more != nil:
			g.scout.submit()
			return nil
		case r == nil:
			g.complete = true
		default:
			l := &list{Received: r, marks: make([]mark, len(r.Files))}
			g.taken++
			g.open = append(g.open, l)
			g.upcoming = append(g.upcoming, l)
			g.scout.add(l)
			ahead += len(r.Order)
		}
		if !g.inc {
			g.complete = true // the only one
		}
	}
	g.scout.submit()
	return nil
}

// pass goes through a list.
func (g *run) pass(l *list) error {
	if g.steps == 0 && (l.Dropped || len(l.Order) > 0 && !l.Order[0].Path.IsRoot()) {
		g.d.Passed()
	}
	if err := g.enter(l); err != nil {
		return err
	}
	for i, f := range l.Order {
		if g.steps++; g.steps%breatheEvery == 0 {
			if err := g.breathe(); err != nil {
				return err
			}
		}
		if err := g.step(l, f, i); err != nil {
			return err
		}
		if g.current != l {
			g.current = l
			g.settle()
		}
	}
	g.scout.leave(l)
	g.current, l.passed = l, true
	if g.p.Batch != nil {
		g.p.Batch.Passed(l.Number)
	}
	g.work()
	g.settle()
	return nil
}

// step is the turn of l.Order[i].
func (g *run) step(l *list, f *flist.File, i int) error {
	switch {
	case f.Dup, g.opt.ListOnly > 0 && g.inc && f.Meta.Kind == tree.Dir:
	case g.opt.ListOnly > 0:
		g.show(f)
	default:
		return g.entry(l, f, i)
	}
	return nil
}

// enter prepares for the entries of a list: what is deleted before, and the
// directory that an incremental list describes.
func (g *run) enter(l *list) error {
	if !g.inc {
		if g.kin == nil {
			g.kin = newKin(l)
		}
		return nil
	}
	if l.Dir != nil && g.opt.ListOnly > 0 {
		g.show(l.Dir)
	} else if l.Dir != nil {
		have, err := g.d.Stat(l.Dir)
		g.directory(l, l.Dir, l.Start-1, &have, err)
	}
	return nil
}

// breathe does what is due now and then while main is busy.
func (g *run) breathe() error {
	if err := cmp.Or(g.ctx.Err(), g.fatal); err != nil {
		return err
	}
	if g.drain() {
		g.work()
		g.settle()
	}
	if g.w.Waiting() {
		return g.w.Flush()
	}
	return g.w.Err()
}

// idle waits for notes, with lists set also for the next list, and acts on
// them.
func (g *run) idle(lists bool) error {
	if err := g.wait(lists); err != nil {
		return err
	}
	g.work()
	g.settle()
	return g.w.Err()
}

// wait is the one place where main waits. What the notes say is taken down, not
// yet acted on.
func (g *run) wait(lists bool) error {
	if err := cmp.Or(g.fatal, g.w.Flush()); err != nil {
		return err
	}
	var more <-chan struct{}
	if lists {
		if _, more, _ = g.lists.Poll(g.taken); more == nil {
			return nil
		}
	}
	for !g.drain() {
		select {
		case <-more:
			return nil
		case <-g.notes.More():
		case <-g.ctx.Done():
			return g.ctx.Err()
		}
	}
	return nil
}

// settle tells the sender about the lists that are finished, oldest first. The
// one that main is busy with is kept until the first entry of its successor was
// gone through, or until it is known to be the last: what that entry spoils in
// the directory of the list before is still put right, as in rsync.
func (g *run) settle() {
	for g.inc && len(g.open) > 0 {
		l := g.open[0]
		if !l.passed || l.busy > 0 || l == g.current && !(g.complete && len(g.upcoming) == 0) {
			return
		}
		g.open = g.open[1:]
		g.done()
		g.leave(l)
	}
}

func (g *run) done() { g.w.Ndx(g.p.Protocol, wire.NDXDone) }

// find is the list that has an index.
func (g *run) find(index int32) (*list, *flist.File) {
	lo, hi := 0, len(g.open)
	for lo < hi {
		if mid := (lo + hi) / 2; g.open[mid].Start <= index {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return nil, nil
	}
	l := g.open[lo-1]
	if i := int(index - l.Start); i < len(l.Files) {
		return l, l.Files[i]
	}
	return nil, nil
}

// mark is what is under way for f.
func (l *list) mark(f *flist.File) *mark { return &l.marks[f.Index-l.Start] }

func (g *run) info(word option.Info) int { return int(g.opt.Info[word]) }

func (g *run) text(code wire.Code, line string) { g.talk.Text(code, line) }

// name is an entry in messages.
func (g *run) name(f *flist.File) string { return printed(g.d.Path(f)) }

func printed(p tree.Path) string {
	if p == tree.Root {
		return "."
	}
	return string(p)
}
