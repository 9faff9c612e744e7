package flist_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// metadataTree makes a tree with one of everything.
func metadataTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"d", "d/e", "z"} {
		must(t, os.Mkdir(at(name), 0o755))
	}
	for i, name := range []string{"a", "d/b", "d/e/c", "z/long name"} {
		must(t, os.WriteFile(at(name), bytes.Repeat([]byte(name), i*1000), os.FileMode(0o600+i)))
	}
	must(t, os.WriteFile(at("linked"), []byte("linked"), 0o640))
	must(t, os.Link(at("linked"), at("d/linked")))
	must(t, os.Link(at("linked"), at("z/linked too")))
	must(t, os.Link(at("linked"), at("z/linked as well")))
	must(t, os.WriteFile(at("z/alone"), nil, 0o600))
	must(t, os.Link(at("z/alone"), filepath.Join(t.TempDir(), "outside")))
	must(t, os.Symlink("../some/where", at("d/symlink")))
	must(t, os.Link(at("d/symlink"), at("d/same symlink")))
	must(t, unix.Mkfifo(at("d/fifo"), 0o604))
	if err := unix.Setxattr(at("a"), "user.short", []byte("value"), 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("the file system has no extended attributes")
	}
	must(t, unix.Setxattr(at("a"), "user.long", bytes.Repeat([]byte("v"), 100), 0))
	must(t, unix.Setxattr(at("d/b"), "user.short", []byte("value"), 0))
	must(t, unix.Setxattr(at("d/b"), "user.long", bytes.Repeat([]byte("v"), 100), 0))
	must(t, unix.Setxattr(at("d/e"), "user.empty", nil, 0))
	rich := kernelACL(ace{userObj, 6, nobody}, ace{user, 6, 1}, ace{user, 4, 60000}, ace{groupObj, 4, nobody}, ace{group, 4, 2}, ace{mask, 7, nobody}, ace{other, 4, nobody})
	must(t, unix.Setxattr(at("a"), "system.posix_acl_access", rich, 0))
	must(t, unix.Setxattr(at("d/b"), "system.posix_acl_access", rich, 0))
	must(t, unix.Setxattr(at("d"), "system.posix_acl_default", rich, 0))
	if os.Geteuid() == 0 {
		must(t, unix.Mknod(at("char"), unix.S_IFCHR|0o600, int(unix.Mkdev(5, 300))))
		must(t, unix.Mknod(at("d/block"), unix.S_IFBLK|0o600, int(unix.Mkdev(5, 70000))))
		must(t, unix.Mknod(at("d/block2"), unix.S_IFBLK|0o600, int(unix.Mkdev(5, 1))))
		must(t, os.Lchown(at("a"), 1, 2))
		must(t, os.Lchown(at("d/b"), 60000, 60001))
		must(t, os.Lchown(at("d/symlink"), 1, 60001))
	}
	stamp := time.Unix(1234567890, 123456789)
	must(t, os.Chtimes(at("d/b"), time.Now(), stamp))
	must(t, os.Chtimes(at("z"), time.Now(), stamp.Add(-time.Hour)))
	// An access time in the future does not change when the file is read.
	times := []unix.Timespec{unix.NsecToTimespec(time.Now().Add(time.Hour).UnixNano()), {Nsec: unix.UTIME_OMIT}}
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW))
	}))
	return dir
}

// TestEntriesSayWhatTheSourceHas reads a list of a real sender with everything
// that a list can carry.
func TestEntriesSayWhatTheSourceHas(t *testing.T) {
	eachSource(t, func(t *testing.T, o sourceOptions) {
		for _, numeric := range []bool{false, true} {
			dir := metadataTree(t)
			before := map[string]unix.Stat_t{}
			must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
				var st unix.Stat_t
				before[path] = st
				return errors.Join(err, unix.Lstat(path, &st), func() error { before[path] = st; return nil }())
			}))
			o.letters, o.dir, o.paths, o.args = "logDtprHc", dir, []string{"./"}, nil
			if o.protocol > 27 { // there rsync itself is at odds with what it sends
				o.letters += "U"
			}
			if numeric {
				o.args = []string{"--numeric-ids"}
			}
			if o.protocol >= 30 {
				o.letters += "AX"
			}
			s := startSource(t, o)
			_, lists, err := s.lists(flist.Receive{})
			if err != nil {
				t.Fatalf("%v; rsync says %q %s", err, s.said, s.stderr.String())
			}
			store := flist.NewLists()
			for _, list := range lists {
				store.Add(list)
			}
			store.End(nil)
			groups := map[*flist.LinkGroup][]string{}
			for n := range lists {
				list, err := store.Next(t.Context(), n)
				must(t, err)
				for _, f := range list.Order {
					path := filepath.Join(dir, string(f.Path))
					sameEntry(t, s, f, path, before[path])
					delete(before, path)
					if f.Group() != nil {
						groups[f.Group()] = append(groups[f.Group()], string(f.Path))
					}
				}
			}
			if len(before) > 0 {
				t.Errorf("not listed: %v", before)
			}
			sameGroups(t, s, groups)
		}
	})
}

func sameEntry(t *testing.T, s *source, f *flist.File, path string, st unix.Stat_t) {
	t.Helper()
	kind, _ := tree.KindOfMode(st.Mode)
	want := tree.Meta{
		Kind: kind, Perm: uint16(st.Mode & tree.PermMask), UID: st.Uid, GID: st.Gid, Size: st.Size,
		Mtime: tree.Time{Sec: st.Mtim.Sec},
	}
	if s.opts.Protocol >= 31 {
		want.Mtime.Nsec = uint32(st.Mtim.Nsec)
	}
	if kind.IsDevice() {
		want.Major, want.Minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
	}
	x := f.Extra()
	if got := f.Full(); got != want {
		t.Errorf("%s is %+v, not %+v", f.Path, got, want)
	}
	if atime := st.Atim.Sec; s.opts.Atimes && kind != tree.Dir && x.Atime.Sec != atime {
		t.Errorf("%s has access time %d, not %d", f.Path, x.Atime.Sec, atime)
	}
	if target, _ := os.Readlink(path); x.Target != target {
		t.Errorf("%s points at %q", f.Path, x.Target)
	}
	if kind == tree.File {
		content, err := os.ReadFile(path)
		must(t, err)
		h := s.file.New(0)
		h.Write(content)
		if !bytes.Equal(x.Sum, h.Sum(nil)) {
			t.Errorf("%s has checksum %x", f.Path, x.Sum)
		}
	}
	if s.opts.ACLs {
		for name, got := range map[string][]byte{"system.posix_acl_access": x.Access, "system.posix_acl_default": x.Default} {
			if !bytes.Equal(got, xattrOf(path, name)) {
				t.Errorf("%s has %s %x, not %x", f.Path, name, got, xattrOf(path, name))
			}
		}
	}
}

func xattrOf(path, name string) []byte {
	buf := make([]byte, 1000)
	n, err := unix.Lgetxattr(path, name, buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

func sameGroups(t *testing.T, s *source, groups map[*flist.LinkGroup][]string) {
	t.Helper()
	var got []string
	for g, names := range groups {
		var members []string
		for _, f := range g.Members {
			members = append(members, string(f.Path))
		}
		slices.Sort(names)
		slices.Sort(members)
		if !slices.Equal(names, members) {
			t.Errorf("group %q has members %q", names, members)
		}
		if len(names) > 1 {
			got = append(got, strings.Join(names, ", "))
		} else if !s.opts.Incremental() {
			t.Errorf("%s is in a group of its own", names[0])
		}
	}
	slices.Sort(got)
	want := []string{"d/linked, linked, z/linked as well, z/linked too", "d/same symlink, d/symlink"}
	if s.opts.Protocol == 27 {
		want = want[:1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("hard links are %q", got)
	}
}

// TestLongAttributesAreFetched asks a real sender for values that are too long
// for the list.
func TestLongAttributesAreFetched(t *testing.T) {
	eachSource(t, func(t *testing.T, o sourceOptions) {
		if o.protocol < 30 {
			return
		}
		o.letters, o.dir, o.paths = "rX", metadataTree(t), []string{"./"}
		s := startSource(t, o)
		_, lists, err := s.lists(flist.Receive{})
		must(t, err)
		sets := lists[0].Xattrs
		i := slices.IndexFunc(lists[0].Files, func(f *flist.File) bool { return f.Path == "a" })
		f := lists[0].Files[i]
		attrs := sets.Set(f.Xattrs)
		if len(attrs) != 2 || attrs[0].Name != "user.long" || attrs[0].Known || attrs[0].Size != 100 ||
			attrs[1].Name != "user.short" || string(attrs[1].Value) != "value" {
			t.Fatalf("attributes are %+v", attrs)
		}
		for _, want := range []string{"it is asked for once", "and known from then on"} {
			s.w.Ndx(o.protocol, f.Index)
			s.w.Short(uint16(wire.ItemXattr))
			sets.Ask(s.w, f.Xattrs, []int32{1})
			must(t, s.w.Flush())
			ndx, err := s.r.Ndx(o.protocol)
			must(t, err)
			flags, err := s.r.Short()
			must(t, err)
			if ndx != f.Index || !s.opts.XattrBlock(wire.Item(flags)) {
				t.Fatalf("%s: echo %d, flags %#x", want, ndx, flags)
			}
			must(t, sets.Answer(s.r, f.Xattrs))
			if a := sets.Set(f.Xattrs)[0]; !a.Known || string(a.Value) != strings.Repeat("v", 100) {
				t.Fatalf("%s: %+v", want, a)
			}
		}
		if other := slices.IndexFunc(lists[len(lists)-1].Files, func(f *flist.File) bool { return f.Path == "d/b" }); other >= 0 {
			if got := lists[len(lists)-1].Files[other].Xattrs; got != f.Xattrs {
				t.Errorf("equal sets have the numbers %d and %d", f.Xattrs, got)
			}
		}
	})
}

// TestMissingArgumentsArrive asks a real sender for what it does not have.
func TestMissingArgumentsArrive(t *testing.T) {
	eachSource(t, func(t *testing.T, o sourceOptions) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "here"), nil, 0o600))
		o.letters, o.dir, o.args, o.paths = "logDtpr", dir, []string{"--delete-missing-args"}, []string{"nope", "here", "nor this"}
		s := startSource(t, o)
		_, lists, err := s.lists(flist.Receive{DeleteMissing: true})
		if err != nil {
			t.Fatalf("%v; rsync says %q %s", err, s.said, s.stderr.String())
		}
		var got []string
		for _, f := range lists[0].Order {
			got = append(got, fmt.Sprint(f.Path, " ", f.Gone, " ", f.Meta.Kind))
		}
		if want := []string{"here false file", "nope true missing", "nor this true missing"}; !slices.Equal(got, want) {
			t.Errorf("listed are %q", got)
		}
	})
}
