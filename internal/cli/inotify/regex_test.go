package inotify_test

import (
	"math/rand/v2"
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

// bashMatches is the oracle for what is an error, too: it hands expressions to
// the C library without looking at them. Each pair is an expression and a path
// without blanks at its ends; the answers are bash's: 0 a match, 1 none, 2 an
// error.
func bashMatches(t *testing.T, pairs [][2]string) []string {
	t.Helper()
	var in strings.Builder
	for _, p := range pairs {
		in.WriteString(p[0] + "\t" + p[1] + "\n")
	}
	cmd := exec.Command("bash", "-c", `while IFS=$'\t' read -r expr path; do [[ $path =~ $expr ]]; echo $?; done`)
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// Made of pieces at random, most expressions are odd ones. \< and \> are left
// out: they match at both ends of a word (docs/divergence.md).
func TestRandomExpressionsMatchAsTheCLibrarysDo(t *testing.T) {
	pieces := []string{
		"a", "b", "/", ".", "*", "+", "?", "(", ")", "|", "[ab]", "[^a]", "[a-b]", "[[:alpha:]]", "^", "$", "{2}", "{1,}", "{,2}", "{1,2}",
		"{", "}", "]", "{}", `\.`, `\(`, `\w`, `\W`, `\b`, `\B`, `\d`, "(a|b)", "é",
	}
	const seed, chars = 1, "ab./{}()1é"
	rng := rand.New(rand.NewPCG(seed, 0))
	var pairs [][2]string
	for range 3000 {
		expr, path := "", "x"
		for range 1 + rng.IntN(6) {
			expr += pieces[rng.IntN(len(pieces))]
		}
		for range rng.IntN(5) {
			path += chars[rng.IntN(len(chars)):][:1]
		}
		pairs = append(pairs, [2]string{expr, path})
	}
	for i, want := range bashMatches(t, pairs) {
		matches, err := inotify.Matches(pairs[i][0], pairs[i][1], false)
		got := "1"
		switch {
		case err != nil:
			got = "2"
		case matches:
			got = "0"
		}
		if got != want {
			t.Errorf("seed %d: %q on %q: %s (%v), the C library says %s", seed, pairs[i][0], pairs[i][1], got, err, want)
		}
	}
}

func TestExpressionsThatAreRefused(t *testing.T) {
	for _, expr := range []string{`(`, `[a`, `a\`, `(a)\1`, `[[:nosuch:]]`, `*.tmp`, `a{b`, `^*`} {
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
