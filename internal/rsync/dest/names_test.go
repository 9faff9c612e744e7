package dest_test

import (
	"regexp"
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
)

func TestTemporaryNames(t *testing.T) {
	long := strings.Repeat("x", 246)
	for _, c := range []struct{ base, want string }{
		{"a.txt", "a.txt"},
		{long, long},
		{long + "yz", long},
		{long[1:] + "\u00e9", long[1:]},
		{long[2:] + "\u00e9\u00e9", long[2:]},
		{long[1:] + ".tar", long[1:]},
	} {
		for prefix, name := range map[string]string{".": dest.HiddenTemp(c.base), "": dest.ScratchTemp(c.base)} {
			if want := regexp.MustCompile("^" + regexp.QuoteMeta(prefix+c.want) + `\.[A-Za-z0-9]{6}$`); !want.MatchString(name) {
				t.Errorf("%q gives %q, which is not %s", c.base, name, want)
			}
		}
		if n := len(dest.HiddenTemp(c.base)); n > 255 {
			t.Errorf("%q has %d bytes", c.base, n)
		}
	}
	if name := dest.HiddenTemp(".bashrc"); !strings.HasPrefix(name, ".bashrc.") {
		t.Errorf("a leading dot is doubled: %q", name)
	}
}

func TestSafeLinks(t *testing.T) {
	g := newTarget(t, func(o *option.Set) { o.SafeLinks = true })
	for _, c := range []struct {
		at     tree.Path
		target string
		unsafe bool
	}{
		{"l", "a", false},
		{"l", "", true},
		{"l", "/etc/passwd", true},
		{"l", "../a", true},
		{"dir/l", "../a", false},
		{"dir/l", "../../a", true},
		{"dir/l", "./.././a", false},
		{"dir/l", "a/../b", true},
		{"dir/l", "a/..", true},
		{"dir/sub/l", "../..", false},
		{"dir/sub/l", "../../..", true},
		{"l", "a..b/..c", false},
	} {
		f := &flist.File{Path: c.at, Meta: flist.Meta{Kind: tree.Symlink}}
		f.Own().Target = c.target
		if got := g.d.Unsafe(f); got != c.unsafe {
			t.Errorf("%s -> %q: unsafe is %v", c.at, c.target, got)
		}
	}
	munged := newTarget(t, func(o *option.Set) { o.SafeLinks, o.MungeLinks = true, true })
	f := &flist.File{Path: "l"}
	f.Own().Target = "a"
	if !munged.d.Unsafe(f) || munged.d.Target(f) != "/rsyncd-munged/a" {
		t.Error("a munged link is safe")
	}
}

func FuzzHarmless(f *testing.F) {
	for _, name := range []string{"a", "../a", "/etc/passwd", "a//b/./..", "\x00"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got := tree.Path(dest.Harmless(name)); !got.Valid() {
			t.Errorf("%q became %q", name, got)
		}
	})
}

// FuzzUnsafeTarget follows targets that are called safe by hand.
func FuzzUnsafeTarget(f *testing.F) {
	for _, c := range [][2]string{{"a/l", "../b"}, {"l", "a/.."}, {"a/b/l", "../.././c"}} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, from, target string) {
		p, err := tree.Clean(from)
		if err != nil || p == tree.Root || dest.UnsafeTarget(target, p) {
			return
		}
		depth := p.Depth() - 1
		for part := range strings.SplitSeq(target, "/") {
			switch part {
			case "", ".":
			case "..":
				depth--
			default:
				depth++
			}
			if depth < 0 {
				t.Fatalf("%q at %q leads out of the tree", target, p)
			}
		}
		if strings.HasPrefix(target, "/") {
			t.Errorf("%q is absolute", target)
		}
	})
}
