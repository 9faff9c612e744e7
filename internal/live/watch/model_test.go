package watch_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/watch"
)

// state is what the model knows of one path.
type state struct {
	mode      uint32
	size      int64
	sec, nsec int64 // of the modification
	ino       uint64
}

func (s state) isDir() bool { return s.mode&unix.S_IFMT == unix.S_IFDIR }

// stat is the state of p, false if nothing is there. A directory's own times
// and link count follow from its entries.
func stat(root string, p tree.Path) (state, bool) {
	var st unix.Stat_t
	if unix.Lstat(filepath.Join(root, string(p)), &st) != nil {
		return state{}, false
	}
	s := state{mode: st.Mode, ino: st.Ino}
	if !s.isDir() {
		s.size, s.sec, s.nsec = st.Size, int64(st.Mtim.Sec), int64(st.Mtim.Nsec)
	}
	return s, true
}

// model is a consumer that holds what it was told: it looks only at paths that
// events name.
//
// A look may come after a rename that the next events tell of, and then sees
// nothing, or another object. So hints are kept: those below a directory that
// was renamed are followed again under its new name.
type model struct {
	root  string
	files map[tree.Path]state
	hints map[tree.Path]bool // paths named so far; true = with all below
}

func newModel(root string) *model {
	m := &model{root: root, files: map[tree.Path]state{}, hints: map[tree.Path]bool{}}
	m.look(tree.Root, true)
	return m
}

// hint follows a hint about p, and keeps it.
func (m *model) hint(p tree.Path, below bool) {
	m.hints[p] = m.hints[p] || below
	m.look(p, below)
}

// look brings p, or p and all below it, up to date.
func (m *model) look(p tree.Path, below bool) {
	s, there := stat(m.root, p)
	if below || !there || !s.isDir() {
		m.drop(p)
	}
	if there && p != tree.Root {
		m.files[p] = s
	}
	if !there || !below {
		return
	}
	_ = filepath.WalkDir(filepath.Join(m.root, string(p)), func(path string, _ fs.DirEntry, err error) error {
		rel, rerr := filepath.Rel(m.root, path)
		if q := tree.Path(rel); err == nil && rerr == nil && q.Below(p) && rel != "." {
			if s, there := stat(m.root, q); there {
				m.files[q] = s
			}
		}
		return nil
	})
}

func (m *model) drop(p tree.Path) {
	for q := range m.files {
		if q.Within(p) {
			delete(m.files, q)
		}
	}
}

func (m *model) apply(ev watch.Event) {
	switch {
	case ev.Op&watch.Overflow != 0:
		m.hint(tree.Root, true)
	case ev.Op&watch.Rename != 0:
		m.rename(ev.From, ev.Path)
		m.hint(ev.From, false)
		if _, there := stat(m.root, ev.Path); there || ev.Op&watch.MovedTo != 0 {
			m.hint(ev.Path, ev.Op&watch.MovedTo != 0)
		} // else it has moved on: what is known goes along with the next rename
	default:
		// A directory that came or went takes along what is below it.
		m.hint(ev.Path, ev.Dir && ev.Op&(watch.MovedTo|watch.MovedFrom|watch.Delete) != 0)
	}
}

func (m *model) rename(from, to tree.Path) {
	m.drop(to)
	for q, s := range m.files {
		if q.Within(from) {
			delete(m.files, q)
			m.files[q.Rebase(from, to)] = s
		}
	}
	carried := map[tree.Path]bool{}
	for q, below := range m.hints {
		if q.Within(from) {
			carried[q.Rebase(from, to)] = below
		}
	}
	for q, below := range carried {
		m.hints[q] = m.hints[q] || below
		if _, there := stat(m.root, q); there || q != to {
			m.look(q, below)
		}
	}
}

// diff tells how the model differs from the disk.
func (m *model) diff() []string {
	var out []string
	real := newModel(m.root).files
	for p, s := range real {
		if was, ok := m.files[p]; !ok {
			out = append(out, fmt.Sprintf("%v was never named", p))
		} else if was != s {
			out = append(out, fmt.Sprintf("%v is stale: %v, really %v", p, was, s))
		}
	}
	for p := range m.files {
		if _, ok := real[p]; !ok {
			out = append(out, fmt.Sprintf("%v is gone, which was not told", p))
		}
	}
	return out
}

// churn does random things below dir, and moves to and from outside.
type churn struct {
	rng          *rand.Rand
	dir, outside string
	names        []string
}

func (c *churn) pick() string {
	var b strings.Builder
	b.WriteString(c.dir)
	for range 1 + c.rng.IntN(4) {
		b.WriteByte('/')
		b.WriteString(c.names[c.rng.IntN(len(c.names))])
	}
	return b.String()
}

// step does one thing; most fail now and then, which is part of it.
func (c *churn) step(n int) {
	p, q := c.pick(), c.pick()
	out := fmt.Sprintf("%s/%s", c.outside, c.names[c.rng.IntN(len(c.names))])
	switch c.rng.IntN(14) {
	case 0, 1, 2:
		_ = os.WriteFile(p, fmt.Appendf(nil, "%d", n), 0o644)
	case 3:
		_ = os.MkdirAll(p, 0o755)
		_ = os.WriteFile(p+"/"+c.names[0], nil, 0o644)
	case 4:
		_ = os.Remove(p)
	case 5:
		_ = os.RemoveAll(p)
	case 6, 7, 8:
		_ = os.Rename(p, q)
	case 9:
		_ = unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, q, unix.RENAME_EXCHANGE)
	case 10:
		_ = os.Rename(p, out)
	case 11:
		_ = os.Rename(out, p)
	case 12:
		_ = os.Chmod(p, fs.FileMode(0o700|c.rng.IntN(64)))
	case 13:
		_ = os.Symlink("x", p)
	}
}

func TestRandomChangesAreAllNamed(t *testing.T) {
	t.Parallel()
	seed := uint64(1)
	if s := os.Getenv("WATCH_SEED"); s != "" {
		_, err := fmt.Sscan(s, &seed)
		must(t, err)
	}
	each(t, func(t *testing.T, v variant) {
		base := t.TempDir()
		c := &churn{rng: rand.New(rand.NewPCG(seed, 1)), names: []string{"a", "b", "c", "d", "e f"},
			dir: mkdir(t, base, "src"), outside: mkdir(t, base, "out")}
		for range 200 {
			c.step(0)
		}
		o := observe(t, v, c.dir)
		m := newModel(c.dir)
		ops := make(chan struct{})
		go func() {
			defer close(ops)
			for n := range 2000 {
				c.step(n)
			}
		}()
		running, quiet := true, time.Duration(0)
		for running || quiet < settleTime(v) {
			step := time.NewTimer(10 * time.Millisecond)
			select {
			case batch := <-o.Events():
				for _, ev := range batch {
					m.apply(ev)
				}
				o.seen = append(o.seen, batch...)
				quiet = 0
			case <-ops:
				running, ops = false, nil
			case <-step.C:
				quiet += 10 * time.Millisecond
				if !running && len(m.diff()) == 0 {
					return
				}
			}
			step.Stop()
		}
		if d := m.diff(); len(d) > 0 {
			t.Errorf("WATCH_SEED=%d: %d differences:\n%s\nevents: %v", seed, len(d), strings.Join(d, "\n"), o.tail())
		}
	})
}

// settleTime is for how long nothing may come before a difference counts.
func settleTime(v variant) time.Duration {
	if v.polls {
		return 5 * time.Second
	}
	return time.Second
}
