package sender_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/wire"
)

// peer is a real rsync server that receives, with the handshake behind it.
type peer struct {
	t      testing.TB
	cmd    *exec.Cmd
	in     *os.File // our requests to it
	out    *os.File // its answers
	r      *wire.Reader
	w      *wire.Writer
	params sender.Params
	stderr bytes.Buffer

	mu      sync.Mutex
	said    []string // messages, as "CODE text"
	deleted []string
	failed  bool // there was an error that makes the exit code 23
	wait    func() error

	talk      output.Talk       // hears the server, too; may be nil
	succeeded *sender.Succeeded // may be nil
}

// peerOptions say how to start a server.
type peerOptions struct {
	protocol    int
	letters     string // of its short options, such as "logDtpr"
	args        []string
	incremental bool
	compress    string // method, "" for none
	sum         string // checksum, "" for the first that both know
	level       int
	tap         func(p []byte) // sees what we write
	set         *option.Set    // instead of the letters
}

// tapped writes and lets somebody see what.
type tapped struct {
	io.Writer
	tap func(p []byte)
}

func (w tapped) Write(p []byte) (int, error) {
	w.tap(p)
	return w.Writer.Write(p)
}

// needRsync skips a test without rsync, except in CI.
func needRsync(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("rsync"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("rsync is not installed")
		}
		t.Skip("rsync is not installed")
	}
}

// startPeer starts "rsync --server" on dest and does the handshake.
func startPeer(t testing.TB, dest string, o peerOptions) *peer {
	t.Helper()
	capabilities := "e.LsfxCIvu"
	if o.incremental {
		capabilities = "e.iLsfxCIvu"
	}
	args := []string{"--server", "-" + o.letters + capabilities}
	if o.compress != "" && o.compress != "auto" {
		args = append(args, "--compress-choice="+o.compress)
	}
	if o.sum != "" {
		args = append(args, "--checksum-choice="+o.sum)
	}
	p := launch(t, "", append(append(args, o.args...), ".", dest))
	if o.tap != nil {
		p.w = wire.NewWriter(tapped{p.in, o.tap})
	}
	p.handshake(o)
	return p
}

// launch starts rsync with those arguments in a directory.
func launch(t testing.TB, dir string, args []string) *peer {
	t.Helper()
	needRsync(t)
	p := &peer{t: t, cmd: exec.Command("rsync", args...)}
	p.cmd.Dir = dir
	p.cmd.Stderr = &p.stderr
	var err error
	var theirIn, theirOut *os.File
	if theirIn, p.in, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	if p.out, theirOut, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdin, p.cmd.Stdout = theirIn, theirOut
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	p.wait = sync.OnceValue(p.cmd.Wait)
	t.Cleanup(func() {
		p.in.Close()
		p.out.Close()
		p.cmd.Process.Kill()
		p.wait()
	})
	p.r, p.w = wire.NewReader(p.out), wire.NewWriter(p.in)
	return p
}

// handshake follows part 1, section 4.
func (p *peer) handshake(o peerOptions) {
	p.t.Helper()
	check := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatalf("handshake: %v; rsync says %s", err, p.stderr.String())
		}
	}
	p.w.Int(int32(o.protocol))
	check(p.w.Flush())
	theirs, err := p.r.Int()
	check(err)
	pv := min(int(theirs), o.protocol)
	xfer, file := checksum.Default(pv)
	p.params = sender.Params{Opt: option.New(), Protocol: pv, Xfer: xfer, File: file, Level: o.level, Interrupt: func() { p.out.SetReadDeadline(time.Unix(1, 0)) }}
	if o.compress == "auto" {
		p.params.Compress = compress.Zlib
	} else if o.compress != "" {
		p.params.Compress, err = compress.Parse(o.compress)
		check(err)
	}
	if o.sum != "" {
		one, other, two := strings.Cut(o.sum, ",")
		p.params.Xfer, err = checksum.Parse(one)
		check(err)
		p.params.File = p.params.Xfer
		if two {
			p.params.File, err = checksum.Parse(other)
			check(err)
		}
	}
	if pv >= 30 {
		flags, err := p.r.Varint()
		check(err)
		p.params.Compat = wire.Compat(flags)
	}
	if p.params.Compat.Has(wire.VarintFlistFlags) {
		p.negotiate(o, check)
	}
	p.params.Seed, err = p.r.Int()
	check(err)
	p.r.StartMux(p.message)
	if pv >= 30 {
		p.w.StartMux()
	}
	if slices.ContainsFunc(o.args, func(a string) bool { return strings.HasPrefix(a, "--delete") && a != "--delete-missing-args" }) {
		p.w.Int(0) // no filter rules
	}
	p.preserve(o)
}

func (p *peer) negotiate(o peerOptions, check func(error)) {
	p.t.Helper()
	if o.sum == "" {
		check(p.w.VString(checksum.Names()))
	}
	if o.compress == "auto" {
		check(p.w.VString(compress.Names()))
	}
	check(p.w.Flush())
	if o.sum == "" {
		names, err := p.r.VString(255)
		check(err)
		p.params.Xfer, err = checksum.Negotiate(checksum.Names(), names)
		check(err)
		p.params.File = p.params.Xfer
	}
	if o.compress == "auto" {
		names, err := p.r.VString(255)
		check(err)
		p.params.Compress, err = compress.Negotiate(compress.Names(), names)
		check(err)
	}
}

// preserve turns the server's options into those of the list.
func (p *peer) preserve(o peerOptions) {
	if o.set != nil {
		p.params.Opt = o.set
		return
	}
	has := func(letter string) bool { return strings.Contains(o.letters, letter) }
	q := p.params.Opt
	q.Recurse = has("r")
	q.Owner, q.Group, q.Links, q.Devices, q.Specials = has("o"), has("g"), has("l"), has("D"), has("D")
	q.HardLinks, q.ACLs, q.Xattrs, q.Checksum, q.DryRun = has("H"), has("A"), strings.Count(o.letters, "X"), has("c"), has("n")
	q.NumericIDs = slices.Contains(o.args, "--numeric-ids")
	q.DeleteMissingArgs = slices.Contains(o.args, "--delete-missing-args")
}

func (p *peer) message(c wire.Code, payload []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch c {
	case wire.CodeSuccess:
		if p.succeeded != nil {
			p.succeeded.Put(int32(binary.LittleEndian.Uint32(payload)), tree.Inode{})
		}
	case wire.CodeDeleted:
		if p.talk != nil {
			name, dir := strings.CutSuffix(string(payload), "\x00")
			m := tree.Meta{Kind: tree.File}
			if dir {
				m.Kind = tree.Dir
			}
			p.talk.Deleted(tree.Path(name), m)
		}
		p.deleted = append(p.deleted, strings.TrimSuffix(string(payload), "\x00"))
	case wire.CodeErrorExit:
		return fmt.Errorf("rsync exits: %x", payload)
	default:
		p.failed = p.failed || c == wire.CodeErrorXfer
		if p.talk != nil && c.IsText() {
			p.talk.Text(c, strings.TrimSuffix(string(payload), "\n"))
		}
		p.said = append(p.said, fmt.Sprintf("%s %s", c, strings.TrimSpace(string(payload))))
	}
	return nil
}

// send runs a job to the end, with rsync's exit code 0 and without a message
// unless the test looks for them itself.
func (p *peer) send(job sender.Job) sender.Result {
	p.t.Helper()
	res, err := p.run(job)
	if err != nil {
		p.t.Fatalf("send: %v; rsync said %q and %q", err, p.said, p.stderr.String())
	}
	return res
}

func (p *peer) run(job sender.Job) (sender.Result, error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	kill := context.AfterFunc(ctx, func() { p.cmd.Process.Kill() })
	defer kill()
	res, err := sender.Run(ctx, p.r, p.w, p.params, job)
	p.in.Close()
	return res, err
}

// exits waits for the server and checks that it was happy.
func (p *peer) exits(code int) {
	p.t.Helper()
	p.wait()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("rsync exits with %d, not %d; it said %q and %q", got, code, p.said, p.stderr.String())
	}
}
