package sender_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/proof/harness"
	"lockstep/internal/rsync/sender"
)

// mirrored is a planted tree with a copy of it.
func mirrored(t *testing.T, protocol int) (src *plant, dest string) {
	t.Helper()
	src = newPlant(t, protocol)
	src.garden()
	dest = tempDir(t)
	startPeer(t, dest, peerOptions{protocol: protocol, letters: "logDtpr"}).send(sender.Job{Root: src.open(), Whole: true})
	return src, dest
}

func items(paths ...tree.Path) []sender.Item {
	list := make([]sender.Item, len(paths))
	for i, p := range paths {
		list[i] = sender.Item{Path: p}
	}
	return list
}

func eachPlainProtocol(t *testing.T, f func(t *testing.T, protocol int)) {
	for _, p := range protocols {
		t.Run(fmt.Sprint("protocol ", p), func(t *testing.T) { f(t, p) })
	}
}

func TestExplicitListSendsExactlyWhatIsDirty(t *testing.T) {
	eachPlainProtocol(t, func(t *testing.T, protocol int) {
		src, dest := mirrored(t, protocol)
		src.file("a.txt", []byte("changed\n"))
		src.file("dir/sub/deep/new", []byte("new"))
		src.remove("dir-b/f")
		src.remove("link")
		src.remove("many/a00")
		src.remove("dir/sub/other")
		src.symlink("dir/sub/other", "a symlink now")
		src.file("dir/none/unlisted", []byte("not sent"))
		p := startPeer(t, dest, peerOptions{protocol: protocol, letters: "logDtpR", args: []string{"--delete-missing-args", "--force"}})
		res := p.send(sender.Job{Root: src.open(), List: items(
			"", "a.txt", "dir/sub/deep/new", "dir-b/f", "dir-b", "link", "many/a00", "many/a00/file", "many", "many/a00/never/was", "dir/sub/other")})
		p.exits(0)
		if len(res.Missing) != 0 || res.IOError != 0 {
			t.Errorf("result %+v", res)
		}
		if _, err := os.Lstat(filepath.Join(dest, "dir/none/unlisted")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("an unlisted file: %v", err)
		}
		src.same(dest, harness.Comparison{Leave: func(path string) bool { return path == "dir/none" }})
	})
}

func TestTreesInAListAreSwept(t *testing.T) {
	eachPlainProtocol(t, func(t *testing.T, protocol int) {
		src, dest := mirrored(t, protocol)
		src.remove("dir/sub/deep")
		src.file("dir/sub/fresh/file", []byte("fresh"))
		src.remove("many/b01")
		src.remove("many/c02/file")
		check(t, os.WriteFile(filepath.Join(dest, "dir-b", "kept"), nil, 0o644))
		check(t, os.WriteFile(filepath.Join(dest, "kept"), nil, 0o644))
		p := startPeer(t, dest, peerOptions{protocol: protocol, letters: "logDtprR", args: []string{"--delete-missing-args", "--delete"}})
		p.send(sender.Job{Root: src.open(), List: []sender.Item{
			{Path: "dir", Tree: true}, {Path: "dir/sub/deep/er/file"}, {Path: "dir-b"}, {Path: "many/b01"}, {Path: "many/c02", Tree: true}, {Path: ""}}})
		p.exits(0)
		for _, kept := range []string{"dir-b/kept", "kept"} {
			if _, err := os.Lstat(filepath.Join(dest, kept)); err != nil {
				t.Errorf("a directory that was not a tree was swept: %v", err)
			}
		}
		src.file("dir-b/kept", nil)
		src.file("kept", nil)
		src.same(dest, harness.Comparison{AnyTime: true})
	})
}

func TestChildrenAreSweptOneLevelDeep(t *testing.T) {
	eachPlainProtocol(t, func(t *testing.T, protocol int) {
		src, dest := mirrored(t, protocol)
		src.remove("big")
		src.remove("dir/sub/other")
		src.file("dir/sub/beside", []byte("beside"))
		src.remove("dir-b")
		check(t, os.WriteFile(filepath.Join(dest, "many", "kept"), nil, 0o644))
		check(t, os.WriteFile(filepath.Join(dest, "dir/sub/deep/kept"), nil, 0o644))
		p := startPeer(t, dest, peerOptions{protocol: protocol, letters: "logDtpRd", args: []string{"--no-r", "--delete"}})
		res := p.send(sender.Job{Root: src.open(), List: []sender.Item{
			{Path: "", Children: true}, {Path: "big"}, {Path: "dir/sub", Children: true}, {Path: "dir/sub/other"}, {Path: "dir/sub/beside"}}})
		p.exits(0)
		if len(res.Missing) != 0 {
			t.Errorf("missing %q", res.Missing)
		}
		src.file("many/kept", nil)
		src.file("dir/sub/deep/kept", nil)
		src.same(dest, harness.Comparison{AnyTime: true})
	})
}

func TestMissingPathsWithoutDeleteMissingAreReported(t *testing.T) {
	src, dest := mirrored(t, 32)
	src.remove("big")
	p := startPeer(t, dest, peerOptions{protocol: 32, letters: "logDtpR"})
	var failed []error
	res := p.send(sender.Job{Root: src.open(), List: items("big", "a.txt", "no/such/path"), OnError: func(_ tree.Path, err error) { failed = append(failed, err) }})
	p.exits(0)
	if !slices.Equal(res.Missing, []tree.Path{"big", "no"}) || len(failed) != 2 || !errors.Is(failed[0], fs.ErrNotExist) {
		t.Errorf("missing %q, errors %v", res.Missing, failed)
	}
}

// TestWhatStandsAboveDoesNotGoAlong lists paths alone whose directory is gone.
func TestWhatStandsAboveDoesNotGoAlong(t *testing.T) {
	src, dest := mirrored(t, 32)
	src.remove("many/b01")
	src.remove("dir-b/f")
	p := startPeer(t, dest, peerOptions{protocol: 32, letters: "logDtpR", args: []string{"--delete-missing-args", "--force"}})
	failed := map[tree.Path]error{}
	p.send(sender.Job{Root: src.open(), List: []sender.Item{{Path: "many/b01/file", Alone: true}, {Path: "dir-b/f", Alone: true}},
		OnError: func(p tree.Path, err error) { failed[p] = err }})
	p.exits(0)
	if len(failed) != 1 || !errors.Is(failed["many/b01/file"], sender.ErrChanged) {
		t.Errorf("errors %v", failed)
	}
	if _, err := os.Lstat(filepath.Join(dest, "many/b01")); err != nil {
		t.Errorf("the directory went along: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dest, "dir-b/f")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the path itself did not go: %v", err)
	}
}

func TestBelowASymlinkTheSymlinkIsSent(t *testing.T) {
	src, dest := mirrored(t, 32)
	src.remove("dir/sub")
	src.symlink("dir/sub", "../dir-b")
	p := startPeer(t, dest, peerOptions{protocol: 32, letters: "logDtpR", args: []string{"--delete-missing-args", "--force"}})
	p.send(sender.Job{Root: src.open(), List: items("dir/sub/f", "dir/sub/deep/er/file")})
	p.exits(0)
	src.same(dest, harness.Comparison{AnyTime: true})
}

func TestAListOfNothingEndsWell(t *testing.T) {
	for _, protocol := range protocols {
		src := newPlant(t, protocol)
		p := startPeer(t, tempDir(t), peerOptions{protocol: protocol, letters: "logDtpR", args: []string{"--delete-missing-args"}})
		if res := p.send(sender.Job{Root: src.open(), List: []sender.Item{}}); res.Files != 0 {
			t.Errorf("result %+v", res)
		}
		p.exits(0)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
