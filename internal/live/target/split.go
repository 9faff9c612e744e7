package target

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/session"
)

// A full pass over a large tree runs as several sessions, each over some of the
// subdirectories of one directory: a receiving rsync works on one processor and
// waits for its disk, two get on better. What belongs to a session is said by
// filter rules at both ends, so that each deletes among its own only.
const (
	// passSessions is how many sessions a pass has at a time. A daemon with
	// "max connections" must have room for others.
	passSessions = 2
	// passParts is how many parts there are at most, so that a large one may be
	// offset by small ones.
	passParts = 8
	// splitWorth is from how many entries on more than one session pays.
	splitWorth = 5000
	// A daemon that has no room for another connection is asked again so often,
	// after this time.
	roomTries = 40
	roomWait  = 50 * time.Millisecond
	// maxProbe bounds the directories read to find that out.
	maxProbe = 500
)

// part is what one session of a full pass is about.
type part struct {
	rules *filter.Rules // ahead of the user's; nil is everything
	above int           // directories that the first part lists too
	later bool          // not the first: nothing new is learned from how it goes
}

// split cuts a pass over root into parts, the first of which has to be done
// before the others are begun. One part is the whole tree.
func split(ctx context.Context, root *walk.Root, hidden func(p tree.Path, isDir bool) bool) []part {
	whole := []part{{}}
	if !large(ctx, root) {
		return whole
	}
	at, dirs := fork(root, hidden)
	prefix, bytes := buckets(dirs)
	if len(bytes) < 2 {
		return whole
	}
	base := "/"
	if !at.IsRoot() {
		base = "/" + string(at) + "/"
	}
	pattern := func(class string) string { return base + prefix + "[" + class + "]*/" }
	var parts []part
	add := func(rules ...string) {
		var b filter.Builder
		for _, rule := range rules {
			if err := b.Filter(rule); err != nil {
				return // a name that is no good in a rule: see plain
			}
		}
		r, err := b.Rules(filter.Implied{})
		if err == nil {
			parts = append(parts, part{rules: r, above: at.Depth() + 1, later: len(parts) > 0})
		}
	}
	var all []byte
	for _, b := range bytes {
		all = append(all, b.first)
	}
	add("- " + pattern(string(all)))
	for _, class := range share(bytes, passParts) {
		rules := []string{"+ " + pattern(class)}
		rest := []string{"- " + base + "*"}
		for up := at; !up.IsRoot(); up = up.Parent() {
			rules = append(rules, "+ /"+string(up)+"/")
			if dir := up.Parent(); dir.IsRoot() {
				rest = append(rest, "- /*")
			} else {
				rest = append(rest, "- /"+string(dir)+"/*")
			}
		}
		add(append(rules, rest...)...)
	}
	if len(parts) < 3 {
		return whole
	}
	return parts
}

// large reports whether there are many entries below root.
func large(ctx context.Context, root *walk.Root) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var entries, dirs atomic.Int64
	_ = root.Walk(ctx, tree.Root, walk.Visitor{Dir: func(_ tree.Path, _ tree.Meta, found []tree.Entry, _ error) {
		if entries.Add(int64(len(found))) >= splitWorth || dirs.Add(1) >= maxProbe {
			cancel()
		}
	}})
	return entries.Load() >= splitWorth
}

// fork is the topmost directory with several subdirectories, and their names.
// Only names that mean nothing else in a rule count.
func fork(root *walk.Root, hidden func(p tree.Path, isDir bool) bool) (at tree.Path, dirs []string) {
	for {
		entries, err := root.ReadDir(at)
		if err != nil {
			return at, nil
		}
		dirs = dirs[:0]
		for _, e := range entries {
			if e.Meta.IsDir() && plain(e.Name) && !hidden(at.Join(e.Name), true) {
				dirs = append(dirs, e.Name)
			}
		}
		if len(dirs) != 1 {
			return at, dirs
		}
		at = at.Join(dirs[0])
	}
}

// plain reports whether name is made of letters, digits, '.' and '_' alone.
func plain(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_'
	})
}

// bucket is the names that have some byte after what all have in common.
type bucket struct {
	first byte
	names int
}

// buckets groups sorted names by the first byte in which they differ. A name
// that ends before it is in none.
func buckets(names []string) (prefix string, out []bucket) {
	if len(names) < 2 {
		return "", nil
	}
	a, b := names[0], names[len(names)-1]
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for _, name := range names {
		if len(name) == n {
			continue
		}
		if last := len(out) - 1; last >= 0 && out[last].first == name[n] {
			out[last].names++
		} else {
			out = append(out, bucket{name[n], 1})
		}
	}
	return a[:n], out
}

// share deals buckets out to at most n classes of about as many names each.
func share(buckets []bucket, n int) []string {
	buckets = slices.Clone(buckets)
	slices.SortStableFunc(buckets, func(a, b bucket) int { return b.names - a.names })
	n = min(n, len(buckets))
	classes, load := make([]string, n), make([]int, n)
	for _, b := range buckets {
		least := slices.Index(load, slices.Min(load))
		classes[least] += string(b.first)
		load[least] += b.names
	}
	return classes
}

// parting is a full pass of several sessions.
type parting struct {
	*run
	parts []part
	todo  chan int

	mu      sync.Mutex // guards what follows, and the report
	totals  []Progress
	left    int // parts not done
	workers int
	err     error
	cancel  func()
}

// inParts makes a full pass of several sessions. The error is that of the first
// session that failed.
func (r *run) inParts(ctx context.Context, parts []part) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &parting{
		run: r, parts: parts, todo: make(chan int, len(parts)), totals: make([]Progress, len(parts)),
		left: len(parts), workers: 1, cancel: cancel,
	}
	p.do(ctx, 0)
	for i := 1; i < len(parts); i++ {
		p.todo <- i
	}
	p.workers = passSessions
	var workers sync.WaitGroup
	for range passSessions {
		workers.Go(func() { p.work(ctx) })
	}
	workers.Wait()
	if p.err == nil {
		p.err = ctx.Err()
	}
	return p.err
}

func (p *parting) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case i, more := <-p.todo:
			if !more || !p.do(ctx, i) {
				return
			}
		}
	}
}

// do runs the session of part i. It reports false if this worker has to end:
// the daemon has no room for its connection, but for that of another worker.
func (p *parting) do(ctx context.Context, i int) bool {
	one := p.newRun(ctx, p.root)
	if p.progress != nil {
		one.progress = func(now Progress) { p.tell(i, now) }
	}
	err := one.pass(false, &p.parts[i])
	for try := 0; i > 0 && full(err) && try < roomTries; try++ {
		if p.yields(i) {
			return false
		}
		// The connection before may not be counted as ended yet.
		select {
		case <-ctx.Done():
		case <-time.After(roomWait):
		}
		err = one.pass(false, &p.parts[i])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i > 0 {
		one.report.Entries = max(one.report.Entries-p.parts[i].above, 0)
	}
	p.report.add(one.report)
	if err != nil && p.err == nil {
		p.err = err
		p.cancel()
	}
	if p.left--; p.left == 0 {
		close(p.todo)
	}
	return true
}

// yields leaves part i to another worker, if there is one.
func (p *parting) yields(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.workers == 1 {
		return false
	}
	p.workers--
	p.todo <- i
	return true
}

// tell adds up the progress of all parts.
func (p *parting) tell(i int, now Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.totals[i] = now
	var sum Progress // the parts that have not begun are not counted, so the total is not known
	for _, t := range p.totals {
		sum.Files, sum.Bytes, sum.Checked = sum.Files+t.Files, sum.Bytes+t.Bytes, sum.Checked+t.Checked
	}
	p.progress(sum)
}

// full reports whether a daemon has as many connections as it allows.
func full(err error) bool {
	var se *session.Error
	return errors.As(err, &se) && strings.Contains(strings.Join(se.Messages, "\n"), "max connections")
}
