package sender_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/walk"
	"lockstep/internal/proof/harness"
)

// tempDir is a directory for one test, in memory if possible: these tests make
// thousands of files.
func tempDir(t testing.TB) string {
	t.Helper()
	const shm = "/dev/shm"
	dir, err := os.MkdirTemp(shm, "sender-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// plant makes trees for the tests.
type plant struct {
	t    testing.TB
	root string
	nsec bool // use nanosecond times
	n    int64
}

func newPlant(t testing.TB, protocol int) *plant {
	return &plant{t: t, root: tempDir(t), nsec: protocol >= 31}
}

func (p *plant) path(name string) string { return filepath.Join(p.root, name) }

func (p *plant) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// stamp gives name a time of its own, and all directories above it too: rsync
// takes a directory's time for right if it differs by less than a second.
func (p *plant) stamp(name string) {
	p.t.Helper()
	for path := p.path(name); ; path = filepath.Dir(path) {
		p.n++
		ts := unix.Timespec{Sec: 1500000000 + 1000*p.n}
		if p.nsec {
			ts.Nsec = 100000001 + p.n
		}
		p.check(unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
		if path == p.root {
			return
		}
	}
}

func (p *plant) file(name string, content []byte) {
	p.t.Helper()
	p.check(os.MkdirAll(filepath.Dir(p.path(name)), 0o755))
	p.check(os.WriteFile(p.path(name), content, 0o644))
	p.stamp(name)
}

func (p *plant) dir(name string) {
	p.t.Helper()
	p.check(os.MkdirAll(p.path(name), 0o755))
	p.stamp(name)
}

func (p *plant) symlink(name, target string) {
	p.t.Helper()
	p.check(os.Symlink(target, p.path(name)))
	p.stamp(name)
}

func (p *plant) link(old, name string) {
	p.t.Helper()
	p.check(os.Link(p.path(old), p.path(name)))
	p.stamp(name)
}

func (p *plant) remove(name string) {
	p.t.Helper()
	p.check(os.RemoveAll(p.path(name)))
	p.stamp(filepath.Dir(name))
}

// node makes a device or special file; without the privilege it is left out.
func (p *plant) node(name string, mode uint32, dev uint64) {
	p.t.Helper()
	err := unix.Mknod(p.path(name), mode|0o644, int(dev))
	if err == unix.EPERM {
		return
	}
	p.check(err)
	p.stamp(name)
}

func (p *plant) open() *walk.Root {
	p.t.Helper()
	root, err := walk.OpenRoot(p.root)
	p.check(err)
	p.t.Cleanup(func() { root.Close() })
	return root
}

// random is content that compresses badly and is the same in each run.
func random(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 0, size+8)
	for len(b) < size {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b[:size]
}

// garden plants a bit of everything that needs no option of its own.
func (p *plant) garden() {
	p.t.Helper()
	p.file("a.txt", []byte("hello\n"))
	p.file("empty", nil)
	p.file("big", random(1, 700_000))
	p.file("zeros", make([]byte, 100_000))
	p.file(".hidden", []byte("x"))
	p.file("odd\nname \xff", []byte("odd"))
	p.file("dir/sub/deep/er/file", []byte("deep"))
	p.file("dir/sub/other", bytes.Repeat([]byte("text "), 2000))
	p.file("dir-b/f", []byte("1"))
	p.file("dir.c/f", []byte("2"))
	p.dir("dir/none")
	p.symlink("link", "a.txt")
	p.symlink("dir/dangling", "../nowhere/at/all")
	p.node("fifo", unix.S_IFIFO, 0)
	p.node("char", unix.S_IFCHR, unix.Mkdev(5, 300))
	p.node("dir/block", unix.S_IFBLK, unix.Mkdev(7, 3))
	for i := range 40 {
		p.file(fmt.Sprintf("many/%c%02d/file", 'a'+i%26, i), random(uint64(i), i*97))
	}
	p.check(os.Chmod(p.path("a.txt"), 0o4751))
	if os.Geteuid() == 0 {
		p.check(os.Lchown(p.path("empty"), 12345, 54321))
		p.check(os.Lchown(p.path("dir/sub"), 4000000000, 1))
	}
}

// same fails the test if dest is not what was planted.
func (p *plant) same(dest string, want harness.Comparison) {
	p.t.Helper()
	want.AnyOwner = want.AnyOwner || os.Geteuid() != 0
	diffs, err := harness.Compare(p.root, dest, want)
	p.check(err)
	for _, d := range diffs {
		p.t.Error(d)
	}
}
