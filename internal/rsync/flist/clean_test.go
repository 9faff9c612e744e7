package flist_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// sent encodes entries as the only list.
func sent(t testing.TB, o flist.Options, entries ...flist.Entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := wire.NewWriter(&buf)
	enc, err := flist.NewEncoder(w, o, nil)
	must(t, err)
	enc.Begin()
	for i := range entries {
		must(t, enc.Add(&entries[i]))
	}
	enc.End(0)
	must(t, w.Flush())
	return buf.Bytes()
}

// named is an entry by its path; a slash at the end makes it a directory.
func named(name string) flist.Entry {
	kind := tree.File
	if trimmed, ok := strings.CutSuffix(name, "/"); ok || name == "." {
		kind, name = tree.Dir, strings.TrimPrefix(trimmed, ".")
	}
	p := tree.Path(name)
	return flist.Entry{Dir: p.Parent(), Name: p.Base(), Meta: meta(kind, 0o644, 0)}
}

func TestDuplicatesHoldTheirPlace(t *testing.T) {
	for _, c := range []struct {
		name      string
		protocols []int
		names     string
		want      string // in order; ! marks a dropped one
	}{
		{"files and directories", []int{29, 32}, "x d/ d/ x . .", ". !. x !x d !d"},
		{"files and directories of one string order", []int{27, 28}, "x d/ d/ x . .", ". !. d !d x !x"},
		{"a directory wins over a file", []int{29, 32}, "a b/ b a/ c", "!a !b c a b"},
		{"a directory wins in one string order", []int{27, 28}, "a b/ b a/ c", "!a a b !b c"},
		{"the second of two directories among files", []int{28}, "a a/ a a/", "!a a !a !a"},
		{"many", []int{32}, "a a a a/ a/", "!a !a !a a !a"},
	} {
		for _, protocol := range c.protocols {
			var entries []flist.Entry
			for i, name := range strings.Fields(c.names) {
				e := named(name)
				e.Meta.Size = int64(i)
				entries = append(entries, e)
			}
			o := flist.Options{Protocol: protocol}
			list := decoded(t, sent(t, o, entries...), o, flist.Receive{})
			var got []string
			for _, f := range list.Order {
				name := string(f.Path)
				if name == "" {
					name = "."
				}
				if f.Dup {
					name = "!" + name
				}
				got = append(got, name)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s at protocol %d: %q", c.name, protocol, got)
			}
		}
	}
}

func TestMergedDirectoriesKeepWhatEitherIs(t *testing.T) {
	o := flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags}
	dir := func(name string, top, noContent bool) flist.Entry {
		e := named(name + "/")
		e.Top, e.NoContent = top, noContent
		return e
	}
	list := decoded(t, sent(t, o,
		dir("a", true, true), dir("a", true, false), // implied, then named
		dir("b", true, true), dir("b", true, true), // implied twice
		dir("c", false, true), dir("c", true, true), // without contents, then implied
	), o, flist.Receive{})
	want := []string{"top content", "dup", "implied", "dup implied", "", "dup implied"}
	for i, f := range list.Files {
		got := strings.Fields(fmt.Sprint(map[bool]string{true: "top "}[f.Top] + map[bool]string{true: "content "}[f.Content] + map[bool]string{true: "dup "}[f.Dup] + map[bool]string{true: "implied"}[f.Implied]))
		if i == 1 { // what the dropped one was does not matter
			got = []string{"dup"}
		}
		if strings.Join(got, " ") != want[i] {
			t.Errorf("%s: %q, not %q", f.Path, got, want[i])
		}
	}
}

func TestContentFollowsTopDirectoriesBelowProtocol30(t *testing.T) {
	top := func(name string) flist.Entry {
		e := named(name)
		e.Top = true
		return e
	}
	for _, c := range []struct {
		name     string
		relative bool
		entries  []flist.Entry
		want     string // of directories with content
	}{
		{"all below the root", false, []flist.Entry{top("."), named("a/"), named("a/b/")}, ". a a/b"},
		{"none without a top directory", false, []flist.Entry{named("."), named("a/")}, ""},
		{"all that follow, if names are not relative", false, []flist.Entry{top("a/"), named("a/b/"), named("c/")}, "a a/b c"},
		{"what lies below, if they are", true, []flist.Entry{named("x/"), top("x/a/"), named("x/a/b/"), named("x/c/"), named("x/a/d/")}, "x/a x/a/b"},
		{"a name that only begins like it", true, []flist.Entry{top("a/"), named("ab/"), named("a/c/")}, "a"},
	} {
		o := flist.Options{Protocol: 29}
		list := decoded(t, sent(t, o, c.entries...), o, flist.Receive{Relative: c.relative})
		var got []string
		for _, f := range list.Order {
			if f.Content {
				got = append(got, strings.Replace(f.Path.String(), `""`, ".", 1))
			}
		}
		if list.Order[0].Content && list.Order[0].Path == "" {
			got[0] = "."
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}

func TestEmptyDirectoriesArePruned(t *testing.T) {
	o := flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags}
	var entries []flist.Entry
	for _, name := range strings.Fields(". a/ a/b/ a/b/c/ d/ d/e/ d/e/f d/g/ keep/ keep/me/ keep/not/") {
		entries = append(entries, named(name))
	}
	keep := func(dir tree.Path) bool { return dir == "keep/me" }
	list := decoded(t, sent(t, o, entries...), o, flist.Receive{Prune: true, Keep: keep})
	var got []string
	for _, f := range list.Order {
		if !f.Dup {
			got = append(got, string(f.Path))
		}
	}
	if want := []string{"", "d", "d/e", "d/e/f", "keep", "keep/me"}; !slices.Equal(got, want) {
		t.Errorf("left are %q", got)
	}
}

func TestMissingParentsOfMissingArgumentsAreWarnedOf(t *testing.T) {
	for _, protocol := range []int{29, 32} {
		gone := func(name string) flist.Entry {
			e := named(name)
			e.Meta = tree.Meta{}
			return e
		}
		var warnings []string
		in := flist.Receive{DeleteMissing: true, Relative: true, Warn: func(c wire.Code, text string) { warnings = append(warnings, fmt.Sprintf("%s: %s", c, text)) }}
		o := flist.Options{Protocol: protocol}
		decoded(t, sent(t, o, gone("c/d/b"), gone("c/d/e"), gone("c/x"), gone("g"), gone("g/h")), o, in)
		want := []string{"ERROR: WARNING: parent dir is absent in the file list: c", "ERROR: WARNING: parent dir is absent in the file list: c/d"}
		slices.Sort(warnings)
		if !slices.Equal(warnings, want) {
			t.Errorf("protocol %d: %q", protocol, warnings)
		}
	}
}

func TestAcceptDecides(t *testing.T) {
	refused := errors.New("rejecting unrequested file-list name: b")
	for _, protocol := range []int{29, 32} {
		o := flist.Options{Protocol: protocol}
		top := func(name string) flist.Entry {
			e := named(name)
			e.Top = true
			return e
		}
		in := flist.Receive{Accept: func(path tree.Path, isDir bool) error {
			switch {
			case path == "b":
				return refused
			case path == "" && isDir, path == "a":
				return flist.ErrParentOnly
			}
			return nil
		}}
		list := decoded(t, sent(t, o, top("."), top("a/"), named("a/c")), o, in)
		for _, f := range list.Order[:2] {
			if f.Path == "a/c" {
				continue
			}
			if f.Top || f.Content || f.Implied != (protocol >= 30) {
				t.Errorf("protocol %d: %q is %+v", protocol, f.Path, f)
			}
		}
		dec, _ := decoding(t, sent(t, o, named("b")), o, in)
		if _, err := dec.First(); !errors.Is(err, refused) || !errors.Is(err, flist.ErrUnsafe) {
			t.Errorf("protocol %d: %v", protocol, err)
		}
		dec, _ = decoding(t, sent(t, o, named("a")), o, in)
		if _, err := dec.First(); !errors.Is(err, flist.ErrUnsafe) {
			t.Errorf("protocol %d: a parent that is a file: %v", protocol, err)
		}
	}
}

func TestChangeSeesEachFileOnce(t *testing.T) {
	o := archive(32, wire.VarintFlistFlags)
	link := named("s")
	link.Meta.Kind, link.Target = tree.Symlink, "x"
	second := aTxt
	second.Name = "b.txt"
	calls := 0
	in := flist.Receive{DeleteMissing: true, Change: func(f *flist.File) {
		calls++
		f.Meta.Perm = f.Meta.Perm&^0o007 + 1
	}}
	list := decoded(t, sent(t, o, named("d/"), link, aTxt, second, named("last"), flist.Entry{Name: "gone"}), o, in)
	var got []string
	for _, f := range list.Order {
		got = append(got, fmt.Sprintf("%s %o", f.Path, f.Meta.Perm))
	}
	if want := []string{"a.txt 641", "b.txt 641", "gone 0", "last 641", "s 644", "d 641"}; !slices.Equal(got, want) || calls != 3 {
		t.Errorf("%q after %d calls", got, calls)
	}
}
