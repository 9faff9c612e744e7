package apply_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
)

func TestTempNames(t *testing.T) {
	for _, base := range []string{
		"file", ".hidden", "..twice", strings.Repeat("n", 255), strings.Repeat("ü", 127), strings.Repeat("n", 123) + "ü…", "\xff", "x.",
		strings.Repeat("n", 123) + ".tail",
	} {
		name := apply.TempName(base)
		if !apply.IsTemp(name) || len(name) > 143 || name[0] != '.' || strings.HasPrefix(name, "..") && !strings.HasPrefix(base, "..") {
			t.Errorf("TempName(%q) = %q", base, name)
		}
		if utf8.ValidString(base) && !utf8.ValidString(name) {
			t.Errorf("TempName(%q) = %q, cut in a character", base, name)
		}
		if apply.TempName(base) == name {
			t.Errorf("TempName(%q) is the same twice", base)
		}
	}
	for _, name := range []string{
		"", ".", "..", "file", ".file.XkQ3vZ", ".file.lockstep-", ".file.lockstep-abcdefgh", ".file.lockstep-ABCDEFGH",
		"lockstep-abcdefgh", apply.TempName("file")[1:], apply.TempName("file") + "a", "x" + apply.TempName("file"),
	} {
		if apply.IsTemp(name) {
			t.Errorf("IsTemp(%q)", name)
		}
	}
}

func FuzzTempNames(f *testing.F) {
	f.Add("file")
	f.Add(".lockstep-")
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" || len(s) > tree.MaxName || strings.ContainsAny(s, "/\x00") {
			return
		}
		if name := apply.TempName(s); !apply.IsTemp(name) || len(name) > 143 {
			t.Errorf("TempName(%q) = %q", s, name)
		}
		_ = apply.IsTemp(s)
	})
}

func TestSweepRemovesLeftoversOnly(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	live := apply.TempName("live")
	stay := []string{"a/file", "a/b/.file.XkQ3vZ", ".x.lockstep-abcdefgh", filepath.Join("a", live)}
	for _, p := range stay {
		write(t, p, dir, p)
	}
	for _, sub := range []string{"", "a", "a/b"} {
		write(t, "x", dir, sub, apply.TempName("left"))
		must(t, os.Symlink("x", filepath.Join(dir, sub, apply.TempName("link"))))
		must(t, unix.Mkfifo(filepath.Join(dir, sub, apply.TempName("fifo")), 0o600))
	}
	lock, err := os.OpenFile(filepath.Join(dir, "a", live), os.O_WRONLY, 0)
	must(t, err)
	defer lock.Close()
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))

	r := openRoot(t, dir, archive)
	if n, err := r.Sweep(t.Context(), tree.Root); n != 0 || err != nil {
		t.Errorf("Sweep of fresh ones = %d, %v", n, err)
	}
	r.StaleAfter(-time.Hour)
	if n, err := r.Sweep(t.Context(), tree.Root); n != 9 || err != nil {
		t.Errorf("Sweep = %d, %v", n, err)
	}
	for _, p := range stay {
		if read(t, dir, p) != p {
			t.Errorf("%s is gone", p)
		}
	}
	must(t, lock.Close())
	if gone, err := r.RemoveStale(tree.Path("a").Join(live)); !gone || err != nil {
		t.Errorf("RemoveStale = %v, %v", gone, err)
	}
	if gone, err := r.RemoveStale("a/file"); gone || err != nil {
		t.Errorf("RemoveStale of a file = %v, %v", gone, err)
	}
	if gone, err := r.RemoveStale(tree.Path(apply.TempName("nothing"))); gone || err != nil {
		t.Errorf("RemoveStale of nothing = %v, %v", gone, err)
	}
}
