package sender_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/proof/harness"
	"lockstep/internal/rsync/sender"
)

// asUser runs a test as an ordinary user, whom permissions stop. It reports
// whether the test is to go on in this process.
func asUser(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return true
	}
	needRsync(t)
	dir, err := os.MkdirTemp("", "sender-user-")
	check(t, err)
	defer os.RemoveAll(dir)
	check(t, os.Chmod(dir, 0o755))
	self, err := os.ReadFile("/proc/self/exe")
	check(t, err)
	program := filepath.Join(dir, "test")
	check(t, os.WriteFile(program, self, 0o755))
	cmd := exec.Command(program, "-test.run=^"+t.Name()+"$")
	cmd.Dir = "/"
	const nobodyID = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyID, Gid: nobodyID}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
	return false
}

func TestWhatCannotBeReadIsNeitherSentNorDeleted(t *testing.T) {
	if !asUser(t) {
		return
	}
	for _, v := range allVariants {
		src := newPlant(t, v.protocol)
		for _, name := range []string{"a/locked/kept", "a/b", "secret", "z/f"} {
			src.file(name, []byte(name))
		}
		dest := tempDir(t)
		o := peerOptions{protocol: v.protocol, incremental: v.incremental, letters: "logDtpr"}
		startPeer(t, dest, o).send(sender.Job{Root: src.open(), Whole: true})
		check(t, os.Chmod(src.path("a/locked"), 0))
		check(t, os.Chmod(src.path("secret"), 0))
		src.file("secret2", []byte("cannot be read"))
		check(t, os.Chmod(src.path("secret2"), 0))
		src.remove("z/f")
		o.args = []string{"--delete"}
		p := startPeer(t, dest, o)
		heard := map[tree.Path]error{}
		res := p.send(sender.Job{Root: src.open(), Whole: true, OnError: func(p tree.Path, err error) { heard[p] = err }})
		p.wait()
		if !slices.Equal(res.Missing, []tree.Path{"a/locked", "secret2"}) || !errors.Is(heard["a/locked"], fs.ErrPermission) || !errors.Is(heard["secret2"], fs.ErrPermission) {
			t.Errorf("%v: missing %q, heard %v", v, res.Missing, heard)
		}
		check(t, os.Chmod(filepath.Join(dest, "a/locked"), 0o755))
		if _, err := os.Lstat(filepath.Join(dest, "a/locked/kept")); err != nil {
			t.Errorf("%v: what is in an unreadable directory was deleted: %v", v, err)
		}
		_, err := os.Lstat(filepath.Join(dest, "z/f"))
		if deleted := errors.Is(err, fs.ErrNotExist); deleted != (v.protocol >= 30) {
			t.Errorf("%v: a file that is gone was deleted: %v", v, deleted)
		}
		check(t, os.Chmod(src.path("a/locked"), 0o755)) // for the cleanup
	}
}

func TestUnreadableTreesInAListAreNotSwept(t *testing.T) {
	if !asUser(t) {
		return
	}
	for _, protocol := range protocols {
		src := newPlant(t, protocol)
		for _, name := range []string{"locked/kept", "tree/locked/kept", "tree/f", "children/f"} {
			src.file(name, []byte(name))
		}
		dest := tempDir(t)
		startPeer(t, dest, peerOptions{protocol: protocol, letters: "logDtpr"}).send(sender.Job{Root: src.open(), Whole: true})
		locked := []string{"locked", "tree/locked", "children"}
		for _, name := range locked {
			check(t, os.Chmod(src.path(name), 0))
		}
		p := startPeer(t, dest, peerOptions{protocol: protocol, letters: "logDtprR", args: []string{"--delete"}})
		res := p.send(sender.Job{Root: src.open(), List: []sender.Item{{Path: "locked", Tree: true}, {Path: "tree", Tree: true}, {Path: "children", Children: true}}})
		p.wait()
		for _, name := range locked {
			check(t, os.Chmod(src.path(name), 0o755))
			check(t, os.Chmod(filepath.Join(dest, name), 0o755))
			if !slices.Contains(res.Missing, tree.Path(name)) {
				t.Errorf("protocol %d: missing %q", protocol, res.Missing)
			}
		}
		src.same(dest, harness.Comparison{AnyTime: true})
	}
}

func TestAFileThatShrinksArrivesInTheRedoPass(t *testing.T) {
	for _, v := range fewVariants {
		src := newPlant(t, v.protocol)
		src.file("before", []byte("x"))
		src.file("f", random(5, 3<<20))
		dest := tempDir(t)
		shrink := &shrinker{path: src.path("f"), t: t}
		p := startPeer(t, dest, peerOptions{protocol: v.protocol, incremental: v.incremental, letters: "logDtpr", tap: func(p []byte) { shrink.Write(p) }})
		var heard []error
		res := p.send(sender.Job{Root: src.open(), Whole: true, OnError: func(_ tree.Path, err error) { heard = append(heard, err) }})
		p.wait()
		if len(heard) != 1 || len(res.Missing) != 0 || res.Transferred != 3 { // once more counts
			t.Errorf("%v: heard %v, %+v", v, heard, res)
		}
		src.same(dest, harness.Comparison{AnyTime: true})
	}
}

func TestHiddenPathsAreNobodysBusiness(t *testing.T) {
	src := newPlant(t, 32)
	for _, name := range []string{"a.txt", "b.o", "d/c.o", "d/e", "cache/x/y", "new/cache", "new/f"} {
		src.file(name, []byte(name))
	}
	var b filter.Builder
	for _, rule := range []string{"- *.o", "- /cache/", "- /new/f"} {
		check(t, b.Filter(rule))
	}
	rules, err := b.Rules(filter.Implied{})
	check(t, err)
	scope := rules.Scope(func(tree.Path, string) ([]byte, error) { return nil, fs.ErrNotExist })
	hidden := func(path string) bool {
		return strings.HasSuffix(path, ".o") || path == "cache" || path == "new/f"
	}
	for _, incremental := range []bool{false, true} {
		dest := tempDir(t)
		p := startPeer(t, dest, peerOptions{protocol: 32, incremental: incremental, letters: "logDtpr"})
		p.send(sender.Job{Root: src.open(), Whole: true, Scope: scope})
		p.exits(0)
		src.same(dest, harness.Comparison{Leave: hidden})
		if n, err := harness.Count(dest); n != 5 || err != nil {
			t.Errorf("%d entries arrived, %v", n, err)
		}
	}

	dest := tempDir(t)
	for _, name := range []string{"b.o", "gone.o", "gone"} {
		check(t, os.WriteFile(filepath.Join(dest, name), nil, 0o644))
	}
	p := startPeer(t, dest, peerOptions{protocol: 32, letters: "logDtprR", args: []string{"--delete-missing-args", "--force"}})
	res := p.send(sender.Job{Root: src.open(), Scope: scope, List: append(items("a.txt", "b.o", "gone.o", "gone", "cache/x/y", "cache/gone", "d/c.o"), sender.Item{Path: "new", Tree: true})})
	p.exits(0)
	if res.Files != 4 { // a.txt, gone, new, new/cache
		t.Errorf("%d entries were sent", res.Files)
	}
	for name, want := range map[string]bool{"b.o": true, "gone.o": true, "gone": false, "cache": false, "a.txt": true, "new/cache": true, "new/f": false} {
		if _, err := os.Lstat(filepath.Join(dest, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARootThatIsADirectoryBelow(t *testing.T) {
	src := newPlant(t, 32)
	for _, name := range []string{"top", "d/e/f", "d/e/g/h"} {
		src.file(name, []byte(name))
	}
	dest := tempDir(t)
	p := startPeer(t, dest, peerOptions{protocol: 32, letters: "logDtpr"})
	p.send(sender.Job{Root: src.open(), Dir: "d", Whole: true})
	p.exits(0)
	below := *src
	below.root = src.path("d")
	below.same(dest, harness.Comparison{})

	src.file("d/e/f", []byte("changed"))
	p = startPeer(t, dest, peerOptions{protocol: 32, letters: "logDtpR"})
	p.send(sender.Job{Root: src.open(), Dir: "d", List: items("", "e/f")})
	p.exits(0)
	below.same(dest, harness.Comparison{})
}

// TestALinkedFileThatVanishesLeavesItsOtherNames makes the peer choose another
// name of a hard-linked set in the redo pass, and report the rest very late.
func TestALinkedFileThatVanishesLeavesItsOtherNames(t *testing.T) {
	for _, v := range []variant{{30, false}, {32, false}, {32, true}} {
		src := newPlant(t, v.protocol)
		src.file("x1", random(6, 2000))
		for _, name := range []string{"x2", "x3", "x4"} {
			src.link("x1", name)
		}
		dest := tempDir(t)
		p := startPeer(t, dest, peerOptions{protocol: v.protocol, incremental: v.incremental, letters: "logDtprH"})
		gone := false
		res := p.send(sender.Job{Root: src.open(), Whole: true, OnProgress: func(p sender.Progress) {
			if p.ListedAll && !gone {
				gone = true
				check(t, os.Remove(src.path("x4")))
			}
		}})
		p.wait()
		if !slices.Equal(res.Missing, []tree.Path{"x4"}) || res.IOError != sender.IOErrorVanished {
			t.Errorf("%v: %+v", v, res)
		}
		src.same(dest, harness.Comparison{HardLinks: true, AnyTime: true})
	}
}
