package lockstep

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"lockstep/internal/fs/tree"
)

// demoFiles is the size of the demo's burst.
const demoFiles = 1000

// demoStep is one change: how it is made in the source, and how to tell that
// it has arrived in the target.
type demoStep struct {
	text    string
	make    func(dir string) error
	arrived func(dir string) bool
}

var demoSteps = []demoStep{
	{
		"a new file",
		func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "hello"), []byte("hello, world\n"), 0o644)
		},
		func(dir string) bool { return holds(dir, "hello", "hello, world\n") },
	},
	{
		"an edit that keeps the size, in the same second",
		func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "hello"), []byte("hello, there\n"), 0o644)
		},
		func(dir string) bool { return holds(dir, "hello", "hello, there\n") },
	},
	{
		"an editor's save: a new file renamed over it",
		func(dir string) error {
			if err := os.WriteFile(filepath.Join(dir, ".hello.swp"), []byte("goodbye\n"), 0o600); err != nil {
				return err
			}
			return os.Rename(filepath.Join(dir, ".hello.swp"), filepath.Join(dir, "hello"))
		},
		func(dir string) bool { return holds(dir, "hello", "goodbye\n") },
	},
	{
		"directories made at once, with a file in the last",
		func(dir string) error {
			deep := filepath.Join(dir, "a/b/c/d")
			if err := os.MkdirAll(deep, 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(deep, "leaf"), []byte("leaf\n"), 0o644)
		},
		func(dir string) bool { return holds(dir, "a/b/c/d/leaf", "leaf\n") },
	},
	{
		"permissions",
		func(dir string) error { return os.Chmod(filepath.Join(dir, "hello"), 0o640) },
		func(dir string) bool {
			info, err := os.Stat(filepath.Join(dir, "hello"))
			return err == nil && info.Mode().Perm() == 0o640
		},
	},
	{
		"a burst of 1,000 files",
		func(dir string) error {
			if err := os.Mkdir(filepath.Join(dir, "burst"), 0o755); err != nil {
				return err
			}
			for i := range demoFiles {
				name := filepath.Join(dir, "burst", fmt.Sprintf("file-%04d", i))
				if err := os.WriteFile(name, fmt.Appendf(nil, "content of file %d\n", i), 0o644); err != nil {
					return err
				}
			}
			return nil
		},
		func(dir string) bool { return allThere(filepath.Join(dir, "burst")) },
	},
	{
		"the directory with 1,000 files renamed",
		func(dir string) error { return os.Rename(filepath.Join(dir, "burst"), filepath.Join(dir, "archive")) },
		func(dir string) bool {
			_, err := os.Lstat(filepath.Join(dir, "burst"))
			return os.IsNotExist(err) && allThere(filepath.Join(dir, "archive"))
		},
	},
	{
		"a release symlink flipped",
		func(dir string) error {
			if err := os.Symlink("archive", filepath.Join(dir, ".current")); err != nil {
				return err
			}
			return os.Rename(filepath.Join(dir, ".current"), filepath.Join(dir, "current"))
		},
		func(dir string) bool {
			to, err := os.Readlink(filepath.Join(dir, "current"))
			return err == nil && to == "archive"
		},
	},
	{
		"a directory tree deleted",
		func(dir string) error { return os.RemoveAll(filepath.Join(dir, "a")) },
		func(dir string) bool {
			_, err := os.Lstat(filepath.Join(dir, "a"))
			return os.IsNotExist(err)
		},
	},
}

func holds(dir, name, content string) bool {
	got, err := os.ReadFile(filepath.Join(dir, name))
	return err == nil && string(got) == content
}

// allThere looks for the last file first: it is asked often while the burst is
// on its way.
func allThere(dir string) bool {
	last := demoFiles - 1
	if !holds(dir, fmt.Sprintf("file-%04d", last), fmt.Sprintf("content of file %d\n", last)) {
		return false
	}
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == demoFiles
}

// sameTrees compares two trees to the last nanosecond and counts the entries.
func sameTrees(a, b string) (entries int, err error) {
	left, err := fingerprints(a)
	if err != nil {
		return 0, err
	}
	right, err := fingerprints(b)
	if err != nil {
		return 0, err
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		if left[name] != right[name] {
			return 0, fmt.Errorf("%s: %s here, %s there: %w", tree.Quote(name), left[name], right[name], errDifferent)
		}
		delete(right, name)
	}
	for name := range right {
		return 0, fmt.Errorf("%s is in the target only: %w", tree.Quote(name), errDifferent)
	}
	return len(left), nil
}

// fingerprints says all that a mirror keeps of each entry below dir.
func fingerprints(dir string) (map[string]string, error) {
	prints := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(name)
		if err != nil {
			return err
		}
		var content []byte
		switch info.Mode().Type() {
		case 0:
			if content, err = os.ReadFile(name); err != nil {
				return err
			}
		case fs.ModeSymlink:
			to, err := os.Readlink(name)
			if err != nil {
				return err
			}
			content = []byte(to)
		}
		var owner bytes.Buffer
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			fmt.Fprintf(&owner, "%d:%d", stat.Uid, stat.Gid)
		}
		rel, err := filepath.Rel(dir, name)
		prints[rel] = fmt.Sprintf("%s %s %x %d", info.Mode(), owner.String(), sha256.Sum256(content), info.ModTime().UnixNano())
		return err
	})
	return prints, err
}
