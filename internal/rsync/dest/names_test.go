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
		f := &flist.File{Path: c.at, Target: c.target, Meta: tree.Meta{Kind: tree.Symlink}}
		if got := g.d.Unsafe(f); got != c.unsafe {
			t.Errorf("%s -> %q: unsafe is %v", c.at, c.target, got)
		}
	}
	munged := newTarget(t, func(o *option.Set) { o.SafeLinks, o.MungeLinks = true, true })
	if f := (&flist.File{Path: "l", Target: "a"}); !munged.d.Unsafe(f) || munged.d.Target(f) != "/rsyncd-munged/a" {
		t.Error("a munged link is safe")
	}
}
