package inotify_test

import (
	"os/exec"
	"strings"
	"testing"

	"lockstep/internal/cli/inotify"
)

// grep is the oracle: it uses the C library's expressions, as inotifywait does.
func grep(t *testing.T, expr, path string, fold bool) bool {
	t.Helper()
	args := []string{"-Eq", "-e", expr}
	if fold {
		args = append(args, "-i")
	}
	cmd := exec.Command("grep", args...)
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Stdin = strings.NewReader(path + "\n")
	return cmd.Run() == nil
}

func TestExpressionsMatchAsTheCLibrarysDo(t *testing.T) {
	paths := []string{
		"./src/a.swp", "/web/.git/index", "d/é", "a+b", "x{1}", "tab\there", "[x]", "back\\slash", "aab", "word_1 two", "A.TXT", "d/\xff", "]",
	}
	for _, expr := range []string{
		`(\.swp|~|\.git/)`, `\.swp$`, `^\./src`, `d/..$`, `d/.$`, `a\+b`, `x\{1}`, `x{1}`, `a{2}b`, `a{2,}`, `[[:space:]]`, `[^[:alnum:]]$`,
		`\w+ \w+`, `\bindex\b`, `\<two\>`, `[]]`, `[\]`, `[^]]`, `a|b|`, `\d`, `(a)(b)`, `\.(txt|TXT)$`, `[a-c]+`, `a*`, `()`, `[[.a.]]b`, `[x]{1}`,
	} {
		for _, path := range paths {
			for _, fold := range []bool{false, true} {
				got, err := inotify.Matches(expr, path, fold)
				if err != nil {
					t.Fatalf("%q: %v", expr, err)
				}
				if want := grep(t, expr, path, fold); got != want {
					t.Errorf("%q on %q, any case %v: %v, grep says %v", expr, path, fold, got, want)
				}
			}
		}
	}
}

func TestExpressionsThatAreRefused(t *testing.T) {
	for _, expr := range []string{`(`, `[a`, `a\`, `(a)\1`, `[[:nosuch:]]`} {
		if _, err := inotify.Matches(expr, "x", false); err == nil {
			t.Errorf("%q was taken", expr)
		}
	}
}

func FuzzExpression(f *testing.F) {
	f.Add(`(\.swp|~)`, "a~")
	f.Add(`[[:alpha:]]{2,3}`, "\xff")
	f.Fuzz(func(t *testing.T, expr, path string) {
		_, _ = inotify.Matches(expr, path, true) // no panic
	})
}
