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
type model struct {
	root    string
	files   map[tree.Path]state
	missing map[tree.Path]bool // named, but not there when looked at: renames carry them along
}

func newModel(root string) *model {
	m := &model{root: root, files: map[tree.Path]state{}, missing: map[tree.Path]bool{}}
	m.list(tree.Root)
	return m
}

// list takes in p and all below it.
func (m *model) list(p tree.Path) {
	_ = filepath.WalkDir(filepath.Join(m.root, string(p)), func(path string, _ fs.DirEntry, err error) error {
		if rel, rerr := filepath.Rel(m.root, path); err == nil && rerr == nil && rel != "." {
			m.look(tree.Path(rel))
		}
		return nil
	})
}

// look brings p up to date.
func (m *model) look(p tree.Path) {
	if p == tree.Root {
		return
	}
	s, there := stat(m.root, p)
	if there {
		delete(m.missing, p)
		if was, known := m.files[p]; known && was.isDir() && !s.isDir() {
			m.drop(p)
		}
		m.files[p] = s
		return
	}
	m.missing[p] = true
	m.drop(p)
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
		clear(m.files)
		m.list(tree.Root)
	case ev.Op&watch.Rename != 0:
		m.rename(ev.From, ev.Path)
		m.look(ev.From)
		if _, there := stat(m.root, ev.Path); there {
			m.look(ev.Path)
		} else {
			m.missing[ev.Path] = true // moved on, perhaps: what is below it stays
		}
		if ev.Op&watch.MovedTo != 0 {
			m.drop(ev.Path)
			m.look(ev.Path)
			m.list(ev.Path)
		}
	case ev.Op&(watch.MovedTo|watch.MovedFrom|watch.Delete) != 0 && ev.Dir:
		m.drop(ev.Path) // whatever was below it may have gone along
		m.look(ev.Path)
		m.list(ev.Path)
	default:
		m.look(ev.Path)
	}
}

// rename carries along what is known below from. It may have been looked at
// when another directory had taken the name already, so it is looked at again.
func (m *model) rename(from, to tree.Path) {
	m.drop(to)
	carried := map[tree.Path]bool{}
	for q := range m.files {
		if q.Within(from) {
			carried[q.Rebase(from, to)] = true
			delete(m.files, q)
		}
	}
	for q := range m.missing {
		if q.Within(from) {
			carried[q.Rebase(from, to)] = true
			delete(m.missing, q)
		}
	}
	for q := range carried {
		m.missing[q] = true
		if s, there := stat(m.root, q); there {
			delete(m.missing, q)
			m.files[q] = s
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
	seed := uint64(time.Now().UnixNano())
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
