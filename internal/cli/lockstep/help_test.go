package lockstep_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lockstep/internal/cli/lockstep"
	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
)

func TestEveryCommandHasHelpWithExamples(t *testing.T) {
	root := lockstep.Root()
	for _, cmd := range append(root.Commands(), root) {
		if cmd.Short == "" {
			t.Errorf("%s: no short help", cmd.Name())
		}
		if cmd.Runnable() && !strings.Contains(cmd.Example, "lockstep ") {
			t.Errorf("%s: no example", cmd.Name())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s: no help", cmd.Name(), f.Name)
			}
		})
	}
}

// TestExamplesParse runs every example of a command's help as far as its flags.
func TestExamplesParse(t *testing.T) {
	for _, cmd := range lockstep.Root().Commands() {
		for line := range strings.Lines(cmd.Example) {
			words := shellWords(line)
			if len(words) < 2 || words[0] != "lockstep" {
				continue
			}
			found, rest, err := lockstep.Root().Find(words[1:])
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil && found.Args != nil {
				err = found.Args(found, found.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %v", strings.TrimSpace(line), err)
			}
		}
	}
}

// shellWords splits a line at blanks outside single quotes, up to a comment, a
// pipe or a redirection.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	quoted := false
	for _, r := range strings.TrimSpace(line) + " " {
		switch {
		case r == '\'':
			quoted = !quoted
		case r == ' ' && !quoted:
			if w := word.String(); w == "#" || w == ">" || w == "|" {
				return words
			} else if w != "" {
				words = append(words, w)
			}
			word.Reset()
		default:
			word.WriteRune(r)
		}
	}
	return words
}

func TestErrorsHaveTheirExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{fmt.Errorf("walk: %w", mirror.ErrSourceGone), 3},
		{errors.New("the kernel said no"), 11},
		{fmt.Errorf("web1: %w", mirror.ErrOutOfStep), 23},
		{fmt.Errorf("web1: %w", mirror.ErrMaxDelete), 25},
	} {
		if got := lockstep.CodeOf(c.err); got != c.code {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.code)
		}
		if _, documented := lockstep.ExitCodes()[c.code]; !documented {
			t.Errorf("exit code %d is not in the table", c.code)
		}
	}
}

func TestFlagValues(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"5": 5 * time.Second, "0": 0, "0.25": 250 * time.Millisecond, "250ms": 250 * time.Millisecond, "2m30s": 150 * time.Second,
	} {
		if got, err := lockstep.ParseDuration(in); err != nil || got != want {
			t.Errorf("a time of %s is %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "soon", "-1", "-5s", "1e300", "NaN", "Inf"} {
		if got, err := lockstep.ParseDuration(in); err == nil {
			t.Errorf("a time of %q is accepted as %v", in, got)
		}
	}
}

func TestHintsCanBePasted(t *testing.T) {
	for in, want := range map[string]string{
		"/etc/web1.pass": "/etc/web1.pass", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'", "~/x": "'~/x'",
	} {
		if got := tree.ShellWord(in); got != want {
			t.Errorf("the word %q is quoted as %s, want %s", in, got, want)
		}
	}
}

func TestCompletionOffersWhatFlagsTake(t *testing.T) {
	root := lockstep.Root()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs([]string{cobra.ShellCompRequestCmd, "demo", "--watch", ""})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"auto", "fanotify", "inotify", "poll"} {
		if !strings.Contains(out.String(), word+"\n") {
			t.Errorf("--watch is not completed with %s: %q", word, out.String())
		}
	}
}
