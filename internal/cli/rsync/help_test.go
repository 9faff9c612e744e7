package rsync_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"lockstep/internal/cli/rsync"
)

// run runs the face with words, and returns what it printed.
func run(words ...string) (out, errs string, code int) {
	var stdout, stderr bytes.Buffer
	c := &rsync.Command{
		Name: "rsync", Words: words, In: strings.NewReader(""), Out: &stdout, Err: &stderr,
		Getenv: func(string) string { return "" },
	}
	code = c.Run(context.Background())
	return stdout.String(), stderr.String(), code
}

// reference is what the installed rsync 3.5.0 prints.
func reference(t *testing.T, words ...string) (out, errs string, code int) {
	t.Helper()
	version, err := exec.Command("rsync", "--version").Output()
	if err != nil || !bytes.HasPrefix(version, []byte("rsync  version 3.5.0 ")) {
		t.Skip("no rsync 3.5.0 is installed")
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("rsync", words...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// from cuts off what comes before a mark.
func from(t *testing.T, text, mark string) string {
	t.Helper()
	at := strings.Index(text, mark)
	if at < 0 {
		t.Fatalf("there is no %q in %q", mark, text)
	}
	return text[at:]
}

func TestHelpListsWhatRsyncLists(t *testing.T) {
	for _, words := range [][]string{{"--help"}, {"-h"}, {"-hh"}, {"--help", "--nope"}} {
		out, _, code := run(words...)
		want, _, _ := reference(t, words...)
		got, _, _ := strings.Cut(from(t, out, "Usage: rsync"), "\nUse \"rsync --daemon")
		ref, _, _ := strings.Cut(from(t, want, "Usage: rsync"), "\nUse \"rsync --daemon")
		if got != ref || code != 0 {
			t.Errorf("%q: code %d\n%s\nwant\n%s", words, code, got, ref)
		}
	}
}

func TestDaemonHelpIsThatOfRsync(t *testing.T) {
	for _, words := range [][]string{{"--daemon", "--help"}, {"--daemon", "-h"}} {
		out, _, code := run(words...)
		want, _, _ := reference(t, words...)
		got, own, _ := strings.Cut(from(t, out, "Usage: rsync"), "\nOptions that rsync does not have")
		if got != from(t, want, "Usage: rsync") || !strings.Contains(own, "--tls-cert=FILE") || code != 0 {
			t.Errorf("%q: code %d\n%s\n%s", words, code, got, own)
		}
	}
}

func TestWordListsAreThoseOfRsync(t *testing.T) {
	for _, words := range [][]string{{"--info=help"}, {"--debug=help"}, {"--info=name,HELP2", "--nope"}} {
		out, errs, code := run(words...)
		refOut, refErrs, refCode := reference(t, words...)
		if out != refOut || errs != refErrs || code != refCode {
			t.Errorf("%q: %d %q %q\nwant %d %q %q", words, code, out, errs, refCode, refOut, refErrs)
		}
	}
}

func TestVersionHasTheFirstLineThatScriptsRead(t *testing.T) {
	for _, words := range [][]string{{"--version"}, {"-V"}, {"--version", "-a", "x"}, {"-hV"}} {
		out, errs, code := run(words...)
		if first, _, _ := strings.Cut(out, "\n"); first != "rsync  version 3.5.0-lockstep  protocol version 32" || errs != "" || code != 0 {
			t.Errorf("%q: %d %q %q", words, code, first, errs)
		}
	}
	out, _, _ := run("--version")
	want, _, _ := reference(t, "--version")
	lists := func(text string) string {
		text, _, _ = strings.Cut(from(t, text, "Checksum list:"), "\n\n")
		return text
	}
	if lists(out) != lists(want) {
		t.Errorf("lists of algorithms:\n%s\nwant\n%s", lists(out), lists(want))
	}
	for line := range strings.Lines(out) {
		if len(line) > 80 {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
}

func TestVersionTwiceIsJSONInRsyncsShape(t *testing.T) {
	out, _, code := run("-VV")
	want, _, _ := reference(t, "-VV")
	var got, ref map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("code %d: %v in\n%s", code, err, out)
	}
	if err := json.Unmarshal([]byte(want), &ref); err != nil {
		t.Fatal(err)
	}
	sameKeys(t, "", got, ref)
	if got["version"] != "3.5.0-lockstep" || got["protocol"] != "32.0" {
		t.Errorf("version %v, protocol %v", got["version"], got["protocol"])
	}
}

// sameKeys holds that two objects have the same members, of the same types.
func sameKeys(t *testing.T, at string, got, want map[string]any) {
	t.Helper()
	for key, w := range want {
		g, ok := got[key]
		if !ok {
			t.Errorf("%s.%s is missing", at, key)
			continue
		}
		if inner, ok := w.(map[string]any); ok {
			g, _ := g.(map[string]any)
			sameKeys(t, at+"."+key, g, inner)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s.%s is not rsync's", at, key)
		}
	}
}

func TestWordsAreRefusedAsRsyncDoes(t *testing.T) {
	for _, words := range []string{
		"--nope a b", "-aZv a b", "--timeout=x a b", "--server --nope", "--server --timeout=x . x", "--server --max-size=5q . x",
		"--daemon --nope", "--config=x", "-v --detach", "--dparam=x", "--daemon -M xy", "--daemon --port=x", "--daemon --bwlimit=1x", "--server --daemon --version .",
		"--info=foo a b", "--delete a b", "--checksum-choice=foo a b", "--cc=foo,md5 a b", "--cc=md5,foo a b", "--zc=foo a b", "--zc=zlib,zstd a b",
		"a:b c:d", "a b:c d", "host:x y z", "--stderr=foo a b", "-M foo a b", "--outbuf=x a b", "--contimeout=5 nope d",
	} {
		_, errs, code := run(strings.Fields(words)...)
		_, refErrs, refCode := reference(t, strings.Fields(words)...)
		// The place and the version are ours.
		place := func(text string) string {
			text = strings.ReplaceAll(text, "3.5.0-lockstep", "3.5.0")
			before, rest, ok := strings.Cut(text, " at ")
			if _, role, found := strings.Cut(rest, " ["); ok && found {
				return before + " [" + role
			}
			return text
		}
		if place(errs) != place(refErrs) || code != refCode {
			t.Errorf("%s: %d %q\nwant %d %q", words, code, errs, refCode, refErrs)
		}
	}
}

func TestMissingWordsGetTheHelp(t *testing.T) {
	for _, words := range []string{"", "-v", "--sender a b", "--server", "--files-from=- a", "--no-h", "-h -h"} {
		out, errs, code := run(strings.Fields(words)...)
		_, refErrs, refCode := reference(t, strings.Fields(words)...)
		last := func(text string) string {
			return text[strings.LastIndex(text, "\nrsync error:"):strings.LastIndex(text, " at ")]
		}
		if out != "" || code != refCode || !strings.Contains(errs, "Usage: rsync") || last(errs) != last(refErrs) {
			t.Errorf("%q: %d %q", words, code, errs)
		}
	}
}
