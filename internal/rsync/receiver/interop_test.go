package receiver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/receiver"
	"lockstep/internal/rsync/wire"
)

// peer is a real rsync that sends, with the handshake behind it, and the
// generator that asks it for everything.
type peer struct {
	t        testing.TB
	protocol int
	cmd      *exec.Cmd
	r        *wire.Reader
	w        *wire.Writer
	compat   wire.Compat
	seed     int32
	stderr   bytes.Buffer
}

func startPeer(t testing.TB, dir string, protocol int, letters string, args ...string) *peer {
	t.Helper()
	if _, err := exec.LookPath("rsync"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("rsync is not installed")
		}
		t.Skip("rsync is not installed")
	}
	args = append([]string{"--server", "--sender", "-tr" + letters}, args...)
	p := &peer{t: t, protocol: protocol, cmd: exec.Command("rsync", append(args, ".", dir+"/")...)}
	p.cmd.Stderr = &p.stderr
	in, err := p.cmd.StdinPipe()
	must(t, err)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	limit := time.AfterFunc(30*time.Second, func() { p.cmd.Process.Kill() })
	t.Cleanup(func() {
		limit.Stop()
		p.cmd.Process.Kill()
		p.cmd.Wait()
		if t.Failed() {
			t.Logf("rsync says: %s", &p.stderr)
		}
	})
	p.r, p.w = wire.NewReader(out), wire.NewWriter(in)
	p.w.Int(int32(protocol))
	must(t, p.w.Flush())
	_, err = p.r.Int()
	must(t, err)
	if protocol >= 30 {
		compat, err := p.r.Varint()
		must(t, err)
		p.compat = wire.Compat(compat)
	}
	p.seed, err = p.r.Int()
	must(t, err)
	p.r.StartMux(func(c wire.Code, text []byte) error {
		if c.IsText() {
			p.t.Logf("%v %s", c, text)
		}
		return nil
	})
	if protocol >= 30 {
		p.w.StartMux()
	}
	p.w.Int(0) // no filter rules
	must(t, p.w.Flush())
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// longBlocks makes blocks longer than a stored block of deflate, which are a
// history of their own before protocol 31 (3.3).
const longBlocks = "--block-size=100000"

// receive makes dir what the peer has.
func (p *peer) receive(dir string, method compress.Method, xfer checksum.Algo) receiver.Result {
	p.t.Helper()
	opt := option.New()
	opt.Recurse, opt.Times = true, true
	dec, err := flist.NewDecoder(p.r, flist.Options{Protocol: p.protocol, Compat: p.compat}, flist.Receive{})
	must(p.t, err)
	first, err := dec.First()
	must(p.t, err)
	lists, notes, talked := flist.NewLists(), dest.NewNotes(), new(talk)
	lists.Add(first)
	d, err := dest.Open(dest.Params{Opt: opt, Protocol: p.protocol, Talk: talked}, dir,
		dest.List{Entries: len(first.Files), First: first.Files[0]})
	must(p.t, err)
	defer d.Close()
	failed := make(chan error, 1)
	go func() { failed <- p.generate(dir, xfer, lists, notes) }()
	result, err := receiver.Run(p.t.Context(), p.r, receiver.Params{
		Opt: opt, Protocol: p.protocol, Compat: p.compat, Seed: p.seed, Xfer: xfer, Compress: method,
	}, d, dec, lists, notes, talked)
	must(p.t, err)
	must(p.t, <-failed)
	if said := talked.said(); said != "" {
		p.t.Errorf("said %s", said)
	}
	return result
}

// generate asks for all files and sees the session through (1.8).
func (p *peer) generate(dir string, xfer checksum.Algo, lists *flist.Lists, notes *dest.Notes) error {
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	asked, n := 0, 0
	for ; ; n++ {
		l, err := lists.Next(ctx, n)
		if err != nil {
			return err
		}
		if l == nil {
			break
		}
		for _, f := range l.Files {
			switch f.Meta.Kind {
			case tree.Dir:
				if err := os.MkdirAll(filepath.Join(dir, string(f.Path)), 0o755); err != nil {
					return err
				}
			case tree.File:
				asked++
				if err := p.request(dir, f, xfer); err != nil {
					return err
				}
			}
		}
		if err := p.w.Flush(); err != nil {
			return err
		}
	}
	for asked > 0 {
		note, err := notes.Take(ctx)
		if err != nil {
			return err
		}
		if note.Kind != dest.Installed {
			return fmt.Errorf("note %+v", note)
		}
		asked--
	}
	dones := n + 1
	if p.protocol >= 29 {
		dones++
	}
	if p.protocol >= 31 {
		dones++
	}
	for range dones {
		p.w.Ndx(p.protocol, wire.NDXDone)
	}
	if err := p.w.Flush(); err != nil {
		return err
	}
	for {
		note, err := notes.Take(ctx)
		if err != nil {
			return err
		}
		if note.Kind == dest.Ended {
			p.w.Ndx(p.protocol, wire.NDXDone)
			return p.w.Flush()
		}
	}
}

// request asks for a file with what there is of it as the basis.
func (p *peer) request(dir string, f *flist.File, xfer checksum.Algo) error {
	p.w.Ndx(p.protocol, f.Index)
	if p.protocol >= 29 {
		p.w.Short(uint16(wire.ItemTransfer))
	}
	basis, err := os.Open(filepath.Join(dir, string(f.Path)))
	if errors.Is(err, fs.ErrNotExist) {
		delta.Head{}.Write(p.w)
		return nil
	}
	if err != nil {
		return err
	}
	defer basis.Close()
	info, err := basis.Stat()
	if err != nil {
		return err
	}
	choice := delta.Choice{Protocol: p.protocol, Digest: xfer.Size()}
	if slices.Contains(p.cmd.Args, longBlocks) {
		choice.Block = 100000
	}
	head, _ := choice.Head(info.Size())
	head.Write(p.w)
	var s delta.Signer
	return s.Sign(p.w, basis, head, xfer.Blocks(p.seed, p.compat.Has(wire.ChecksumSeedFix)))
}

// lines is text that compresses somewhat, some of it far apart.
func lines(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, seed))
	var p []byte
	for len(p) < n {
		p = append(p, "line "...)
		p = strconv.AppendInt(p, int64(r.IntN(5000)), 10)
		p = append(p, " of the file\n"...)
	}
	return p[:n]
}

func TestFilesComeFromRsync(t *testing.T) {
	method := []struct {
		method compress.Method
		args   []string
	}{
		{compress.None, nil},
		{compress.Zlib, []string{"-z", "--old-compress"}},
		{compress.Zlib, []string{"-z", "--old-compress", longBlocks}},
		{compress.Zlibx, []string{"-z", "--new-compress"}},
		{compress.Zstd, []string{"-z", "--compress-choice=zstd"}},
		{compress.LZ4, []string{"-z", "--compress-choice=lz4"}},
	}
	src := t.TempDir()
	long := lines(700_000, 1)
	updated := bytes.Join([][]byte{long[:300_000], []byte("inserted"), long[300_000:], long[:200_000], lines(100_000, 3)}, nil)
	files := map[string][]byte{
		"a/long": long, "a/updated": updated, "b/small": []byte("x"), "b/empty": nil,
		"noise": noise(300000), "zeros": make([]byte, 1<<19), "short": append(lines(5000, 2), "end"...),
	}
	for name, content := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(src, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(src, name), content, 0o644))
	}
	for _, protocol := range protocols {
		for _, m := range method {
			if protocol != 30 && protocol != 32 && m.method != compress.None && m.method != compress.Zlib {
				continue
			}
			t.Run(fmt.Sprintf("protocol %d %s", protocol, m.args), func(t *testing.T) {
				dir := t.TempDir()
				for name, old := range map[string][]byte{"a/updated": long, "short": lines(5000, 2), "zeros": make([]byte, 1<<18)} {
					must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
					must(t, os.WriteFile(filepath.Join(dir, name), old, 0o644))
				}
				letters, xfer := "", checksum.MD4Old
				if protocol >= 30 {
					letters, xfer = "e.iLsfxCI", checksum.MD5
				}
				result := startPeer(t, src, protocol, letters, m.args...).receive(dir, m.method, xfer)
				for name, want := range files {
					got, err := os.ReadFile(filepath.Join(dir, name))
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s differs, error %v", name, err)
					}
				}
				if result.Transferred != len(files) || result.Matched < 800_000 || result.Peer == nil || result.Peer.TotalSize != result.TotalSize {
					t.Errorf("result %+v, peer %+v", result, result.Peer)
				}
			})
		}
	}
}
