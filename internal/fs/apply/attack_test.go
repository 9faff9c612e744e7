package apply_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
)

// TestSymlinkSwaps has an attacker, who may write in the tree, exchange a
// directory for a symlink to one outside and back, as fast as the kernel can,
// while every operation works on paths through it. Nothing outside is touched.
func TestSymlinkSwaps(t *testing.T) {
	outside := t.TempDir()
	for _, name := range []string{"victim", "file", "link", "fifo", "other"} {
		write(t, "outside", outside, name)
	}
	for _, name := range []string{"sub", "dir"} {
		must(t, os.Mkdir(filepath.Join(outside, name), 0o755))
		write(t, "outside", outside, name, "victim")
	}
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "a", "d"), 0o755))
	must(t, os.Symlink(outside, filepath.Join(dir, "a", "evil")))
	before := fingerprint(t, outside)

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		d, evil := filepath.Join(dir, "a", "d"), filepath.Join(dir, "a", "evil")
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, d, unix.AT_FDCWD, evil, unix.RENAME_EXCHANGE)
			}
		}
	}()
	r := openRoot(t, dir, everything)
	src, big := source(t, "inside"), source(t, string(make([]byte, apply.UnnamedFrom)))
	good := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		for _, err := range attackOnce(r, src, big) {
			if err == nil {
				good++
			}
		}
		if good%2 == 0 {
			r.ForgetDirs()
		}
	}
	close(stop)
	<-stopped
	if after := fingerprint(t, outside); after != before {
		t.Errorf("outside was touched:\n%s\nwas\n%s", after, before)
	}
	if good == 0 {
		t.Error("not one operation worked: nothing was tested")
	}
}

func attackOnce(r *apply.Root, src, big *os.File) []error {
	m, d := fileMeta(0o777), dirMeta(0o700)
	_, e1 := r.CopyFile("a/d/file", src, m, apply.Copy{})
	_, e2 := r.CopyFile("a/d/sub/victim", src, m, apply.Copy{Compare: true})
	_, e3 := r.CopyFile("a/d/other", big, m, apply.Copy{})
	_, e4 := r.Mkdir("a/d/sub", d, nil)
	_, e5 := r.Mkdir("a/d/new", d, nil)
	errs := []error{
		e1, e2, e3, e4, e5,
		r.Symlink("a/d/link", "x", m, nil),
		r.Mknod("a/d/fifo", tree.Meta{Kind: tree.Fifo}, nil),
		r.SetMeta("a/d/victim", m, nil),
		r.SetMeta("a/d/sub", d, nil),
		r.SetMeta("a/d", d, nil),
		r.SetTimes("a/d/victim", m.Mtime),
		r.SetTimes("a/d", m.Mtime),
		r.Link("a/d/file", "a/d/linked"),
		r.Rename("a/d/linked", "a/d/renamed"),
		r.Rename("a/d/victim", "a/stolen"),
		r.Remove("a/d/victim"),
	}
	_, e6 := r.RemoveAll("a/d/dir", nil)
	_, e7 := r.RemoveAll("a/d/sub", nil)
	_, e8 := r.Sweep(context.Background(), "a/d")
	return append(errs, e6, e7, e8)
}
