package apply_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
)

// mount mounts a file system for the length of the test.
func mount(t *testing.T, source, kind, data string, flags uintptr) string {
	t.Helper()
	needRoot(t, "mounts a file system")
	dir := t.TempDir()
	if err := unix.Mount(source, dir, kind, flags, data); err != nil {
		t.Skipf("can't mount %s here: %v", kind, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := mount(t, "tmpfs", "tmpfs", "size=4m", 0)
	for _, c := range []struct {
		name  string
		named bool
		size  int
	}{
		{"a large file without a name", false, 8 << 20},
		{"a large file with a temporary name", true, 8 << 20},
		{"a small file", false, apply.UnnamedFrom - 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := openRoot(t, dir, archive)
			if c.named {
				r.WithoutUnnamed()
			}
			write(t, "old content", dir, "file")
			write(t, strings.Repeat("x", 3500<<10), dir, "ballast")
			before := fingerprint(t, filepath.Join(dir, "file"))
			for _, p := range []tree.Path{"file", "new"} {
				_, err := r.CopyFile(p, source(t, strings.Repeat("y", c.size)), fileMeta(0o644), apply.Copy{Compare: true})
				if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left on device") {
					t.Errorf("CopyFile: %v", err)
				}
			}
			if after := fingerprint(t, filepath.Join(dir, "file")); after != before {
				t.Errorf("the old file is\n%s\nwas\n%s", after, before)
			}
			if got := names(t, dir); !slices.Equal(got, []string{"ballast", "file"}) {
				t.Errorf("names are %q", got)
			}
			var st unix.Statfs_t
			must(t, unix.Statfs(dir, &st))
			if free := st.Bfree * uint64(st.Bsize); free < 500<<10 {
				t.Errorf("only %d bytes are free afterwards", free)
			}
		})
	}
}

func TestReadOnlyFileSystem(t *testing.T) {
	dir := mount(t, "tmpfs", "tmpfs", "size=1m", 0)
	write(t, "old", dir, "file")
	must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	r := openRoot(t, dir, archive)
	_, err := r.CopyFile("file", source(t, "new"), fileMeta(0o644), apply.Copy{})
	for call, err := range map[string]error{
		"CopyFile": err, "Remove": r.Remove("file"), "Rename": r.Rename("file", "x"), "SetMeta": r.SetMeta("file", fileMeta(0o600), nil),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

// A file system with reflinks shares the content of large files.
func TestClones(t *testing.T) {
	needRoot(t, "mounts a file system")
	mkfs, err := exec.LookPath("mkfs.xfs")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	image := filepath.Join(t.TempDir(), "image")
	write(t, "", image)
	must(t, os.Truncate(image, 512<<20))
	if out, err := exec.Command(mkfs, "-q", "-m", "reflink=1", image).CombinedOutput(); err != nil {
		t.Skipf("mkfs.xfs: %s", out)
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Skipf("can't mount xfs here: %s", out)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
	must(t, os.Mkdir(filepath.Join(dir, "target"), 0o755))
	r := openRoot(t, filepath.Join(dir, "target"), archive)
	content := strings.Repeat("0123456789abcdef", apply.KernelFrom/16+1)
	write(t, content, dir, "source")
	for range 2 {
		done, err := r.CopyFile("file", openFile(t, filepath.Join(dir, "source")), fileMeta(0o644), apply.Copy{})
		must(t, err)
		if !done.Cloned || done.Bytes != 0 || read(t, dir, "target", "file") != content {
			t.Errorf("CopyFile did %+v", done)
		}
	}
	done, err := r.CopyFile("file", source(t, content), fileMeta(0o644), apply.Copy{})
	must(t, err)
	if done.Cloned || done.Bytes != int64(len(content)) || read(t, dir, "target", "file") != content {
		t.Errorf("from another file system CopyFile did %+v", done)
	}
}
