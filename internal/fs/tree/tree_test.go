package tree_test

import (
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		bad            bool
	}{
		{name: "the root has several spellings", in: "/./", want: ""},
		{name: "slashes and dots are folded", in: "//a/./b//", want: "a/b"},
		{name: "three dots are a name", in: "a/...", want: "a/..."},
		{name: "dot dot is refused", in: "a/../b", bad: true},
		{name: "NUL is refused", in: "a\x00b", bad: true},
		{name: "a name may have 255 bytes", in: strings.Repeat("n", 255), want: strings.Repeat("n", 255)},
		{name: "a name of 256 bytes is refused", in: strings.Repeat("n", 256), bad: true},
		{name: "a path of 4096 bytes is refused", in: strings.Repeat("abcdefg/", 512) + "abcdefgh", bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := tree.Clean(c.in)
			if (err != nil) != c.bad || string(got) != c.want {
				t.Fatalf("Clean(%q) = %q, %v", c.in, string(got), err)
			}
			if err == nil && !got.Valid() {
				t.Fatalf("Clean(%q) = %q is not Valid", c.in, string(got))
			}
		})
	}
}

func TestPathsRelateByComponents(t *testing.T) {
	if !tree.Path("a/b").Within("a") || tree.Path("ab").Within("a") || !tree.Path("a").Within("") {
		t.Error("Within does not go by components")
	}
	if tree.Path("a").Below("a") || !tree.Path("a/b").Below("a") {
		t.Error("Below must be strict")
	}
	if got := tree.Path("a/b/c").Rebase("a/b", "x"); got != "x/c" {
		t.Errorf("Rebase = %q", got)
	}
	if got := tree.Path("a/b").Rebase("a/b", ""); got != "" {
		t.Errorf("Rebase to the root = %q", got)
	}
	if p := tree.Path("a/b"); p.Parent() != "a" || p.Base() != "b" || p.Depth() != 2 {
		t.Errorf("Parent, Base, Depth = %q %q %d", p.Parent(), p.Base(), p.Depth())
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"plain name":    "plain name",
		"ünïcode":       "ünïcode",
		" lead":         `" lead"`,
		"new\nline":     `"new\nline"`,
		"bad\xffutf8":   `"bad\xffutf8"`,
		"\x1b[31mred":   `"\x1b[31mred"`,
		`q"uote`:        `"q\"uote"`,
		"\ufffd":        "\ufffd",
		"":              `""`,
		"rtl\u202ename": `"rtl\u202ename"`,
	} {
		if got := tree.Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestModeRoundTrip(t *testing.T) {
	for k := tree.File; k <= tree.Socket; k++ {
		m := tree.Meta{Kind: k, Perm: 0o4751}
		got, ok := tree.KindOfMode(m.Mode())
		if !ok || got != k {
			t.Errorf("KindOfMode(%o) = %v, %v; want %v", m.Mode(), got, ok, k)
		}
	}
	if _, ok := tree.KindOfMode(0o170000); ok {
		t.Error("an unknown type was accepted")
	}
}
