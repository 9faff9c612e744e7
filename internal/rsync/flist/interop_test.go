package flist_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
)

type sourceVariant struct {
	protocol    int
	incremental bool
	plain       bool
}

var sourceVariants = []sourceVariant{
	{27, false, false}, {28, false, false}, {29, false, false}, {30, false, false}, {30, true, true},
	{31, false, true}, {31, true, false}, {32, false, false}, {32, true, false}, {32, true, true},
}

func eachSource(t *testing.T, f func(t *testing.T, o sourceOptions)) {
	for _, v := range sourceVariants {
		name := fmt.Sprint("protocol ", v.protocol)
		if v.incremental {
			name += " incremental"
		}
		if v.plain {
			name += " with short flags"
		}
		t.Run(name, func(t *testing.T) {
			f(t, sourceOptions{protocol: v.protocol, incremental: v.incremental, plain: v.plain})
		})
	}
}

// sourceTree makes a tree of about n files that hold their own names.
func sourceTree(t *testing.T, seed uint64, n int) (dir string, count int) {
	t.Helper()
	dir = t.TempDir()
	rng := rand.New(rand.NewPCG(seed, 0))
	dirs := []string{""}
	letters := []string{"a", "b", "-", ".", "0", "~", " ", "é", "ÿ"}
	for range n {
		var name strings.Builder
		for range 1 + rng.IntN(4) {
			name.WriteString(letters[rng.IntN(len(letters))])
		}
		if strings.Trim(name.String(), ".") == "" {
			continue
		}
		path := filepath.Join(dirs[rng.IntN(len(dirs))], name.String())
		full := filepath.Join(dir, path)
		if _, err := os.Lstat(full); err == nil {
			continue
		}
		if rng.IntN(4) == 0 {
			must(t, os.Mkdir(full, 0o755))
			dirs = append(dirs, path)
			continue
		}
		must(t, os.WriteFile(full, []byte(path), 0o644))
		count++
	}
	return dir, count
}

// checkIndexes asks a real sender for every file by the index that it has here;
// the files hold their names without prefix.
func checkIndexes(t *testing.T, o sourceOptions, prefix string) (files int) {
	t.Helper()
	s := startSource(t, o)
	_, lists, err := s.lists(flist.Receive{Relative: strings.Contains(strings.Join(o.args, " "), "-R")})
	if err != nil {
		t.Fatalf("%v; rsync says %q %s", err, s.said, s.stderr.String())
	}
	for _, list := range lists {
		for i, f := range list.Files {
			if f.Index != list.Start+int32(i) {
				t.Fatalf("%s has index %d, not %d", f.Path, f.Index, list.Start+int32(i))
			}
			if f.Meta.Kind != tree.File || f.Dup {
				continue
			}
			files++
			if got := s.fetch(f.Index); prefix+got != string(f.Path) {
				t.Fatalf("index %d is %s here and %q there", f.Index, f.Path, got)
			}
		}
	}
	return files
}

func TestIndexesNameTheFilesThatTheSenderMeans(t *testing.T) {
	const files = 60
	for _, shape := range []struct {
		name string
		args []string
		how  func(dir string) (cwd string, paths []string, prefix string)
	}{
		{"content of a directory", nil, func(dir string) (string, []string, string) { return dir, []string{"./"}, "" }},
		{"a directory by name", nil, func(dir string) (string, []string, string) {
			return filepath.Dir(dir), []string{filepath.Base(dir)}, filepath.Base(dir) + "/"
		}},
		{"twice", nil, func(dir string) (string, []string, string) { return dir, []string{"./", "./"}, "" }},
		{"relative", []string{"-R"}, func(dir string) (string, []string, string) {
			return filepath.Dir(dir), []string{filepath.Base(dir)}, filepath.Base(dir) + "/"
		}},
		{"relative and absolute", []string{"-R"}, func(dir string) (string, []string, string) {
			return "/", []string{dir}, dir[1:] + "/"
		}},
		{"in transmission order", []string{"--iconv=utf8"}, func(dir string) (string, []string, string) { return dir, []string{"./"}, "" }},
	} {
		t.Run(shape.name, func(t *testing.T) {
			dir, count := sourceTree(t, 7, files)
			eachSource(t, func(t *testing.T, o sourceOptions) {
				var prefix string
				o.letters, o.args = "logDtpr", shape.args
				o.dir, o.paths, prefix = shape.how(dir)
				if got := checkIndexes(t, o, prefix); got != count {
					t.Errorf("%d of %d files are listed", got, count)
				}
			})
		})
	}
}

// TestAbsoluteAndRelativeNamesAreSortedAsTheyTravel mixes both: what becomes
// one path here has two places in the list.
func TestAbsoluteAndRelativeNamesAreSortedAsTheyTravel(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/f", "a/s/g", "zf"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(filepath.Join(dir, name)[1:]), 0o644))
	}
	rel := dir[1:]
	eachSource(t, func(t *testing.T, o sourceOptions) {
		o.letters, o.args, o.dir = "rlt", []string{"-R"}, "/"
		o.paths = []string{dir + "/a", rel + "/a", rel + "/zf", dir + "/zf"}
		if got := checkIndexes(t, o, ""); got != 6 {
			t.Errorf("%d files are listed", got)
		}
		o.letters = "dlt"
		o.incremental = false
		o.paths = []string{"/", rel + "/zf", dir + "/zf"}
		s := startSource(t, o)
		_, lists, err := s.lists(flist.Receive{Relative: true})
		must(t, err)
		for _, f := range lists[0].Files {
			if strings.HasSuffix(string(f.Path), "/zf") {
				if got := s.fetch(f.Index); got != string(f.Path) {
					t.Errorf("index %d is %s here and %q there", f.Index, f.Path, got)
				}
			}
		}
	})
}
