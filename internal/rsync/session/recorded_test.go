package session_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/session"
)

// recording is what a server was told in a real session.
type recording struct {
	words []string // of its command line, the last one a path
	said  []byte   // by the client
	heard int      // bytes, from the server
}

// recordings are sessions in which each role of a server does all that it can:
// the receiving ones get data for new, changed and linked files, and delete; the
// sending one answers with deltas. With incremental lists a client that does not
// wait for answers is ahead of the server, and cut off.
var recordings = []struct {
	words string
	push  bool
}{
	{"-rlptH --no-W --delete", true},
	{"-rlptH --no-W --delete --no-i-r", true},
	{"-rlpt --no-W --partial --backup --no-i-r", true},
	{"-rlptz --inplace --no-W --no-i-r", true},
	{"-rlptc --no-i-r --fuzzy", true},
	{"-rlpt --no-W --protocol=29 --delete-after", true},
	{"-rlpt --no-W --protocol=27", true},
	{"-rlpt --no-W --no-i-r", false},
	{"-rlptHz --no-W --no-i-r --exclude=none", false},
	{"-rlpt --no-W --protocol=28", false},
}

// sides makes a source and a destination in which some of it is.
func sides(t testing.TB, dir string) (src, dst string) {
	t.Helper()
	src, dst = filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	large := make([]byte, 20_000)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range large {
		large[i] = byte(rng.Uint32())
	}
	for _, d := range []string{src + "/d/e", dst + "/d/e", dst + "/extra"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, src+"/large", string(large), 0o644)
	write(t, dst+"/large", string(large[:9000])+"changed"+string(large[9000:]), 0o600)
	write(t, src+"/d/small", "some text", 0o644)
	write(t, src+"/d/e/new", "more text", 0o755)
	write(t, dst+"/extra/f", "to be deleted", 0o644)
	past := time.Unix(1e9, 0)
	for _, err := range []error{
		os.Link(src+"/d/small", src+"/linked"), os.Symlink("d/small", src+"/link"), os.Chtimes(dst+"/large", past, past),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return src, dst
}

// record runs a transfer through a remote shell that takes down what is said.
func record(t testing.TB, words string, push bool) recording {
	t.Helper()
	dir := t.TempDir()
	src, dst := sides(t, dir)
	rsh := filepath.Join(dir, "rsh")
	write(t, rsh, fmt.Sprintf("#!/bin/sh\nshift\nprintf '%%s\\n' \"$@\" > '%s/words'\ntee '%s/said' | sh -c \"$*\" | tee '%s/heard'\n", dir, dir, dir), 0o755)
	args := append(strings.Fields(words), "--checksum-seed=7", "-e", rsh, "--rsync-path="+serverPath(t, true))
	if push {
		args = append(args, src+"/", "host:"+dst+"/")
	} else {
		args = append(args, "host:"+src+"/", dst+"/")
	}
	if got := client(t, true, nil, args...); got.code != 0 {
		t.Fatalf("%s: %+v", words, got)
	}
	said, err := os.ReadFile(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	heard, err := os.Stat(filepath.Join(dir, "heard"))
	if err != nil {
		t.Fatal(err)
	}
	command := strings.Fields(read(filepath.Join(dir, "words")))
	return recording{words: command[1:], said: said, heard: int(heard.Size())}
}

// replayed is a client that says what it said before, and hangs up once it has
// heard half of what it heard then, or after some patience: a server that sends
// has its list out by then.
type replayed struct {
	*bytes.Reader
	missing  int // bytes still to be heard
	once     sync.Once
	all      chan struct{} // closed when there are none
	patience time.Duration
}

func (c *replayed) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		select {
		case <-c.all:
		case <-time.After(c.patience):
		}
	}
	return n, err
}

func (c *replayed) Close() error {
	c.hangUp()
	return nil
}

func (c *replayed) hangUp() { c.once.Do(func() { close(c.all) }) }

func (c *replayed) Write(p []byte) (int, error) {
	if c.missing -= len(p); c.missing <= 0 {
		c.hangUp()
	}
	return len(p), nil
}

// replay has a server hear said, in a directory as it was, and gives its exit
// code. Nothing beside the two trees may have changed.
func (r *recording) replay(t testing.TB, said []byte, patience time.Duration) int {
	t.Helper()
	dir := t.TempDir()
	src, dst := sides(t, dir)
	words := append([]string(nil), r.words...)
	words[len(words)-1] = src + "/"
	if strings.HasSuffix(r.words[len(words)-1], "/dst/") {
		words[len(words)-1] = dst + "/"
	}
	opt, err := option.Parse(option.Input{Words: words})
	if err != nil {
		t.Fatal(err)
	}
	c := &replayed{Reader: bytes.NewReader(said), missing: r.heard / 2, all: make(chan struct{}), patience: patience}
	s := session.Server{Opt: opt, Words: words, In: c, Out: c, Stderr: io.Discard, Getenv: func(string) string { return "" }}
	_, err = s.Run(t.Context())
	entries, listErr := os.ReadDir(dir)
	if listErr != nil || len(entries) != 2 {
		t.Errorf("beside the trees: %v, %v", entries, listErr)
	}
	if text := read(src + "/d/small"); text != "some text" {
		t.Errorf("the source holds %q", text)
	}
	return session.ExitCode(err)
}

// A recording that is replayed as it is is followed to its end, so that
// FuzzRecorded begins deep in both roles. What is received before the generator
// has come to it may fail.
func TestRecordingsCanBeReplayed(t *testing.T) {
	for _, c := range recordings {
		r := record(t, c.words, c.push)
		patience, want := 10*time.Second, []int{0}
		switch {
		case c.push && !strings.Contains(c.words, "--no-i-r") && !strings.Contains(c.words, "--protocol"):
			patience, want = 20*time.Millisecond, []int{0, session.ExitPartial, session.ExitProtocol}
		case c.push:
			want = []int{0, session.ExitPartial}
		}
		if code := r.replay(t, r.said, patience); !slices.Contains(want, code) {
			t.Errorf("%s: exit code %d, want one of %v", c.words, code, want)
		}
	}
}

// FuzzRecorded changes a real session somewhere: n bytes at a place are replaced
// by others. The server comes to an end, and stays where it belongs.
func FuzzRecorded(f *testing.F) {
	all := make([]recording, len(recordings))
	for i, c := range recordings {
		all[i] = record(f, c.words, c.push)
		f.Add(uint8(i), uint16(0), uint8(0), []byte(nil))
		f.Add(uint8(i), uint16(len(all[i].said)/2), uint8(4), []byte{0xff, 0xff, 0xff, 0x7f})
		f.Add(uint8(i), uint16(len(all[i].said)-9), uint8(1), []byte{0})
	}
	f.Fuzz(func(t *testing.T, which uint8, at uint16, n uint8, patch []byte) {
		r := all[int(which)%len(all)]
		from := int(at) % (len(r.said) + 1)
		to := min(from+int(n), len(r.said))
		said := append(append(bytes.Clone(r.said[:from]), patch...), r.said[to:]...)
		if code := r.replay(t, said, 20*time.Millisecond); code < 0 || code > 127 {
			t.Errorf("exit code %d", code)
		}
	})
}
