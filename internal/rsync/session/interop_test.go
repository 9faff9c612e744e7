package session_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/session"
)

func password(s string) func() (string, error) {
	return func() (string, error) { return s, nil }
}

func TestPushToARealDaemon(t *testing.T) {
	t.Parallel()
	d := startRsyncd(t, `
[open]
path = DIR/mod
read only = no
[closed]
path = DIR/mod
read only = no
auth users = alice
secrets file = DIR/secrets
`)
	src := newSource(t)
	for protocol := session.MinProtocol; protocol <= session.MaxProtocol; protocol++ {
		for _, module := range []string{"open", "closed"} {
			t.Run(fmt.Sprintf("protocol %d, module %s", protocol, module), func(t *testing.T) {
				ep := d.module(module, protocol)
				ep.User, ep.Password = "alice", password("open sesame")
				opts := archive()
				opts.IncRecurse = module == "open"
				dest := fmt.Sprintf("%s %d", module, protocol)
				var files int
				result, err := push(t.Context(), ep, opts, dest, sender.Job{
					Root: openRoot(t, src), Whole: true,
					OnProgress: func(p sender.Progress) { files = p.Listed },
				})
				if err != nil {
					t.Fatal(err)
				}
				if files == 0 || result.Files != files || result.Transferred != 4 {
					t.Errorf("result %+v", result)
				}
				sameTrees(t, src, filepath.Join(d.dir, "mod", dest))
			})
		}
	}
}

func TestExplicitListWithDeletions(t *testing.T) {
	d := startRsyncd(t, "[mod]\npath = DIR/mod\nread only = no\n")
	src := newSource(t)
	gone := filepath.Join(d.dir, "mod", "gone")
	write(t, gone, "old", 0o644)
	opts := archive()
	opts.Recurse, opts.Relative, opts.DeleteMissing = false, true, true
	var deleted []string
	_, err := push(t.Context(), d.module("mod", 0), opts, "", sender.Job{
		Root: openRoot(t, src), List: []sender.Item{{Path: "gone"}, {Path: "sub/b"}},
		OnDeleted: func(name string, dir bool) { deleted = append(deleted, fmt.Sprint(name, dir)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(gone); !os.IsNotExist(err) {
		t.Errorf("the missing path is still there: %v", err)
	}
	if len(deleted) != 1 || deleted[0] != "gonefalse" {
		t.Errorf("deleted %q", deleted)
	}
	if got := read(filepath.Join(d.dir, "mod", "sub", "b")); len(got) != 50000 {
		t.Errorf("file has %d bytes", len(got))
	}
}

// What a real daemon refuses, in its own words, at every protocol.
func TestRefusalsOfARealDaemon(t *testing.T) {
	t.Parallel()
	d := startRsyncd(t, `
[closed]
path = DIR/mod
read only = no
auth users = alice
secrets file = DIR/secrets
[readonly]
path = DIR/mod
[denied]
path = DIR/mod
hosts deny = *
[hidden]
path = DIR/mod
hosts deny = *
list = no
[nodelete]
path = DIR/mod
read only = no
refuse options = delete
[nopath]
path = DIR/absent
read only = no
`)
	job := sender.Job{Root: openRoot(t, newSource(t)), Whole: true}
	deleting := archive()
	deleting.Delete = true
	rows := []struct {
		module    string
		opts      session.Options
		code      func(protocol int) int
		permanent bool
		words     string
		option    string
	}{
		{"closed", archive(), always(5), true, "@ERROR: auth failed on module closed", ""},
		{"absent", archive(), always(5), true, "@ERROR: Unknown module 'absent'", ""},
		{"denied", archive(), always(5), true, "@ERROR: access denied to denied from ", ""},
		{"hidden", archive(), always(5), true, "@ERROR: Unknown module 'hidden'", ""},
		{"nopath", archive(), always(5), false, "@ERROR: chdir failed", ""},
		{"readonly", archive(), orBroken(1), true, "ERROR: module is read only", ""},
		{"nodelete", deleting, orBroken(4), true, "The server is configured to refuse --delete", "--delete"},
	}
	for _, row := range rows {
		// Six at once, since the daemon takes its time after some refusals.
		var wg sync.WaitGroup
		var errs [session.MaxProtocol + 1]error
		for protocol := session.MinProtocol; protocol <= session.MaxProtocol; protocol++ {
			wg.Go(func() {
				ep := d.module(row.module, protocol)
				ep.User, ep.Password = "alice", password("wrong")
				_, errs[protocol] = push(t.Context(), ep, row.opts, "", job)
			})
		}
		wg.Wait()
		for protocol := session.MinProtocol; protocol <= session.MaxProtocol; protocol++ {
			t.Run(fmt.Sprintf("%s at protocol %d", row.module, protocol), func(t *testing.T) {
				err := errs[protocol]
				e := asError(t, err)
				if e.Code != row.code(protocol) && (protocol >= 31 || e.Code != session.ExitSocket) {
					t.Errorf("code %d", e.Code)
				}
				if e.Permanent != row.permanent || e.Option != row.option || !strings.Contains(err.Error(), row.words) {
					t.Errorf("permanent %v, option %q: %v, %q", e.Permanent, e.Option, err, e.Messages)
				}
			})
		}
	}
}

func always(code int) func(int) int { return func(int) int { return code } }

// orBroken is the code of a failure that is announced from protocol 31 on;
// before, the stream just ends.
func orBroken(code int) func(int) int {
	return func(protocol int) int {
		if protocol < 31 {
			return session.ExitStream
		}
		return code
	}
}

// The refusal arrives while the session is held. A daemon that refuses delete
// refuses --delete-missing-args under that name.
func TestHeldRefusalOfARealDaemon(t *testing.T) {
	t.Parallel()
	d := startRsyncd(t, "[mod]\npath = DIR/mod\nread only = no\nrefuse options = delete\n")
	c, err := session.Connect(t.Context(), d.module("mod", 0))
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Start(t.Context(), session.Options{Relative: true, DeleteMissing: true, MaxDelete: -1}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	<-s.Lost()
	if e := asError(t, s.Err()); !e.Permanent || e.Option != "--delete" || e.Code != 4 {
		t.Errorf("error %+v", e)
	}
}

func TestConnectionLimitOfARealDaemon(t *testing.T) {
	t.Parallel()
	d := startRsyncd(t, "max connections = 1\n[mod]\npath = DIR/mod\nread only = no\n")
	first, err := session.Connect(t.Context(), d.module("mod", 0))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, err = session.Connect(t.Context(), d.module("mod", 0))
	if e := asError(t, err); e.Permanent || e.Code != 5 || !strings.Contains(err.Error(), "max connections (1) reached") {
		t.Errorf("error %+v", e)
	}
	first.Close()
	eventually(t, "a place becomes free", func() bool {
		c, err := session.Connect(t.Context(), d.module("mod", 0))
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// eventually polls until ok is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within five seconds: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// The daemon drops a connection at OK when its timeout is over; a started
// session keeps itself alive.
func TestHoldingAgainstARealDaemon(t *testing.T) {
	t.Parallel()
	d := startRsyncd(t, "timeout = 2\n[mod]\npath = DIR/mod\nread only = no\n")
	idle, err := session.Connect(t.Context(), d.module("mod", 0))
	if err != nil {
		t.Fatal(err)
	}
	c, err := session.Connect(t.Context(), d.module("mod", 0))
	if err != nil {
		t.Fatal(err)
	}
	opts := archive()
	s, err := c.Start(t.Context(), opts, "")
	if err != nil {
		t.Fatal(err)
	}
	<-idle.Lost()
	if idle.Alive() {
		t.Error("a lost connection is alive")
	}
	_, err = idle.Start(t.Context(), opts, "")
	if e := asError(t, err); e.Permanent || e.Code != session.ExitStream && e.Code != session.ExitSocket {
		t.Errorf("error %+v", e)
	}
	// Another idle connection comes and goes: twice the timeout has passed.
	if idle, err = session.Connect(t.Context(), d.module("mod", 0)); err != nil {
		t.Fatal(err)
	}
	<-idle.Lost()
	if !s.Alive() || s.Timeout() != 2*time.Second {
		t.Fatalf("alive %v, timeout %v: %v", s.Alive(), s.Timeout(), s.Err())
	}
	src := newSource(t)
	if _, err := s.Send(t.Context(), sender.Job{Root: openRoot(t, src), Whole: true}); err != nil {
		t.Fatal(err)
	}
	sameTrees(t, src, filepath.Join(d.dir, "mod"))
}

// Breaking off in the middle of a file leaves nothing behind.
func TestBreakingOffLeavesNoTemporaryFile(t *testing.T) {
	d := startRsyncd(t, "[mod]\npath = DIR/mod\nread only = no\n")
	src := t.TempDir()
	big := filepath.Join(src, "big")
	write(t, big, "", 0o644)
	if err := os.Truncate(big, 1<<30); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	opts := archive()
	opts.BwLimit = 4096 // it would take minutes
	done := make(chan error, 1)
	go func() {
		_, err := push(ctx, d.module("mod", 0), opts, "", sender.Job{Root: openRoot(t, src), Whole: true})
		done <- err
	}()
	names := func() []string {
		var list []string
		entries, _ := os.ReadDir(filepath.Join(d.dir, "mod"))
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return list
	}
	eventually(t, "the transfer begins", func() bool { return len(names()) > 0 })
	cancel()
	cancelled := time.Now()
	checkCancelled(t, <-done, "transfer", cancelled)
	eventually(t, "the temporary file is removed", func() bool { return len(names()) == 0 })
}

func TestPartialFailureOfARealDaemon(t *testing.T) {
	d := startRsyncd(t, "[mod]\npath = DIR/mod\nread only = no\n")
	if err := os.MkdirAll(filepath.Join(d.dir, "mod", "a.txt", "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	src := newSource(t)
	result, err := push(t.Context(), d.module("mod", 0), archive(), "", sender.Job{Root: openRoot(t, src), Whole: true})
	e := asError(t, err)
	if e.Code != session.ExitPartial || e.Permanent || !slices.ContainsFunc(e.Messages, func(m string) bool { return strings.Contains(m, "a.txt") }) {
		t.Errorf("error %+v", e)
	}
	if result.Transferred < 3 {
		t.Errorf("result %+v", result)
	}
	if got := read(filepath.Join(d.dir, "mod", "sub", "b")); len(got) != 50000 {
		t.Error("the rest was not sent")
	}
}

func TestDeletionLimitOfARealDaemon(t *testing.T) {
	t.Parallel()
	d := startRsyncd(t, "[mod]\npath = DIR/mod\nread only = no\n")
	src := newSource(t)
	for i := range 3 {
		write(t, filepath.Join(d.dir, "mod", fmt.Sprint("old", i)), "", 0o644)
	}
	for protocol := session.MinProtocol; protocol <= session.MaxProtocol; protocol++ {
		opts := archive()
		opts.Delete = true // and MaxDelete 0
		opts.MaxDelete = 0
		_, err := push(t.Context(), d.module("mod", protocol), opts, "", sender.Job{Root: openRoot(t, src), Whole: true})
		if e := asError(t, err); e.Code != session.ExitDeleteLimit {
			t.Errorf("protocol %d: %+v", protocol, e)
		}
	}
	opts := archive()
	opts.Delete = true
	result, err := push(t.Context(), d.module("mod", 0), opts, "", sender.Job{Root: openRoot(t, src), Whole: true})
	if err != nil || result.Deleted != 3 {
		t.Errorf("deleted %d, %v", result.Deleted, err)
	}
	sameTrees(t, src, filepath.Join(d.dir, "mod"))
}

// Every method, negotiated and explicit, and what old protocols make of it.
func TestCompressionWithARealDaemon(t *testing.T) {
	t.Parallel()
	d := startRsyncd(t, "[mod]\npath = DIR/mod\nread only = no\n")
	src := newSource(t)
	for _, protocol := range []int{27, 29, 30, 32} {
		for _, method := range []string{"auto", "zstd", "lz4", "zlibx", "zlib"} {
			t.Run(fmt.Sprintf("%s at protocol %d", method, protocol), func(t *testing.T) {
				opts := archive()
				opts.Compress = method
				dest := fmt.Sprint(method, protocol)
				result, err := push(t.Context(), d.module("mod", protocol), opts, dest, sender.Job{Root: openRoot(t, src), Whole: true})
				if err != nil {
					t.Fatal(err)
				}
				if result.Written > 20000 {
					t.Errorf("%d bytes on the wire", result.Written)
				}
				sameTrees(t, src, filepath.Join(d.dir, "mod", dest))
			})
		}
	}
}

// A name at a module's top that looks like an option is a name.
func TestARealDaemonTakesADestinationThatBeginsWithADash(t *testing.T) {
	d := startRsyncd(t, "[mod]\npath = DIR/mod\nread only = no\n")
	src := t.TempDir()
	write(t, filepath.Join(src, "file"), "text", 0o644)
	if err := os.MkdirAll(filepath.Join(d.dir, "mod", "--delete"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := push(t.Context(), d.module("mod", 0), archive(), "--delete/sub", sender.Job{Root: openRoot(t, src), Whole: true}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(d.dir, "mod", "--delete", "sub", "file")); err != nil || string(text) != "text" {
		t.Errorf("the file holds %q (%v)", text, err)
	}
}

// A renamed directory crosses no content: its new name is the destination, its
// old one the link-dest, both with characters that need quoting.
func TestLinkDestWithARealDaemon(t *testing.T) {
	d := startRsyncd(t, "[mod]\npath = DIR/mod\nread only = no\n")
	src := t.TempDir()
	if err := os.Mkdir(filepath.Join(src, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(src, "sub", "b"), strings.Repeat("some text ", 5000), 0o644)
	root := openRoot(t, src)
	old, renamed := "old [x] \\ 'q' *", "new & 'improved' ünïcode"
	// A wildcard cannot be a destination, so the old place is made by hand.
	if err := os.CopyFS(filepath.Join(d.dir, "mod", old), os.DirFS(filepath.Join(src, "sub"))); err != nil {
		t.Fatal(err)
	}
	if _, err := push(t.Context(), d.module("mod", 0), archive(), old, sender.Job{Root: root, Whole: true}); !errors.Is(err, session.ErrPath) {
		t.Errorf("a wildcard as destination: %v", err)
	}
	opts := archive()
	opts.Checksum = true // the copies have other times
	opts.LinkDest = []string{"../" + old}
	result, err := push(t.Context(), d.module("mod", 0), opts, renamed, sender.Job{Root: root, Dir: "sub", Whole: true})
	if err != nil {
		t.Fatal(err)
	}
	if result.Literal != 0 {
		t.Errorf("%d bytes of content crossed the wire", result.Literal)
	}
	sameTrees(t, filepath.Join(src, "sub"), filepath.Join(d.dir, "mod", renamed))
}
