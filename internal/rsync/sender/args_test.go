package sender_test

import (
	"errors"
	"path"
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/sender"
)

func TestArgumentsAreTakenApart(t *testing.T) {
	type parsed = sender.ParsedArgument
	for _, c := range []struct {
		text            string
		plain, relative parsed
	}{
		{"a", parsed{Name: "a"}, parsed{Name: "a"}},
		{"a/", parsed{Dir: "a", Slash: true}, parsed{Name: "a", Slash: true}},
		{"a/.", parsed{Dir: "a", Slash: true}, parsed{Name: "a", Slash: true}},
		{"d//", parsed{Dir: "d/", Slash: true}, parsed{Name: "d", Slash: true}},
		{"d//./e", parsed{Dir: "d//.", Name: "e"}, parsed{Dir: "d", Name: "e"}},
		{"d//e/a", parsed{Dir: "d//e", Name: "a"}, parsed{Name: "d/e/a"}},
		{".", parsed{Slash: true}, parsed{Slash: true}},
		{"./", parsed{Dir: ".", Slash: true}, parsed{Slash: true}},
		{"./a", parsed{Dir: ".", Name: "a"}, parsed{Name: "a", DotRoot: true}},
		{"d/./e/a", parsed{Dir: "d/./e", Name: "a"}, parsed{Dir: "d", Name: "e/a"}},
		{"d/././e", parsed{Dir: "d/./.", Name: "e"}, parsed{Dir: "d", Name: "e", DotRoot: true}},
		{"d/./", parsed{Dir: "d/.", Slash: true}, parsed{Dir: "d", Slash: true}},
		{"d/.//e", parsed{Dir: "d/./", Name: "e"}, parsed{Dir: "d", Name: "e"}},
		{"/", parsed{Dir: "/", Slash: true}, parsed{Name: "/", Slash: true}},
		{"/a/b", parsed{Dir: "/a", Name: "b"}, parsed{Name: "/a/b"}},
		{"/./a", parsed{Dir: "/.", Name: "a"}, parsed{Dir: "/", Name: "a"}},
		{"./.", parsed{Dir: ".", Slash: true}, parsed{Slash: true, DotRoot: true}},
	} {
		for _, relative := range []bool{false, true} {
			want := c.plain
			if relative {
				want = c.relative
			}
			got, err := sender.ParseArgument(c.text, relative)
			if err != nil || got != want {
				t.Errorf("%q, relative %v: %+v, %v; want %+v", c.text, relative, got, err, want)
			}
		}
	}
	if got, err := sender.ParseArgument("d/..", false); err != nil || got != (parsed{Dir: "d/..", Slash: true}) {
		t.Errorf("a directory above: %+v, %v", got, err)
	}
	for _, text := range []string{"..", "d/../e", "s/./d/.."} {
		var said *sender.Error
		if _, err := sender.ParseArgument(text, true); !errors.As(err, &said) || said.ExitCode() != 1 {
			t.Errorf("%q, relative: %v", text, err)
		}
	}
}

func FuzzArguments(f *testing.F) {
	for _, text := range []string{"a/./b", "/", "././", "d//../e/.", "../x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := sender.ParseArgument(text, true); err == nil {
			if name := strings.TrimPrefix(a.Name, "/"); name != "" && (path.Clean(name) != name || strings.HasPrefix(name, "..") && (len(name) == 2 || name[2] == '/')) {
				t.Errorf("%q names %q", text, a.Name)
			}
		}
		if a, err := sender.ParseArgument(text, false); err != nil || strings.Contains(a.Name, "/") || a.Name == ".." || a.Name == "." {
			t.Errorf("%q names %q, %v", text, a.Name, err)
		}
		clean := sender.Sanitized(text, len(text)%2 == 0)
		depth := 0
		for part := range strings.SplitSeq(clean, "/") {
			if part == ".." {
				depth--
			}
			if depth < 0 || strings.HasPrefix(clean, "/") {
				t.Errorf("%q becomes %q, which leads out", text, clean)
			}
		}
	})
}

func TestNamesOfAListStayInside(t *testing.T) {
	for name, want := range map[string]string{"./d/./../a": "a", "d/.": "d/", "d/e/..": "d/", "./a": "a"} {
		if got := sender.Sanitized(name, false); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"a": "a", "/a/b/": "a/b/", "../../a": "a", "d/../../a": "a", "d/..": ".", "/": ".", "d/./../a": "d/a", "d/./sub/../b": "d/./b", "a//b": "a/b",
	} {
		if got := sender.Sanitized(name, true); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

// TestUnsafeTargets has the verdicts of rsync 3.5.0 on links in a/b.
func TestUnsafeTargets(t *testing.T) {
	for target, unsafe := range map[string]bool{
		"../../x": false, "../x": false, "../../../x": true, "./../x": true, "a/..": true, "b/../c": true, "..": false, "../..": true, "../../..": true,
		".//..//x": true, "x/./y": false, "x//y": false, ".": false, "./": false, "a/": false, "..x/y": false, "x/..y": false, "../a/../b": true,
		"/..": true, ".//../../..": true, "": true, "/abs": true,
	} {
		if got := sender.UnsafeLink(target, "a/b/link"); got != unsafe {
			t.Errorf("a/b/link -> %q: unsafe is %v", target, got)
		}
	}
	for link, unsafe := range map[tree.Path]bool{"link": true, "a/link": false} {
		if got := sender.UnsafeLink("../x", link); got != unsafe {
			t.Errorf("%s -> ../x: unsafe is %v", link, got)
		}
	}
}
