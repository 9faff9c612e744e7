package sender_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/proof/harness"
	"lockstep/internal/rsync/sender"
)

func TestHardLinksStayLinked(t *testing.T) {
	eachVariant(t, fewVariants, func(t *testing.T, o peerOptions) {
		src := newPlant(t, o.protocol)
		src.file("a/first", random(3, 5000))
		src.link("a/first", "a/second")
		src.file("b/x", nil)
		src.link("a/first", "b/third")
		src.link("a/first", "fourth")
		src.file("lonely", []byte("partner outside"))
		check(t, os.Link(src.path("lonely"), filepath.Join(tempDir(t), "outside")))
		src.symlink("s", "target")
		src.node("fifo", unix.S_IFIFO, 0)
		if o.protocol > 27 { // there only regular files are linked
			src.link("s", "s2")
			src.link("fifo", "b/fifo")
		}
		for _, d := range []string{"c/d/e", "c/d2", "c"} {
			src.file(d+"/pair", []byte(d))
			src.link(d+"/pair", d+"/pair2")
			src.link(d+"/pair", "pair"+filepath.Base(d))
		}
		dest := tempDir(t)
		o.letters = "logDtprH"
		p := startPeer(t, dest, o)
		res := p.send(sender.Job{Root: src.open(), Whole: true})
		p.exits(0)
		src.same(dest, harness.Comparison{HardLinks: true})
		if res.Transferred != 6 {
			t.Errorf("%d files were transferred, 6 are different", res.Transferred)
		}
		src.file("late", []byte("late"))
		src.link("late", "b/late")
		src.link("fourth", "c/fifth")
		p = startPeer(t, dest, o)
		p.send(sender.Job{Root: src.open(), Whole: true})
		p.exits(0)
		src.same(dest, harness.Comparison{HardLinks: true})
	})
}

func TestChecksumsInTheListFindHiddenChanges(t *testing.T) {
	eachVariant(t, fewVariants, func(t *testing.T, o peerOptions) {
		src := newPlant(t, o.protocol)
		src.garden()
		dest := tempDir(t)
		o.letters = "logDtprc"
		startPeer(t, dest, o).send(sender.Job{Root: src.open(), Whole: true})
		var st unix.Stat_t
		check(t, unix.Stat(src.path("a.txt"), &st))
		check(t, os.WriteFile(src.path("a.txt"), []byte("HELLO\n"), 0o600))
		check(t, unix.UtimesNanoAt(unix.AT_FDCWD, src.path("a.txt"), []unix.Timespec{st.Mtim, st.Mtim}, 0))
		p := startPeer(t, dest, o)
		res := p.send(sender.Job{Root: src.open(), Whole: true})
		p.exits(0)
		src.same(dest, harness.Comparison{})
		if res.Transferred != 1 {
			t.Errorf("%d files were transferred", res.Transferred)
		}
	})
}

func TestEveryCompressionAndChecksum(t *testing.T) {
	for _, o := range []peerOptions{
		{protocol: 32, compress: "zstd"}, {protocol: 32, compress: "lz4"}, {protocol: 32, compress: "zlibx"},
		{protocol: 32, compress: "zlib", sum: "md5"}, {protocol: 30, compress: "zlib", sum: "sha1"},
		{protocol: 32, compress: "auto", sum: "xxh64", incremental: true}, {protocol: 31, sum: "xxh3"}, {protocol: 32, sum: "md4"},
		{protocol: 29, compress: "zlib"}, {protocol: 27, compress: "zlib"}, {protocol: 32, sum: "none"},
	} {
		t.Run(o.compress+" "+o.sum, func(t *testing.T) {
			src := newPlant(t, o.protocol)
			src.garden()
			dest := tempDir(t)
			o.letters = "logDtpr"
			if o.compress == "auto" {
				o.letters += "z"
			}
			startPeer(t, dest, o).send(sender.Job{Root: src.open(), Whole: true})
			src.file("big", append(random(1, 300_000), random(1, 700_000)...))
			src.file("zeros", bytes.Repeat([]byte("0123456789"), 30_000))
			p := startPeer(t, dest, o)
			res := p.send(sender.Job{Root: src.open(), Whole: true})
			p.exits(0)
			src.same(dest, harness.Comparison{})
			if o.sum != "none" && res.Matched < 690_000 {
				t.Errorf("result %+v", res)
			}
		})
	}
}

func TestNumericIDs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	eachVariant(t, fewVariants, func(t *testing.T, o peerOptions) {
		src := newPlant(t, o.protocol)
		src.file("f", nil)
		check(t, os.Lchown(src.path("f"), 1, 2))
		src.file("g", nil)
		check(t, os.Lchown(src.path("g"), 4000000000, 70000))
		dest := tempDir(t)
		o.letters, o.args = "logDtpr", []string{"--numeric-ids"}
		p := startPeer(t, dest, o)
		p.send(sender.Job{Root: src.open(), Whole: true})
		p.exits(0)
		src.same(dest, harness.Comparison{})
	})
}

// setACL gives path an ACL in which one user and one group have a line.
func setACL(t *testing.T, path, attr string, id uint32) {
	t.Helper()
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{1, 7, nobody}, {2, 6, id}, {4, 5, nobody}, {8, 4, id + 1}, {16, 7, nobody}, {32, 1, nobody}} {
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[0]))
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[1]))
		acl = binary.LittleEndian.AppendUint32(acl, e[2])
	}
	if err := unix.Setxattr(path, "system.posix_acl_"+attr, acl, 0); err == unix.EOPNOTSUPP {
		t.Skip("the file system of the temporary directory has no ACLs")
	} else if err != nil {
		t.Fatal(err)
	}
}

const nobody = 0xffffffff

func setXattr(t *testing.T, path, name string, value []byte) {
	t.Helper()
	if err := unix.Lsetxattr(path, name, value, 0); err == unix.EOPNOTSUPP {
		t.Skip("the file system of the temporary directory has no extended attributes")
	} else if err != nil {
		t.Fatal(err)
	}
}

func TestACLsArrive(t *testing.T) {
	eachVariant(t, newVariants, func(t *testing.T, o peerOptions) {
		src := newPlant(t, o.protocol)
		src.file("d/plain", nil)
		src.file("d/one", []byte("1"))
		setACL(t, src.path("d/one"), "access", 1)
		src.file("d/two", []byte("2"))
		setACL(t, src.path("d/two"), "access", 1)
		src.file("d/three", []byte("3"))
		setACL(t, src.path("d/three"), "access", 77777)
		src.dir("d/sub")
		setACL(t, src.path("d/sub"), "default", 1)
		setACL(t, src.path("d"), "access", 3)
		src.symlink("link", "d")
		src.stamp("d/sub")
		dest := tempDir(t)
		o.letters = "logDtprA"
		p := startPeer(t, dest, o)
		p.send(sender.Job{Root: src.open(), Whole: true})
		p.exits(0)
		src.same(dest, harness.Comparison{Xattrs: true})
	})
}

func TestXattrsArrive(t *testing.T) {
	eachVariant(t, newVariants, func(t *testing.T, o peerOptions) {
		src := newPlant(t, o.protocol)
		long := random(9, 3000)
		for _, name := range []string{"d/a", "d/b", "d/c", "top"} {
			src.file(name, []byte(name))
			setXattr(t, src.path(name), "user.short", []byte("s"))
			setXattr(t, src.path(name), "user.long", long)
		}
		setXattr(t, src.path("d/c"), "user.empty", nil)
		src.link("d/c", "d/c2")
		src.dir("e/f")
		setXattr(t, src.path("e/f"), "user.dir", random(10, 100))
		setXattr(t, src.path("e"), "user.dir2", random(11, 100))
		setXattr(t, src.root, "user.root", random(12, 100))
		setXattr(t, src.path("top"), "user.rsync.%stat", []byte("not sent"))
		src.stamp("e/f")
		dest := tempDir(t)
		o.letters = "logDtprHX"
		p := startPeer(t, dest, o)
		p.send(sender.Job{Root: src.open(), Whole: true})
		p.exits(0)
		check(t, unix.Removexattr(src.path("top"), "user.rsync.%stat"))
		src.same(dest, harness.Comparison{Xattrs: true, HardLinks: true})

		long[0]++
		setXattr(t, src.path("d/b"), "user.long", long)
		check(t, unix.Removexattr(src.path("d/a"), "user.short"))
		setXattr(t, src.path("e/f"), "user.dir", random(13, 200))
		p = startPeer(t, dest, o)
		res := p.send(sender.Job{Root: src.open(), Whole: true})
		p.exits(0)
		src.same(dest, harness.Comparison{Xattrs: true, HardLinks: true})
		if res.Transferred != 0 {
			t.Errorf("%d files were transferred", res.Transferred)
		}
	})
}

func TestAttributesInAList(t *testing.T) {
	for _, protocol := range []int{30, 31, 32} {
		src := newPlant(t, protocol)
		src.file("d/e/f", []byte("f"))
		setXattr(t, src.path("d/e/f"), "user.long", random(9, 300))
		setXattr(t, src.path("d/e"), "user.long", random(8, 300))
		setACL(t, src.path("d/e/f"), "access", 1)
		setACL(t, src.path("d"), "default", 1)
		src.stamp("d/e/f")
		dest := tempDir(t)
		check(t, os.WriteFile(filepath.Join(dest, "gone"), nil, 0o644))
		p := startPeer(t, dest, peerOptions{protocol: protocol, letters: "logDtpRAX", args: []string{"--delete-missing-args"}})
		p.send(sender.Job{Root: src.open(), List: items("", "gone", "d/e/f", "d/e")})
		p.exits(0)
		src.same(dest, harness.Comparison{Xattrs: true})
	}
}
