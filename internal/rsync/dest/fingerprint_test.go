package dest_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/walk"
)

// fingerprint describes a tree completely, but for what changes by itself.
// Times are in it if times is set, those of directories if dirTimes is too.
func fingerprint(t *testing.T, dir string, times, dirTimes bool) string {
	t.Helper()
	var out strings.Builder
	inodes := map[uint64]string{}
	root, err := walk.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	must(t, filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		info, err := os.Lstat(name)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&out, "%s %o %d:%d", rel, st.Mode, st.Uid, st.Gid)
		if !info.IsDir() {
			first, linked := inodes[st.Ino]
			if !linked {
				inodes[st.Ino], first = rel, rel
			}
			fmt.Fprintf(&out, " size=%d links=%d(%s) rdev=%d", st.Size, st.Nlink, first, st.Rdev)
		}
		if times && (dirTimes || !info.IsDir()) {
			fmt.Fprintf(&out, " %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(name)
			fmt.Fprintf(&out, " -> %s", target)
		case info.Mode().IsRegular():
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if len(content) > 64 {
				content = fmt.Appendf(nil, "%d bytes %x", len(content), checksumOf(content))
			}
			fmt.Fprintf(&out, " %q blocks=%d", content, st.Blocks)
		}
		attrs := xattrs(t, name)
		for _, a := range attrs {
			fmt.Fprintf(&out, "\n    %s", a)
		}
		out.WriteByte('\n')
		return nil
	}))
	return out.String()
}

func checksumOf(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

func xattrs(t *testing.T, name string) []string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := unix.Llistxattr(name, buf)
	if err != nil {
		return nil
	}
	var out []string
	for a := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if a == "" {
			continue
		}
		value := make([]byte, 70000)
		n, err := unix.Lgetxattr(name, a, value)
		must(t, err)
		out = append(out, fmt.Sprintf("%s=%x", a, value[:n]))
	}
	slices.Sort(out)
	return out
}

// shell runs commands in a directory.
func shell(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// needs skips a test where a program is missing.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("owners and devices are root's")
	}
}
