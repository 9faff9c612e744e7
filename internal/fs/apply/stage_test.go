package apply_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// numbered are temporary names that count.
func numbered() func(string) string {
	var n atomic.Int32
	return func(base string) string { return "." + base + "." + strings.Repeat("i", int(n.Add(1))) }
}

func fill(t *testing.T, s *apply.Staged, content string) {
	t.Helper()
	if _, err := unix.Pwrite(s.FD(), []byte(content), 0); err != nil {
		t.Fatal(err)
	}
}

func TestStagedFiles(t *testing.T) {
	for _, c := range []struct {
		name     string
		old      bool
		size     int64
		unnamed  bool // there is no name while it is made
		oldStays bool
		end      func(s *apply.Staged) error
		want     []string
	}{
		{"a new file has no name before it is published", false, 10, true, false, (*apply.Staged).Publish, []string{"f=new"}},
		{"a small file that replaces another has a temporary name", true, 10, false, false, (*apply.Staged).Publish, []string{"f=new"}},
		{"a large one has none", true, apply.UnnamedFrom, true, false, (*apply.Staged).Publish, []string{"f=new"}},
		{"discarded it leaves nothing", true, 10, false, true, func(s *apply.Staged) error { s.Discard(); return nil }, []string{"f=old"}},
		{"discarded without a name", false, 10, true, true, func(s *apply.Staged) error { s.Discard(); return nil }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			r := openRoot(t, dir, apply.Options{Temp: numbered()})
			if c.old {
				write(t, "old", dir, "f")
			}
			s, err := r.Stage("f", apply.Staging{Mode: 0o600, Replaces: c.old, Size: c.size})
			must(t, err)
			fill(t, s, "new")
			if got := slices.Contains(names(t, dir), ".f.i"); got == c.unnamed {
				t.Errorf("a temporary name is there: %v", got)
			}
			f, err := s.Reopen()
			must(t, err)
			buf := make([]byte, 3)
			if _, err := f.ReadAt(buf, 0); err != nil || string(buf) != "new" {
				t.Errorf("it holds %q, %v", buf, err)
			}
			_ = f.Close()
			must(t, c.end(s))
			var got []string
			for _, name := range names(t, dir) {
				got = append(got, name+"="+read(t, dir, name))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("there is %q, want %q", got, c.want)
			}
		})
	}
}

func TestStagedFilesGoElsewhere(t *testing.T) {
	eachWay(t, func(t *testing.T, r *apply.Root, dir string) {
		must(t, os.Mkdir(filepath.Join(dir, "other"), 0o700))
		s, err := r.Stage("f", apply.Staging{Mode: 0o600})
		must(t, err)
		fill(t, s, "new")
		must(t, r.At("other/g", func(at apply.Place) error { return s.PublishAt(at) }))
		if got := read(t, dir, "other", "g"); got != "new" {
			t.Errorf("it holds %q", got)
		}
	})
}

func TestAScratchDirectoryHoldsWhatIsMade(t *testing.T) {
	dir, scratch := t.TempDir(), t.TempDir()
	write(t, "old", dir, "f")
	r, tmp := openRoot(t, dir, apply.Options{}), openRoot(t, scratch, apply.Options{Temp: numbered()})
	s, err := r.Stage("f", apply.Staging{Mode: 0o600, Replaces: true, Scratch: tmp})
	must(t, err)
	fill(t, s, "new")
	if got := names(t, scratch); !slices.Equal(got, []string{".f.i"}) {
		t.Errorf("in the scratch directory: %q", got)
	}
	must(t, s.Publish())
	if got := read(t, dir, "f"); got != "new" || len(names(t, scratch)) != 0 {
		t.Errorf("it holds %q, %q is left", got, names(t, scratch))
	}
}

func TestAScratchDirectoryOnAnotherFileSystem(t *testing.T) {
	dir := t.TempDir()
	scratch, err := os.MkdirTemp("/dev/shm", "apply")
	if err != nil {
		t.Skipf("no other file system: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(scratch) })
	r, tmp := openRoot(t, dir, apply.Options{}), openRoot(t, scratch, apply.Options{})
	for _, replaces := range []bool{false, true} {
		s, err := r.Stage("f", apply.Staging{Mode: 0o600, Replaces: replaces, Scratch: tmp})
		must(t, err)
		err = s.Publish()
		if err == nil {
			t.Skip("it is the same file system")
		}
		if !errors.Is(err, syscall.EXDEV) {
			t.Errorf("the error is %v", err)
		}
		s.Discard()
	}
	if got := append(names(t, dir), names(t, scratch)...); len(got) != 0 {
		t.Errorf("%q is left", got)
	}
}

func TestReadOnlyDirectoriesStaySoIfWanted(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere")
	}
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "ro"), 0o500))
	r := openRoot(t, dir, apply.Options{KeepModes: true})
	if _, err := r.Stage("ro/f", apply.Staging{Mode: 0o600}); !errors.Is(err, syscall.EACCES) {
		t.Errorf("the error is %v", err)
	}
}

func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "real"), 0o755))
	must(t, os.Symlink("real", filepath.Join(dir, "link")))
	write(t, "x", dir, "real", "f")
	d, err := os.Open(dir)
	must(t, err)
	reader, err := walk.NewRoot(d, walk.LinksInside)
	must(t, err)
	_ = d.Close()
	r, err := apply.NewRoot(reader, apply.Options{})
	must(t, err)
	defer r.Close()
	if err := r.AtDir("link", func(at apply.Place) error { return at.Object().Chmod(0o711) }); err != nil {
		t.Error(err)
	}
	if m := lstat(t, r, "real"); m.Perm != 0o711 {
		t.Errorf("the directory has %o", m.Perm)
	}
	access := tree.Time{Sec: 77}
	must(t, r.At("link/f", func(at apply.Place) error {
		if err := at.Object().SetTimes(nil, &access); err != nil {
			return err
		}
		_, times, err := at.Object().StatTimes()
		if times.Access != access {
			t.Errorf("accessed at %v", times.Access)
		}
		return err
	}))
	must(t, r.Both("real/f", "g", func(from, to apply.Place) error { return from.Object().LinkTo(to.Object()) }))
	at, err := r.Hold("g")
	must(t, err)
	if m, err := at.Object().Stat(); err != nil || m.Nlink != 2 {
		t.Errorf("%+v, %v", m, err)
	}
	temp, err := at.Fresh(func(o apply.Object) error { return o.Symlink("x") })
	if err != nil || !apply.IsTemp(temp.Name()) {
		t.Errorf("made %q, %v", temp.Name(), err)
	}
	must(t, temp.RenameTo(at.Beside("h").Object()))
	at.Release()
	if target, err := os.Readlink(filepath.Join(dir, "h")); err != nil || target != "x" {
		t.Errorf("h leads to %q, %v", target, err)
	}
	other, err := apply.On(r.Reader(), apply.Options{})
	must(t, err)
	defer other.Close()
	must(t, other.Remove("h"))
	if err := r.At("..", func(apply.Place) error { return nil }); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("the error is %v", err)
	}
}
