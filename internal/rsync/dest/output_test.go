package dest_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// target is a destination with one listed file, f.
type target struct {
	t    *testing.T
	dir  string
	talk *talk
	d    *dest.Dest
	f    *flist.File
}

func newTarget(t *testing.T, set func(*option.Set)) *target {
	t.Helper()
	opt := options()
	opt.Perms, opt.Times = true, true
	if set != nil {
		set(opt)
	}
	g := &target{t: t, dir: t.TempDir(), talk: new(talk)}
	d, err := dest.Open(dest.Params{Opt: opt, Protocol: 32, Talk: g.talk}, g.dir, dest.List{Entries: 2})
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	g.d = d.As("receiver")
	g.f = &flist.File{Path: "f", Index: 3, Meta: flist.MetaOf(tree.Meta{Kind: tree.File, Perm: 0o640, Size: 1 << 20, Mtime: tree.Time{Sec: 1e9},
		UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())})}
	return g
}

func (g *target) write(name, content string) {
	g.t.Helper()
	name = filepath.Join(g.dir, name)
	must(g.t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(g.t, os.WriteFile(name, []byte(content), 0o604))
}

// has checks the whole tree: lines of name, permissions and content, with " @0"
// or " @t" for a time of 0 or the listed one.
func (g *target) has(want ...string) {
	g.t.Helper()
	var got []string
	must(g.t, filepath.WalkDir(g.dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || name == g.dir {
			return err
		}
		rel, _ := filepath.Rel(g.dir, name)
		info, err := e.Info()
		must(g.t, err)
		if e.IsDir() {
			got = append(got, rel+"/")
			return nil
		}
		content, err := os.ReadFile(name)
		must(g.t, err)
		line := rel + " " + info.Mode().Perm().String()[1:] + " " + string(content)
		switch info.ModTime().Unix() {
		case 0:
			line += " @0"
		case 1e9:
			line += " @t"
		}
		got = append(got, line)
		return nil
	}))
	if !slices.Equal(got, want) {
		g.t.Errorf("there is %q, want %q", got, want)
	}
}

// receive makes an output of some pieces and ends it.
func (g *target) receive(how dest.Writing, v dest.Verdict, pieces ...string) dest.Outcome {
	g.t.Helper()
	o, err := g.d.Create(g.f, how)
	must(g.t, err)
	for _, p := range pieces {
		_, err := io.WriteString(o, p)
		must(g.t, err)
	}
	outcome, err := o.Finish(v)
	must(g.t, err)
	return outcome
}

var whole = dest.Writing{Basis: wire.BasisFile, Whole: true}

func TestVerdicts(t *testing.T) {
	partial := func(o *option.Set) { o.Partial = true }
	partialDir := func(o *option.Set) { o.Partial, o.PartialDir = true, ".pp" }
	delayed := func(o *option.Set) { o.DelayUpdates = true }
	inplace := func(o *option.Set) { o.Inplace, o.Partial = true, true }
	const listed, old = "rw-r----- ", "f rw----r-- old"
	for _, c := range []struct {
		name    string
		set     func(*option.Set)
		old     bool
		verdict dest.Verdict
		outcome dest.Outcome
		want    []string
	}{
		{"a good file is in place with its attributes", nil, true, dest.Good, dest.Placed, []string{"f " + listed + "new @t"}},
		{"a good new file", nil, false, dest.Good, dest.Placed, []string{"f " + listed + "new @t"}},
		{"a bad file is thrown away", nil, true, dest.Bad, dest.Discarded, []string{old}},
		{"a broken file is thrown away", nil, true, dest.Broken, dest.Discarded, []string{old}},
		{"a bad file is kept without its time", partial, true, dest.Bad, dest.Retained, []string{"f " + listed + "new"}},
		{"a broken file is kept with a time of 0", partial, true, dest.Broken, dest.Retained, []string{"f " + listed + "new @0"}},
		{"a bad file goes to the partial directory", partialDir, true, dest.Bad, dest.InPartialDir, []string{".pp/", ".pp/f " + listed + "new", old}},
		{"a broken file goes to the partial directory", partialDir, true, dest.Broken, dest.InPartialDir, []string{".pp/", ".pp/f " + listed + "new", old}},
		{"a good file does not need the partial directory", partialDir, true, dest.Good, dest.Placed, []string{"f " + listed + "new @t"}},
		{"a delayed file waits", delayed, true, dest.Good, dest.Delayed, []string{".~tmp~/", ".~tmp~/f " + listed + "new @t", old}},
		{"a broken delayed file stays for the next time", delayed, true, dest.Broken, dest.InPartialDir, []string{".~tmp~/", ".~tmp~/f " + listed + "new", old}},
		{"in place, good", inplace, true, dest.Good, dest.Placed, []string{"f " + listed + "new @t"}},
		{"in place, bad", inplace, true, dest.Bad, dest.Retained, []string{"f " + listed + "new"}},
		{"in place, broken", inplace, true, dest.Broken, dest.Retained, []string{"f rw----r-- new"}},
		{"backups", func(o *option.Set) { o.Backup = true }, true, dest.Good, dest.Placed, []string{"f " + listed + "new @t", "f~ rw----r-- old"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newTarget(t, c.set)
			if c.old {
				g.write("f", "old")
			}
			if got := g.receive(whole, c.verdict, "ne", "w"); got != c.outcome {
				t.Errorf("outcome %v, want %v", got, c.outcome)
			}
			g.has(c.want...)
		})
	}
}

func TestNothingIsKeptOfATransferThatBrokeOffBeforeItsData(t *testing.T) {
	g := newTarget(t, func(o *option.Set) { o.Partial = true })
	g.write("f", "old")
	o, err := g.d.Create(g.f, dest.Writing{Basis: wire.BasisFile})
	must(t, err)
	must(t, o.Match([]byte("ol"), 0))
	if got, err := o.Finish(dest.Broken); got != dest.Discarded || err != nil {
		t.Errorf("outcome %v, %v", got, err)
	}
	g.has("f rw----r-- old")
}

func TestDelayedFilesArePlacedInTheOrderOfTheirIndexes(t *testing.T) {
	g := newTarget(t, func(o *option.Set) { o.DelayUpdates, o.Backup = true, true })
	g.write("f", "old")
	g.receive(whole, dest.Good, "new")
	second := *g.f
	second.Path, second.Index = "a/b", 2
	must(t, os.Mkdir(filepath.Join(g.dir, "a"), 0o755))
	g.f = &second
	g.receive(whole, dest.Good, "two")
	var order []int32
	g.d.PlaceDelayed(func(f *flist.File, err error) {
		must(t, err)
		order = append(order, f.Index)
	})
	if !slices.Equal(order, []int32{2, 3}) {
		t.Errorf("placed in the order %d", order)
	}
	g.has("a/", "a/b rw-r----- two @t", "f rw-r----- new @t", "f~ rw----r-- old")
}

func TestPartialFilesAreCompletedWhereTheyAre(t *testing.T) {
	g := newTarget(t, func(o *option.Set) { o.Partial, o.PartialDir = true, ".pp" })
	g.write(".pp/f", "begin")
	before := inode(t, filepath.Join(g.dir, ".pp/f"))
	found, err := g.d.StatPartial(g.f)
	if err != nil || found.Size != 5 {
		t.Fatalf("the partial file is %+v, %v", found, err)
	}
	b, err := g.d.Basis(g.f, dest.Writing{Basis: wire.BasisPartial})
	must(t, err)
	must(t, b.Close())
	o, err := g.d.Create(g.f, dest.Writing{Basis: wire.BasisPartial, Partial: true})
	must(t, err)
	must(t, o.Match([]byte("begin"), 0))
	_, err = io.WriteString(o, " and end")
	must(t, err)
	if got, err := o.Finish(dest.Good); got != dest.Placed || err != nil {
		t.Errorf("outcome %v, %v", got, err)
	}
	g.has("f rw-r----- begin and end @t")
	if inode(t, filepath.Join(g.dir, "f")) != before {
		t.Error("it is another file")
	}
}

func TestPartialBasisIsRemovedAfterUse(t *testing.T) {
	g := newTarget(t, func(o *option.Set) { o.Partial, o.PartialDir = true, ".pp" })
	g.write(".pp/f", "begin")
	g.write("f", "old")
	g.receive(dest.Writing{Basis: wire.BasisPartial}, dest.Good, "new")
	g.has("f rw-r----- new @t")
}

func inode(t *testing.T, name string) uint64 {
	t.Helper()
	info, err := os.Stat(name)
	must(t, err)
	return info.Sys().(*syscall.Stat_t).Ino
}

func TestInPlaceUpdatesWriteOnlyWhatChanged(t *testing.T) {
	g := newTarget(t, func(o *option.Set) { o.Inplace = true })
	g.write("f", "0123456789abcdef")
	o, err := g.d.Create(g.f, dest.Writing{Basis: wire.BasisFile})
	must(t, err)
	if !o.InPlace() {
		t.Error("it is not in place")
	}
	must(t, o.Match([]byte("0123"), 0))
	_, err = io.WriteString(o, "XY")
	must(t, err)
	must(t, o.Match([]byte("6789"), 6))
	must(t, o.Match([]byte("cd"), 12))
	if o.Pos() != 12 {
		t.Errorf("at %d", o.Pos())
	}
	_, err = o.Finish(dest.Good)
	must(t, err)
	g.has("f rw-r----- 0123XY6789cd @t")
}

func TestAppendedDataFollowsWhatIsThere(t *testing.T) {
	g := newTarget(t, func(o *option.Set) { o.Append = 1 })
	g.write("f", "0123")
	g.receive(dest.Writing{Basis: wire.BasisFile, Append: 4}, dest.Good, "45")
	g.has("f rw-r----- 012345 @t")
}

// TestSparseContent writes random data with runs of zeros in all ways and in
// pieces of all sizes.
func TestSparseContent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 40 {
		g := newTarget(t, func(o *option.Set) {
			o.Sparse = true
			o.Preallocate = round%2 == 0
			o.Inplace = round%3 == 0
		})
		var content []byte
		for range 2 + rng.IntN(6) {
			run := make([]byte, rng.IntN(200_000))
			if rng.IntN(2) == 0 {
				for i := range run {
					run[i] = byte(rng.Uint32())
				}
			}
			content = append(content, run...)
		}
		g.f.Meta.Size = int64(len(content))
		if round%3 == 0 {
			g.write("f", strings.Repeat("x", rng.IntN(1<<19)))
		}
		o, err := g.d.Create(g.f, dest.Writing{Basis: wire.BasisFile, Whole: round%4 != 0})
		must(t, err)
		for rest := content; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(400_000))
			_, err := o.Write(rest[:n])
			must(t, err)
			rest = rest[n:]
		}
		_, err = o.Finish(dest.Good)
		must(t, err)
		got, err := os.ReadFile(filepath.Join(g.dir, "f"))
		must(t, err)
		if !bytes.Equal(got, content) {
			t.Fatalf("round %d: the content differs", round)
		}
	}
}

func TestZerosTakeNoRoom(t *testing.T) {
	for _, preallocate := range []bool{false, true} {
		g := newTarget(t, func(o *option.Set) { o.Sparse, o.Preallocate = true, preallocate })
		g.f.Meta.Size = 8 << 20
		g.receive(whole, dest.Good, strings.Repeat("\x00", 8<<20-1), "x")
		var st unix.Stat_t
		must(t, unix.Stat(filepath.Join(g.dir, "f"), &st))
		if st.Blocks > 64 || st.Size != 8<<20 {
			t.Errorf("preallocated %v: %d blocks for %d bytes", preallocate, st.Blocks, st.Size)
		}
	}
}

func TestADirectoryIsNotOverwritten(t *testing.T) {
	g := newTarget(t, nil)
	must(t, os.Mkdir(filepath.Join(g.dir, "f"), 0o755))
	if _, err := g.d.Create(g.f, whole); err == nil {
		t.Error("it was")
	}
	if want := []string{`recv_files: "f" is a directory`}; !slices.Equal(g.talk.lines, want) {
		t.Errorf("said %q", g.talk.lines)
	}
}

func TestASymlinkIsReplacedNotFollowed(t *testing.T) {
	for name, set := range map[string]func(*option.Set){"staged": nil, "in place": func(o *option.Set) { o.Inplace = true }} {
		t.Run(name, func(t *testing.T) {
			g := newTarget(t, set)
			outside := filepath.Join(t.TempDir(), "victim")
			must(t, os.WriteFile(outside, []byte("precious"), 0o600))
			must(t, os.Symlink(outside, filepath.Join(g.dir, "f")))
			_, _ = g.d.Store(g.f, []byte("new"), false, false)
			content, err := os.ReadFile(outside)
			if err != nil || string(content) != "precious" {
				t.Errorf("outside there is %q, %v", content, err)
			}
		})
	}
}

func TestAFullDiskEndsTheRun(t *testing.T) {
	needsRoot(t)
	g := newTarget(t, nil)
	if err := unix.Mount("none", g.dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no file system to fill: %v", err)
	}
	defer func() { _ = unix.Unmount(g.dir, unix.MNT_DETACH) }()
	d, err := dest.Open(dest.Params{Opt: options(), Protocol: 32, Talk: g.talk}, g.dir, dest.List{Entries: 2})
	must(t, err)
	defer d.Close()
	g.d = d.As("receiver")
	o, err := g.d.Create(g.f, whole)
	must(t, err)
	_, err = o.Write(make([]byte, 1<<20))
	fatal := new(dest.Error)
	if !errors.As(err, &fatal) || fatal.ExitCode() != 11 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the error is %v", err)
	}
	if want := `rsync: [receiver] write failed on "` + g.dir + `/f": No space left on device (28)`; fatal.Error() != want {
		t.Errorf("it says %q, want %q", fatal, want)
	}
	_, _ = o.Finish(dest.Broken)
	g.has()
}

func TestBasis(t *testing.T) {
	g := newTarget(t, func(o *option.Set) {
		o.Fuzzy, o.LinkDest = 2, []string{"../alt"}
	})
	must(t, os.MkdirAll(filepath.Join(g.dir, "sub"), 0o755))
	g.write("sub/like", "like")
	g.write("secret", "secret")
	g.f.Path = "sub/f"
	for _, c := range []struct {
		name  string
		basis wire.Basis
		xname string
		want  string // content; "" is none, "!" the peer's fault
	}{
		{"a file of the same directory", wire.BasisFuzzy, "like", "like"},
		{"no way out of it", wire.BasisFuzzy, "../secret", ""},
		{"no absolute name", wire.BasisFuzzy, "/etc/passwd", ""},
		{"dots alone", wire.BasisFuzzy, "../..", ""},
		{"an empty name", wire.BasisFuzzy, "", ""},
		{"the file itself, which is missing", wire.BasisFile, "", ""},
		{"an alternate directory that is missing", 0, "", ""},
		{"one more than there are", 1, "", "!"},
		{"the last number", 0x7f, "", "!"},
		{"a fuzzy one in it", wire.BasisFuzzyAlt, "like", ""},
		{"a fuzzy one beyond", wire.BasisFuzzyAlt + 1, "like", "!"},
		{"the highest", 0xff, "like", "!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := g.d.Basis(g.f, dest.Writing{Basis: c.basis, Xname: c.xname})
			got := ""
			if fatal := new(dest.Error); errors.As(err, &fatal) {
				got = "!"
				if fatal.ExitCode() != 2 {
					t.Errorf("code %d", fatal.ExitCode())
				}
			}
			if err == nil {
				content, err := io.ReadAll(f)
				must(t, err)
				got = string(content)
				_ = f.Close()
			}
			if got != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
	plain := newTarget(t, nil)
	if _, err := plain.d.Basis(plain.f, dest.Writing{Basis: wire.BasisFuzzy, Xname: "x"}); !errors.As(err, new(*dest.Error)) {
		t.Errorf("a fuzzy basis without --fuzzy: %v", err)
	}
}
