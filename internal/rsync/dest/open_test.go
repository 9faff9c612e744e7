package dest_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// TestModules names directories as a daemon's client can: nothing leads out of
// the module.
func TestModules(t *testing.T) {
	for _, c := range []struct {
		name string
		arg  string
		set  func(*option.Set)
		want string // where the file is, below the directory that holds the module; or a piece of the error
	}{
		{"the module itself", "", nil, "m/f"},
		{"a directory in it", "sub", nil, "m/sub/f"},
		{"an absolute name", "/sub", nil, "m/sub/f"},
		{"dots stop at its top", "../../../sub", nil, "m/sub/f"},
		{"a new directory", "/../new/", nil, "m/new/f"},
		{"a symlink inside", "inside", nil, "m/sub/f"},
		{"a symlink out of it", "out", nil, `rsync: [Receiver] change_dir#1 "out" (in mod) failed: Too many levels of symbolic links (40)`},
		{"an absolute symlink", "abs", nil, `rsync: [Receiver] change_dir#1 "abs" (in mod) failed: Too many levels of symbolic links (40)`},
		{"a file outside", "file/", nil, `rsync: [Receiver] ERROR: cannot stat destination "file/" (in mod): Not a directory (20)`},
		{"nothing outside", "gone/", nil, `rsync: [Receiver] mkdir "gone" (in mod) failed: File exists (17)`},
		{"a loop", "loop", nil, `rsync: [Receiver] ERROR: cannot stat destination "loop" (in mod): Too many levels of symbolic links (40)`},
		{"a missing parent", "no/no/", nil, `rsync: [Receiver] mkdir "no/no" (in mod) failed: No such file or directory (2)`},
		{"a temporary directory", "", func(o *option.Set) { o.TempDir = "/../../sub" }, "m/f"},
		{"a backup directory", "", func(o *option.Set) { o.Backup, o.BackupDir, o.Suffix = true, "../../../b", "" }, "m/f"},
		{"a partial directory", "", func(o *option.Set) { o.PartialDir, o.DelayUpdates = "/pp", true }, "m/f"},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := t.TempDir()
			m := filepath.Join(top, "m")
			must(t, os.MkdirAll(filepath.Join(m, "sub"), 0o755))
			must(t, os.Mkdir(filepath.Join(top, "outside"), 0o755))
			must(t, os.WriteFile(filepath.Join(m, "f"), []byte("old"), 0o644))
			must(t, os.Symlink("sub", filepath.Join(m, "inside")))
			must(t, os.Symlink("../outside", filepath.Join(m, "out")))
			must(t, os.Symlink(filepath.Join(m, "sub"), filepath.Join(m, "abs")))
			must(t, os.Symlink(filepath.Join(m, "f"), filepath.Join(m, "file")))
			must(t, os.Symlink("../gone", filepath.Join(m, "gone")))
			must(t, os.Symlink("loop", filepath.Join(m, "loop")))
			opt := options()
			if c.set != nil {
				c.set(opt)
			}
			d, err := dest.Open(dest.Params{Opt: opt, Protocol: 32, Talk: new(talk), Module: &dest.Module{Name: "mod", Dir: m}},
				c.arg, dest.List{Entries: 2})
			if strings.HasPrefix(c.want, "rsync:") {
				if err == nil || err.Error() != c.want {
					t.Errorf("the error is %v, want %v", err, c.want)
				}
				return
			}
			must(t, err)
			defer d.Close()
			_, err = d.As("receiver").Store(&flist.File{Path: "f", Meta: flist.Meta{Kind: tree.File, Perm: 0o644, Size: 3}}, []byte("new"), false, false)
			must(t, err)
			d.PlaceDelayed(func(*flist.File, error) {})
			content, err := os.ReadFile(filepath.Join(top, c.want))
			if err != nil || string(content) != "new" {
				t.Errorf("it has %q, %v", content, err)
			}
			entries, err := os.ReadDir(top)
			must(t, err)
			left, err := os.ReadDir(filepath.Join(top, "outside"))
			if len(entries) != 2 || len(left) != 0 || err != nil {
				t.Errorf("outside of the module: %v, %v, %v", entries, left, err)
			}
			if want := `"f" (in mod)`; c.want == "m/f" && d.FullName("f") != want {
				t.Errorf("it is called %s, not %s", d.FullName("f"), want)
			}
		})
	}
}

// A process that changed its root to the module has symlinks that lead there.
func TestModulesThatAreTheRootOfTheProcess(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{"sub", "d", "k"} {
		must(t, os.Mkdir(filepath.Join(top, dir), 0o755))
	}
	for link, target := range map[string]string{"abs": "sub", "old": "sub/old", "d/k": "k"} {
		must(t, os.Symlink(filepath.Join(top, target), filepath.Join(top, link)))
	}
	opt := options()
	opt.KeepDirlinks, opt.Backup, opt.BackupDir, opt.Suffix = true, true, top+"/abs", ""
	k := new(talk)
	open := func(arg string, list dest.List) *dest.Dest {
		d, err := dest.Open(dest.Params{Opt: opt, Protocol: 32, Talk: k, Module: &dest.Module{Name: "mod", Dir: "/"}}, top+arg, list)
		must(t, err)
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
	store := func(d *dest.Dest, name string, content string) {
		f := &flist.File{Path: tree.Path(name), Meta: flist.Meta{Kind: tree.File, Perm: 0o644, Size: int64(len(content))}}
		_, err := d.As("receiver").Store(f, []byte(content), false, false)
		must(t, err)
	}
	store(open("/abs", dest.List{Entries: 2}), "a", "1")
	for _, content := range []string{"2", "3"} {
		store(open("/d", dest.List{Entries: 2}), "k/f", content)
	}
	store(open("/old", dest.List{Entries: 1, First: &flist.File{Path: "x", Meta: flist.Meta{Kind: tree.File}}}), "x", "4")
	for name, want := range map[string]string{"sub/a": "1", "k/f": "3", "sub/k/f": "2", "old": "4"} {
		if content, err := os.ReadFile(filepath.Join(top, name)); err != nil || string(content) != want {
			t.Errorf("%s has %q, %v; want %q", name, content, err, want)
		}
	}
	if os.Getuid() == 0 {
		must(t, os.Lchown(filepath.Join(top, "d/k"), 65534, 65534))
		if _, err := open("/d", dest.List{Entries: 2}).StatPath("k/f"); !errors.As(err, new(walk.UntrustedLink)) {
			t.Errorf("another user's symlink: %v", err)
		}
	}
}

func TestFileNameMode(t *testing.T) {
	dir := t.TempDir()
	f := &flist.File{Path: "listed", Meta: flist.Meta{Kind: tree.File, Perm: 0o644, Size: 3}}
	d, err := dest.Open(dest.Params{Opt: options(), Protocol: 32, Talk: new(talk), Dir: dir}, "other", dest.List{Entries: 1, First: f})
	must(t, err)
	defer d.Close()
	if !d.Single() || d.Path(f) != "other" {
		t.Errorf("single %v, at %s", d.Single(), d.Path(f))
	}
	_, err = d.Store(f, []byte("new"), false, false)
	must(t, err)
	folder, err := d.Folder(f.Path.Parent())
	must(t, err)
	var have dest.Found
	if err := folder.Stat(f, &have); err != nil || have.Size != 3 {
		t.Errorf("found %+v, %v", have, err)
	}
	_ = folder.Close()
	if _, err := os.Stat(filepath.Join(dir, "other")); err != nil {
		t.Error(err)
	}
}

func TestNothingChangesInADryRun(t *testing.T) {
	for name, set := range map[string]func(*option.Set){
		"dry run":    func(o *option.Set) { o.DryRun = true },
		"batch only": func(o *option.Set) { o.OnlyWriteBatch = "batch" },
	} {
		t.Run(name, func(t *testing.T) {
			w := t.TempDir()
			shell(t, w, everything+"mkdir -p d/gone d/a/x; ln -s old d/link; echo old > d/ro; touch -d 1990-01-01 d/ro")
			before := fingerprint(t, filepath.Join(w, "d"), true, true)
			opt := options()
			archive(opt)
			opt.Delete, opt.Backup, opt.BackupDir = true, true, "../b"
			set(opt)
			e, err := newEngine(t, opt, w, "s", "d", "")
			must(t, err)
			opt.DryRun = true // for the engine, which would open outputs
			must(t, e.run())
			if after := fingerprint(t, filepath.Join(w, "d"), true, true); after != before {
				t.Errorf("it did:\n%s", difference(after, before))
			}
			if _, err := os.Stat(filepath.Join(w, "b")); err == nil {
				t.Error("a backup directory was made")
			}
			if n := e.d.DeleteCounts(); n != [5]int32{0, 2, 0, 0, 0} {
				t.Errorf("counted %v", n)
			}
		})
	}
}

func TestSymlinksOutOfTheTreeCountAsDirectories(t *testing.T) {
	w := t.TempDir()
	shell(t, w, "mkdir d o o2; touch o/f; ln -s ../o d/dir")
	opt := options()
	archive(opt)
	opt.KeepDirlinks = true
	k := new(talk)
	d, err := dest.Open(dest.Params{Opt: opt, Protocol: 32, Talk: k, Dir: w}, "d", dest.List{Entries: 3})
	must(t, err)
	defer d.Close()
	f := &flist.File{Path: "dir", Meta: flist.Meta{Kind: tree.Dir, Perm: 0o700}}
	have, err := d.Stat(f)
	if err != nil || !have.IsDir() {
		t.Fatalf("found %+v, %v", have, err)
	}
	if _, err := d.SetAttrs(f, &have); err == nil {
		t.Error("attributes were set")
	}
	if _, err := d.Stat(&flist.File{Path: "dir/f", Meta: flist.Meta{Kind: tree.File}}); err == nil {
		t.Error("a file behind it was found")
	}
	if want := []string{`rsync: [Receiver] failed to set permissions on "` + w + `/d/dir": Too many levels of symbolic links (40)`}; !slices.Equal(k.lines, want) {
		t.Errorf("said %q", k.lines)
	}
}

// What rsync makes before it refuses to enter it is not made.
func TestNothingIsMadeBehindASymlinkOfAnotherUser(t *testing.T) {
	needsRoot(t)
	for arg, want := range map[string]string{"l/x": "change_dir#2", "l/x/y/": "change_dir#1"} {
		top := t.TempDir()
		must(t, os.Mkdir(filepath.Join(top, "d"), 0o755))
		must(t, os.Symlink("d", filepath.Join(top, "l")))
		must(t, os.Lchown(filepath.Join(top, "l"), 65534, 65534))
		opt := options()
		opt.MkPath = strings.HasSuffix(arg, "/")
		_, err := dest.Open(dest.Params{Opt: opt, Protocol: 32, Talk: new(talk), Dir: top}, arg, dest.List{Entries: 2})
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, new(walk.UntrustedLink)) {
			t.Errorf("the error of %s is %v, want %s", arg, err, want)
		}
		if left, err := os.ReadDir(filepath.Join(top, "d")); err != nil || len(left) > 0 {
			t.Errorf("%s: behind the symlink there is %v, %v", arg, left, err)
		}
	}
}

func TestDevicesThatAreWritten(t *testing.T) {
	needsRoot(t)
	g := newTarget(t, func(o *option.Set) { o.WriteDevices = true })
	shell(t, g.dir, "mknod f c 1 3")
	have, err := g.d.Stat(g.f)
	must(t, err)
	if bits := g.d.Differs(g.f, &have, wire.ItemTransfer, false); bits != wire.ItemSize|wire.ItemTime|wire.ItemPerms {
		t.Errorf("the differences are %#x", uint32(bits))
	}
	if got := g.receive(whole, dest.Good, "new"); got != dest.Placed {
		t.Errorf("outcome %v", got)
	}
	if info, err := os.Lstat(filepath.Join(g.dir, "f")); err != nil || info.Mode() != os.ModeDevice|os.ModeCharDevice|0o640 {
		t.Errorf("it is %v, %v", info.Mode(), err)
	}
}

func TestErrorsAreInTheWordsOfRsync(t *testing.T) {
	_, err := dest.Open(dest.Params{Opt: options(), Protocol: 32, Talk: new(talk)}, filepath.Join(t.TempDir(), "no/no/"), dest.List{Entries: 2})
	fatal := new(dest.Error)
	if !errors.As(err, &fatal) || fatal.ExitCode() != 11 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the error is %#v", err)
	}
}

// rsync throws the file away then, and says that all went well.
func TestAPartialDirectoryThatCannotBeMadeIsAnError(t *testing.T) {
	top := t.TempDir()
	opt := options()
	opt.DelayUpdates, opt.PartialDir = true, filepath.Join(top, "missing/pp")
	d, err := dest.Open(dest.Params{Opt: opt, Protocol: 32, Talk: new(talk)}, top, dest.List{Entries: 2})
	must(t, err)
	defer d.Close()
	f := &flist.File{Path: "f", Meta: flist.Meta{Kind: tree.File, Perm: 0o644, Size: 3}}
	if outcome, err := d.As("receiver").Store(f, []byte("new"), false, false); outcome != dest.Discarded || err == nil {
		t.Errorf("outcome %v, error %v", outcome, err)
	}
}

// TestDirectoriesAreLookedAtInRsyncsOrder wants what comes before the end of a
// run to be told still.
func TestDirectoriesAreLookedAtInRsyncsOrder(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	opt := options()
	opt.Backup, opt.BackupDir, opt.Info[option.InfoBackup] = true, "bak", 1
	opt.LinkDest = []string{"alt"}
	opt.TempDir = "tmp"
	for _, c := range []struct{ backups, want, said string }{
		{"bak", "The temp-dir does not exist: tmp", "--link-dest arg does not exist: " + dir + "/alt\n(new) backup_dir is bak"},
		{"file", "The backup-dir is not a directory: file", "--link-dest arg does not exist: " + dir + "/alt"},
	} {
		said := new(talk)
		opt.BackupDir = c.backups
		_, err := dest.Open(dest.Params{Opt: opt, Protocol: 32, Talk: said}, dir, dest.List{Entries: 2})
		if err == nil || err.Error() != c.want {
			t.Errorf("the error is %v, want %s", err, c.want)
		}
		if got := strings.Join(said.lines, "\n"); got != c.said {
			t.Errorf("it said %q, want %q", got, c.said)
		}
	}
}

func TestATemporaryDirectoryThatCannotBeUsedEndsTheRun(t *testing.T) {
	for _, c := range []struct {
		name, want string
		code       int
	}{
		{"none", "The temp-dir does not exist: none", 1},
		{"file", "The temp-dir is not a directory: file", 1},
		{"file/none", "Failed to stat temp-dir file/none: Not a directory", 11},
		{"loop", "Failed to stat temp-dir loop: Too many levels of symbolic links", 11},
	} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
		must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
		opt := options()
		opt.TempDir = c.name
		_, err := dest.Open(dest.Params{Opt: opt, Protocol: 32, Talk: new(talk)}, dir, dest.List{Entries: 2})
		if failed := new(dest.Error); !errors.As(err, &failed) || failed.Text != c.want || failed.Code != c.code {
			t.Errorf("%s: the error is %v", c.name, err)
		}
	}
}

// What --confine-root bounds is the directories that options name.
func TestDirectoriesOfOptionsAreConfined(t *testing.T) {
	top := t.TempDir()
	shell(t, top, "mkdir in out d")
	for _, dir := range []string{"in", "out"} {
		opt := options()
		opt.ConfineRoot, opt.TempDir = filepath.Join(top, "in"), filepath.Join(top, dir)
		d, err := dest.Open(dest.Params{Opt: opt, Dir: top, Talk: &talk{}}, "d", dest.List{Entries: 2})
		if (err == nil) != (dir == "in") {
			t.Errorf("--temp-dir=%s: %v", dir, err)
		}
		if err == nil {
			must(t, d.Close())
		}
	}
}
