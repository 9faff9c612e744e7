package daemon_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Bounds on the memory of a process, in KiB, whatever it unpacks.
const (
	maxUnpacking = 64 << 10
	// maxFarBack is for zstd that refers back as far as rsync's highest level
	// does, 128 MiB, which have to be kept.
	maxFarBack = 208 << 10
)

// most follows the memory of the processes that another one starts from now on.
// The function that it returns ends that and tells the peak, in KiB.
func most(of *exec.Cmd) func() int {
	var peak atomic.Int64
	earlier := childrenOf(of.Process.Pid)
	ctx, stop := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() {
		for ctx.Err() == nil {
			for _, pid := range childrenOf(of.Process.Pid) {
				if !slices.Contains(earlier, pid) {
					peak.Store(max(peak.Load(), int64(memory(pid, "VmHWM"))))
				}
			}
			<-time.After(5 * time.Millisecond)
		}
	})
	return func() int {
		stop()
		watch.Wait()
		return int(peak.Load())
	}
}

// TestBombs sends files of zeros in each compression: little that becomes much.
func TestBombs(t *testing.T) {
	t.Parallel()
	rsync(t)
	w, cmd := besieged(t, "")
	must(t, os.Truncate(filepath.Join(w.dir, "early"), 72<<20))
	for _, method := range []string{"zlib", "zlibx", "zstd", "lz4"} {
		peak := most(cmd)
		got := w.run("rsync -S --zc=" + method + " early URL/mod/" + method)
		took := peak()
		if got != "-> 0\n" {
			t.Errorf("%s: %s", method, got)
		}
		if took > maxUnpacking || os.Getuid() == 0 && took == 0 {
			t.Errorf("%s: the process of the transfer took %d KiB", method, took)
		}
		t.Logf("%s: %d KiB", method, took)
	}
	if grown := memory(cmd.Process.Pid, "VmHWM"); grown > maxUnpacking {
		t.Errorf("the daemon took %d KiB", grown)
	}
}

// packets cuts what a compressor made into data packets, with the end of the
// file behind them.
func packets(data []byte) string {
	const longest = 16383
	var b strings.Builder
	for len(data) > 0 {
		n := min(len(data), longest)
		b.WriteByte(byte(0x40 | n>>8))
		b.WriteByte(byte(n))
		b.Write(data[:n])
		data = data[n:]
	}
	return b.String() + "\x00"
}

// deflated is n zeros as zlib has them in a session: without its header, and
// without the end of a flush.
func deflated(t *testing.T, n int) []byte {
	var b bytes.Buffer
	f, err := flate.NewWriter(&b, flate.BestCompression)
	must(t, err)
	_, err = f.Write(make([]byte, n))
	must(t, err)
	must(t, f.Flush())
	return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))
}

// zstdZeros is a frame that never ends, with a window of 1<<log bytes and n
// blocks of 128 KiB of zeros.
func zstdZeros(log, n int) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, byte(log-10) << 3}
	const repeated, size = 1, 128 << 10 // a block of one byte often
	for range n {
		head := uint32(repeated<<1 | size<<3)
		b = append(b, byte(head), byte(head>>8), byte(head>>16), 0)
	}
	return b
}

// zstdClaims is a frame that says that it holds size bytes, and has few.
func zstdClaims(size uint64) []byte {
	const single, eightBytes = 1 << 5, 3 << 6
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, single | eightBytes}
	return append(binary.LittleEndian.AppendUint64(b, size), zstdZeros(20, 4)[6:]...)
}

// lz4Block is n zeros.
func lz4Block(t *testing.T, n int) []byte {
	b := make([]byte, lz4.CompressBlockBound(n))
	n, err := lz4.CompressBlock(make([]byte, n), b, nil)
	must(t, err)
	return b[:n]
}

// TestRawBombs says to the port what no compressor makes: files that the list
// has with 3 bytes and that become 96 MiB and more, windows of 128 MiB and more,
// packets that unpack to more than a packet may hold. A daemon that has unpacked
// all of a file finds that its digest is wrong, throws it away and asks for it
// again. Others are served meanwhile.
func TestRawBombs(t *testing.T) {
	t.Parallel()
	w, cmd := besieged(t, "")
	const much = 72 << 20
	const again, broken = "\xfe\x00\x00\x00\xa0", "rsync error: " // the file is asked for again; the session ends
	zeros, block := deflated(t, much), lz4Block(t, 60<<10)
	twice, err := zstd.NewWriter(nil)
	must(t, err)
	rows := []struct {
		name, method, tokens, want string
		limit                      int
	}{
		{"zlib", "zlib", packets(zeros), again, maxUnpacking},
		{"zlibx", "zlibx", packets(zeros), again, maxUnpacking},
		{"lz4", "lz4", strings.Repeat(strings.TrimSuffix(packets(block), "\x00"), much/(60<<10)) + "\x00", again, maxUnpacking},
		{"zstd", "zstd", packets(zstdZeros(20, much/(128<<10))), again, maxUnpacking},
		{"zstd, from as far back as may be", "zstd", packets(zstdZeros(27, 144<<20/(128<<10))), again, maxFarBack},
		{"zstd, a window of 256 MiB", "zstd", packets(zstdZeros(28, 16)), broken, maxUnpacking},
		{"zstd, a window of 2 TiB", "zstd", packets(zstdZeros(41, 16)), broken, maxUnpacking},
		{"zstd, a frame that claims an exabyte", "zstd", packets(zstdClaims(1 << 60)), broken, maxUnpacking},
		{"zstd within zstd", "zstd", packets(twice.EncodeAll(zstdZeros(20, 1<<16), nil)), broken, maxUnpacking},
		{"lz4, a packet of 16 MiB", "lz4", packets(lz4Block(t, 4<<20)), broken, maxUnpacking},
		{"deflate that is none", "zlib", packets(bytes.Repeat([]byte{0xff}, 9000)), broken, maxUnpacking},
		{"a literal of 2 GiB without compression", "none", "\xff\xff\xff\x7f" + strings.Repeat("x", 1<<20), broken, maxUnpacking},
		{"blocks of a file that is not there", "none", strings.Repeat("\xff\xff\xff\xff", 1000) + "\x00\x00\x00\x00", broken, maxUnpacking},
		{"a run of blocks that overflows", "zlib", "\x21\xff\xff\xff\x7f\xff\xff\x00", broken, maxUnpacking},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			peak := most(cmd)
			heard := w.upload(t, r.method, r.tokens)
			took := peak()
			if !strings.Contains(heard, r.want) {
				t.Errorf("heard %q", heard)
			}
			if took > r.limit {
				t.Errorf("the process of the transfer took %d KiB", took)
			}
			t.Logf("%d bytes: %d KiB", len(r.tokens), took)
		})
	}
	if got := w.tree("mod/in"); strings.Contains(got, "boom") {
		t.Errorf("something of a bomb is left:\n%s", got)
	}
	if grown := memory(cmd.Process.Pid, "VmHWM"); grown > maxUnpacking {
		t.Errorf("the daemon took %d KiB", grown)
	}
}

// upload speaks as a client that pushes a file of 3 bytes, whose tokens are as
// given, with a digest that is wrong. It returns what the daemon says.
func (w *world) upload(t *testing.T, method, tokens string) string {
	t.Helper()
	const first, transfer = "\x01", "\x00\xa0" // of the list; it is new
	sent := frame(0, listed("boom", 0o100644)+"\x00\x00") +
		frame(0, first+transfer+strings.Repeat("\x00", 16)) // no sums
	for piece := range slices.Chunk([]byte(tokens+strings.Repeat("\x00", 16)), 1<<20) {
		sent += frame(0, string(piece))
	}
	words := []string{"--server", "-rlStze.LsfxCIvu", "--compress-choice=" + method, ".", "mod/in/"}
	c, reader := w.dial()
	must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	go func() {
		_, _ = io.WriteString(c, hello+clientWords(words...)+md5+sent)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	w.stands()
	heard, err := io.ReadAll(reader)
	if isTimeout(err) {
		t.Error("the connection stays")
	}
	return string(heard)
}
