package compress_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/wire"
)

// receiver is a real rsync that receives one file, "f", over pipes.
type receiver struct {
	protocol int
	cmd      *exec.Cmd
	out      io.Closer
	w        *wire.Writer
	r        *wire.Reader
	seed     int32
	messages []string
}

// startReceiver starts an rsync server in dir and sees it through the handshake
// (rsync-session section 4).
func startReceiver(t *testing.T, dir, letters string, protocol int, options ...string) *receiver {
	t.Helper()
	path, err := exec.LookPath("rsync")
	if err != nil {
		t.Skip("rsync is not installed")
	}
	args := append([]string{"--server", "-tIe" + letters}, options...)
	cmd := exec.CommandContext(t.Context(), path, append(args, ".", dir)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		timer.Stop()
		if t.Failed() {
			cmd.Process.Kill()
			t.Logf("rsync says: %s", &stderr)
		}
	})
	rc := &receiver{protocol: protocol, cmd: cmd, out: in, w: wire.NewWriter(in), r: wire.NewReader(out)}
	rc.w.Int(int32(protocol))
	rc.flush(t)
	must(rc.r.Int())
	if protocol >= 30 {
		must(rc.r.Varint()) // compat flags
	}
	rc.seed = must(rc.r.Int())
	rc.r.StartMux(func(c wire.Code, text []byte) error {
		rc.messages = append(rc.messages, fmt.Sprintf("%v %s", c, text))
		return nil
	})
	if protocol >= 30 {
		rc.w.StartMux()
	}
	return rc
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (rc *receiver) flush(t *testing.T) {
	t.Helper()
	if err := rc.w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// list sends the file list (rsync-filelist section 1).
func (rc *receiver) list(t *testing.T, size int) {
	t.Helper()
	rc.w.Byte(0x18) // SAME_UID | SAME_GID
	rc.w.Byte(1)
	rc.w.Byte('f')
	if rc.protocol >= 30 {
		rc.w.Varlong(int64(size), 3)
		rc.w.Varlong(1600000000, 4)
	} else {
		rc.w.Longint(int64(size))
		rc.w.Int(1600000000)
	}
	rc.w.Int(0o100644)
	rc.w.Byte(0)
	if rc.protocol < 30 {
		rc.w.Int(0)
	}
	rc.flush(t)
}

// serve answers requests until the session's end and returns their number.
func (rc *receiver) serve(t *testing.T, file []byte, hash *checksum.Hash, blocks *checksum.Blocks, e compress.Encoder) int {
	t.Helper()
	requests, dones := 0, 0
	last := 4 // D0, D1, D2 and the goodbye
	if rc.protocol >= 31 {
		last = 5
	}
	for dones < last {
		ndx, err := rc.r.Ndx(rc.protocol)
		if err != nil {
			t.Fatalf("request %d, done %d: %v; messages %q", requests, dones, err, rc.messages)
		}
		if ndx >= 0 {
			requests++
			rc.answer(t, ndx, file, hash, blocks, e)
			continue
		}
		if dones++; dones < last {
			rc.w.Ndx(rc.protocol, wire.NDXDone)
			rc.flush(t)
		}
	}
	rc.out.Close()
	if _, err := rc.r.Byte(); err == nil {
		t.Error("data follows the goodbye")
	}
	if err := rc.cmd.Wait(); err != nil {
		t.Errorf("rsync: %v; messages %q", err, rc.messages)
	}
	return requests
}

// answer sends the file as section 1.5 says.
func (rc *receiver) answer(t *testing.T, ndx int32, file []byte, hash *checksum.Hash, blocks *checksum.Blocks, e compress.Encoder) {
	t.Helper()
	flags := must(rc.r.Short())
	if flags&0x9800 != 0x8000 { // a transfer, without basis type and name
		t.Fatalf("item flags %#x", flags)
	}
	h := delta.Head{
		Count: must(rc.r.Int()), BlockLen: must(rc.r.Int()),
		S2Len: must(rc.r.Int()), Remainder: must(rc.r.Int()),
	}
	var sums delta.Sums
	if err := sums.Read(rc.r, h, rc.protocol, blocks.Size()); err != nil {
		t.Fatal(err)
	}
	rc.w.Ndx(rc.protocol, ndx)
	rc.w.Short(flags)
	for _, v := range []int32{h.Count, h.BlockLen, h.S2Len, h.Remainder} {
		rc.w.Int(v)
	}
	var s delta.Searcher
	result, err := s.Search(bytes.NewReader(file), int64(len(file)), &sums, blocks, hash, e)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.End(); err != nil {
		t.Fatal(err)
	}
	rc.w.Write(hash.Sum(nil))
	rc.flush(t)
	if result.Matched == 0 || result.Literal == 0 {
		t.Errorf("%d bytes matched, %d literal", result.Matched, result.Literal)
	}
}

// editedFile returns a file and its old version, with literals that resemble
// what zlib's history holds after the block before them.
func editedFile(blockLen int) (file, basis []byte) {
	r := rand.New(rand.NewPCG(uint64(blockLen), 1))
	basis = append(text(r, 8*blockLen), noise(r, 3*blockLen+blockLen/3)...)
	file = slices.Concat(
		basis[:2*blockLen],
		[]byte("inserted "), basis[2*blockLen-300:2*blockLen], // end of the last block
		basis[2*blockLen:4*blockLen],
		[]byte("inserted "), basis[3*blockLen:3*blockLen+300], // its start
		basis[4*blockLen:5*blockLen],
		noise(r, 100000), text(r, 40000),
		basis[6*blockLen:],
	)
	return file, basis
}

func TestRsyncRebuildsWhatIsSent(t *testing.T) {
	tests := []struct {
		method   compress.Method
		protocol int
		blockLen int
		algo     checksum.Algo // None: what the protocol has by default
		seedLast bool          // the peers know nothing of CHKSUM_SEED_FIX
		long     bool          // with literals that are compressed in pieces
	}{
		{method: compress.None, protocol: 31, blockLen: 700, algo: checksum.XXH128},
		{method: compress.None, protocol: 29, blockLen: 700},
		{method: compress.None, protocol: 30, blockLen: 700, seedLast: true},
		{method: compress.None, protocol: 30, blockLen: 5000, algo: checksum.SHA1},
		{method: compress.None, protocol: 31, blockLen: 5000, algo: checksum.MD4},
		{method: compress.Zlib, protocol: 29, blockLen: 700},
		{method: compress.Zlib, protocol: 29, blockLen: 100000},
		{method: compress.Zlib, protocol: 30, blockLen: 131072},
		{method: compress.Zlib, protocol: 31, blockLen: 131072, algo: checksum.XXH64},
		{method: compress.Zlib, protocol: 31, blockLen: 700, algo: checksum.MD5},
		{method: compress.Zlibx, protocol: 31, blockLen: 131072, algo: checksum.XXH3},
		{method: compress.Zlibx, protocol: 30, blockLen: 700},
		{method: compress.Zstd, protocol: 31, blockLen: 700, algo: checksum.XXH128},
		{method: compress.Zstd, protocol: 31, blockLen: 131072},
		{method: compress.Zstd, protocol: 31, blockLen: 700, long: true},
		{method: compress.LZ4, protocol: 31, blockLen: 700, algo: checksum.XXH128},
		{method: compress.LZ4, protocol: 30, blockLen: 131072},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%v protocol %d block %d %v", test.method, test.protocol, test.blockLen, test.algo), func(t *testing.T) {
			file, basis := editedFile(test.blockLen)
			if test.long {
				r := rand.New(rand.NewPCG(9, 9))
				file = slices.Concat(text(r, 5<<20), file, text(r, 100), basis[:test.blockLen], noise(r, 3<<20), basis[:test.blockLen], text(r, 2000))
			}
			name := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(name, basis, 0o644); err != nil {
				t.Fatal(err)
			}
			options := []string{fmt.Sprintf("-B%d", test.blockLen)}
			if test.method == compress.Zlib {
				options = append(options, "-z", "--old-compress")
			} else if test.method != compress.None {
				options = append(options, "--compress-choice="+test.method.String())
			}
			algo := test.algo
			if algo == checksum.None {
				algo, _ = checksum.Default(test.protocol)
			} else {
				options = append(options, "--checksum-choice="+algo.String())
			}
			letters := ".LsfxC"
			if test.seedLast {
				letters = ".Lsfx"
			}
			rc := startReceiver(t, filepath.Dir(name), letters, test.protocol, options...)
			e, err := compress.New(rc.w, compress.Options{Method: test.method, Protocol: test.protocol})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			rc.list(t, len(file))
			if n := rc.serve(t, file, algo.New(rc.seed), algo.Blocks(rc.seed, !test.seedLast), e); n != 1 {
				t.Errorf("%d requests: the file had to be sent again; messages %q", n, rc.messages)
			}
			got, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, file) {
				t.Errorf("rsync wrote another file; messages %q", strings.Join(rc.messages, " "))
			}
		})
	}
}
