package flist_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// source is a real rsync server that sends, with the handshake behind it.
type source struct {
	t      testing.TB
	cmd    *exec.Cmd
	r      *wire.Reader
	w      *wire.Writer
	opts   flist.Options
	file   checksum.Algo
	stderr bytes.Buffer
	said   []string
	wait   func() error
}

// sourceOptions say how to start a server.
type sourceOptions struct {
	protocol    int
	letters     string // of its short options, such as "logDtpr"
	incremental bool
	plain       bool // without varint flags
	args        []string
	paths       []string
	dir         string // where it runs
}

// startSource starts "rsync --server --sender" and does the handshake of part
// 1, section 4.
func startSource(t testing.TB, o sourceOptions) *source {
	t.Helper()
	if _, err := exec.LookPath("rsync"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("rsync is not installed")
		}
		t.Skip("rsync is not installed")
	}
	letters := o.letters + "e."
	if o.incremental {
		letters += "i"
	}
	letters += "LsfxCI"
	if !o.plain {
		letters += "vu"
	}
	args := append([]string{"--server", "--sender", "-" + letters}, o.args...)
	args = append(append(args, "."), o.paths...)
	s := &source{t: t, cmd: exec.Command("rsync", args...)}
	s.cmd.Dir, s.cmd.Stderr = o.dir, &s.stderr
	in, err := s.cmd.StdinPipe()
	must(t, err)
	out, err := s.cmd.StdoutPipe()
	must(t, err)
	must(t, s.cmd.Start())
	s.wait = sync.OnceValue(s.cmd.Wait)
	limit := time.AfterFunc(30*time.Second, func() { s.cmd.Process.Kill() })
	t.Cleanup(func() {
		limit.Stop()
		s.cmd.Process.Kill()
		s.wait()
	})
	s.r, s.w = wire.NewReader(out), wire.NewWriter(in)
	s.handshake(o)
	return s
}

func (s *source) handshake(o sourceOptions) {
	s.t.Helper()
	s.w.Int(int32(o.protocol))
	must(s.t, s.w.Flush())
	theirs, err := s.r.Int()
	if err != nil {
		s.t.Fatalf("%v; rsync says %s", err, s.stderr.String())
	}
	p := min(int(theirs), o.protocol)
	_, s.file = checksum.Default(p)
	s.opts = flist.Options{Protocol: p}
	if p >= 30 {
		compat, err := s.r.Varint()
		must(s.t, err)
		s.opts.Compat = wire.Compat(compat)
	}
	if s.opts.Compat.Has(wire.VarintFlistFlags) {
		s.w.VString("md5")
		must(s.t, s.w.Flush())
		_, err := s.r.VString(255)
		must(s.t, err)
		s.file, err = checksum.Parse("md5")
		must(s.t, err)
	}
	_, err = s.r.Int() // the seed
	must(s.t, err)
	s.r.StartMux(func(c wire.Code, payload []byte) error {
		s.said = append(s.said, fmt.Sprintf("%s %s", c, strings.TrimSpace(string(payload))))
		return nil
	})
	if p >= 30 {
		s.w.StartMux()
	}
	s.w.Int(0) // no filter rules
	must(s.t, s.w.Flush())
	has := func(letter string) bool { return strings.Contains(o.letters, letter) }
	q := &s.opts
	q.Owner, q.Group, q.Links, q.Devices, q.Specials = has("o"), has("g"), has("l"), has("D"), has("D")
	q.HardLinks, q.ACLs, q.Xattrs, q.Atimes = has("H"), has("A"), has("X"), has("U")
	for _, arg := range o.args {
		q.NumericIDs = q.NumericIDs || arg == "--numeric-ids"
		q.Iconv = q.Iconv || strings.HasPrefix(arg, "--iconv")
	}
	if has("c") {
		q.SumLen = s.file.Size()
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lists reads all lists that the server sends, taking them on the way as a
// receiver would.
func (s *source) lists(in flist.Receive) (*flist.Decoder, []*flist.Received, error) {
	s.t.Helper()
	dec, err := flist.NewDecoder(s.r, s.opts, in)
	must(s.t, err)
	first, err := dec.First()
	if err != nil {
		return dec, nil, err
	}
	lists := []*flist.Received{first}
	for s.opts.Incremental() {
		ndx, err := s.r.Ndx(s.opts.Protocol)
		if err != nil {
			return dec, lists, err
		}
		if ndx == wire.NDXFlistEOF {
			dec.EndOfLists()
			break
		}
		next, err := dec.Sub(wire.NDXFlistOffset - ndx)
		if err != nil {
			return dec, lists, err
		}
		lists = append(lists, next)
	}
	return dec, lists, nil
}

// fetch requests a file by its index and returns what the server sends.
func (s *source) fetch(index int32) string {
	s.t.Helper()
	s.w.Ndx(s.opts.Protocol, index)
	if s.opts.Protocol >= 29 {
		s.w.Short(uint16(wire.ItemTransfer))
	}
	for range 4 {
		s.w.Int(0) // no basis
	}
	must(s.t, s.w.Flush())
	got, err := s.r.Ndx(s.opts.Protocol)
	must(s.t, err)
	if got != index {
		s.t.Fatalf("asked for %d, got %d; rsync says %q %s", index, got, s.said, s.stderr.String())
	}
	if s.opts.Protocol >= 29 {
		_, err := s.r.Short()
		must(s.t, err)
	}
	must(s.t, s.r.ReadFull(make([]byte, 16)))
	var content bytes.Buffer
	for {
		n, err := s.r.Int()
		must(s.t, err)
		if n == 0 {
			break
		}
		_, err = io.CopyN(&content, s.r, int64(n))
		must(s.t, err)
	}
	must(s.t, s.r.ReadFull(make([]byte, 16)))
	return content.String()
}
