package dest_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// TestSymlinkSwaps has an attacker, who may write in the destination, in the
// backup directory and in the alternate one, exchange a directory in each for a
// symlink to one outside and back, as fast as the kernel can, while everything
// that a Dest does works on paths through it. Nothing outside is touched, and
// nothing of it is read.
func TestSymlinkSwaps(t *testing.T) {
	for name, set := range map[string]func(*option.Set){
		"staged":   func(o *option.Set) { o.Partial, o.PartialDir = true, ".pp" },
		"in place": func(o *option.Set) { o.Inplace = true },
		"delayed":  func(o *option.Set) { o.DelayUpdates = true },
		"through symlinks inside": func(o *option.Set) {
			o.KeepDirlinks = true
		},
	} {
		t.Run(name, func(t *testing.T) { symlinkSwaps(t, set) })
	}
}

func symlinkSwaps(t *testing.T, set func(*option.Set)) {
	outside := t.TempDir()
	for _, name := range []string{"file", "link", "fifo", "linked", "gone", "file~", ".pp/file", ".~tmp~/file", "sub/file", "tree/1"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(outside, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(outside, name), []byte("outside"), 0o644))
	}
	before := fingerprint(t, outside, true, true)

	top := t.TempDir()
	for _, dir := range []string{"d/a/d", "b/a/d", "alt/a/d"} {
		must(t, os.MkdirAll(filepath.Join(top, dir), 0o755))
		evil := filepath.Join(top, filepath.Dir(dir), "evil")
		must(t, os.Symlink(outside, evil))
		if os.Geteuid() == 0 { // alternate directories are read through links of the operator's own
			must(t, os.Lchown(evil, 65534, 65534))
		} else if dir == "alt/a/d" {
			must(t, os.Remove(evil))
		}
	}
	must(t, os.WriteFile(filepath.Join(top, "d/a/leader"), []byte("leader"), 0o644))

	opt := options()
	archive(opt)
	opt.Backup, opt.BackupDir, opt.Suffix, opt.Force, opt.Fuzzy, opt.LinkDest = true, "../b", "", true, 2, []string{"../alt"}
	set(opt)
	d, err := dest.Open(dest.Params{Opt: opt, Protocol: 32, Talk: new(talk)}, filepath.Join(top, "d"), dest.List{Entries: 9})
	must(t, err)
	defer d.Close()

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			for _, dir := range []string{"d", "b", "alt"} {
				select {
				case <-stop:
					return
				default:
					a, b := filepath.Join(top, dir, "a/d"), filepath.Join(top, dir, "a/evil")
					_ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
				}
			}
		}
	}()
	good := 0
	for end := time.Now().Add(600 * time.Millisecond); time.Now().Before(end); {
		for _, err := range assault(t, d) {
			if err == nil {
				good++
			}
		}
		d.Root().Forget("")
	}
	close(stop)
	<-stopped
	if after := fingerprint(t, outside, true, true); after != before {
		t.Errorf("outside was touched:\n%s", difference(after, before))
	}
	if good == 0 {
		t.Error("not one operation worked: nothing was tested")
	}
}

func assault(t *testing.T, d *dest.Dest) (errs []error) {
	r := d.As("receiver")
	file := func(p tree.Path, kind tree.Kind) *flist.File {
		return &flist.File{Path: p, Meta: flist.MetaOf(tree.Meta{Kind: kind, Perm: 0o4777, Size: 6, Mtime: tree.Time{Sec: 5}, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())})}
	}
	did := func(err error) { errs = append(errs, err) }
	read := func(f *os.File, err error) {
		did(err)
		if err != nil {
			return
		}
		buf := make([]byte, 7)
		n, _ := f.ReadAt(buf, 0)
		_ = f.Close()
		if string(buf[:n]) == "outside" {
			t.Error("something outside was read")
		}
	}
	f := file("a/d/file", tree.File)
	_, err := r.Store(f, []byte("inside"), false, false)
	did(err)
	for _, v := range []dest.Verdict{dest.Good, dest.Bad, dest.Broken} {
		o, err := r.Create(f, dest.Writing{Basis: wire.BasisPartial, Partial: true})
		if err != nil {
			continue
		}
		_, _ = o.Write([]byte("inside"))
		_, err = o.Finish(v)
		did(err)
	}
	r.PlaceDelayed(func(_ *flist.File, err error) { did(err) })
	read(r.Basis(f, dest.Writing{Basis: wire.BasisFile}))
	read(r.Basis(f, dest.Writing{Basis: wire.BasisPartial}))
	read(r.Basis(f, dest.Writing{Basis: wire.BasisFuzzy, Xname: "linked"}))
	read(r.Basis(f, dest.Writing{Basis: 0}))
	read(r.Basis(f, dest.Writing{Basis: wire.BasisBackup}))
	have, err := d.Stat(f)
	did(err)
	_, err = d.SetAttrs(f, &have)
	did(err)
	if m := d.BestAlt(f); m.Level > dest.NoMatch {
		did(d.LinkAlt(f, m.Alt, &have))
		did(d.CopyAlt(f, m.Alt, &have))
	}
	d.RemovePartial(f)
	sub := file("a/d/sub", tree.Dir)
	did(d.Mkdir(sub))
	_, err = d.SetAttrs(sub, &dest.Found{})
	did(err)
	did(d.TouchUp(sub))
	did(d.TouchUp(file("a/d", tree.Dir)))
	_, err = r.Store(file("a/d/sub/file", tree.File), []byte("inside"), false, true)
	did(err)
	link, fifo, linked := file("a/d/link", tree.Symlink), file("a/d/fifo", tree.Fifo), file("a/d/linked", tree.File)
	link.Own().Target = "x"
	for _, f := range []*flist.File{link, fifo, linked} {
		have, err := d.Stat(f)
		if err != nil {
			continue
		}
		switch f {
		case link:
			did(d.Symlink(f, &have))
		case fifo:
			did(d.Mknod(f, &have))
		default:
			did(d.Link("a/leader", f, &have))
		}
	}
	for _, p := range []tree.Path{"a/d/gone", "a/d/tree", "a/d/sub"} {
		if have, err := d.StatPath(p); err == nil && have.Exists() {
			did(d.Delete(p, have.Meta, dest.Removal{}))
		}
	}
	_, err = d.ReadDir("a/d")
	did(err)
	return errs
}
