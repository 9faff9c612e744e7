package watch

import (
	"bufio"
	"cmp"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// Absent lists the directories below root that /etc/fstab (or the file fstab,
// if that is not "") has a file system for, but that are empty and have nothing
// mounted on them.
func Absent(root, fstab string) []tree.Path {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil
	}
	if real, err = filepath.Abs(real); err != nil {
		return nil
	}
	f, err := os.Open(cmp.Or(fstab, "/etc/fstab"))
	if err != nil {
		return nil // a machine without one has nothing to say
	}
	defer f.Close()
	var absent []tree.Path
	for _, point := range fstabPoints(f) {
		rel, err := filepath.Rel(real, filepath.Clean(point))
		if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
			continue
		}
		at, err := tree.Clean(rel)
		if err != nil || !bare(filepath.Join(real, rel)) {
			continue
		}
		absent = append(absent, at)
	}
	return absent
}

// fstabPoints are the absolute mount points in a file as fstab(5) has it.
func fstabPoints(r io.Reader) []string {
	var points []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 3 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if point := unescape(f[1]); filepath.IsAbs(point) {
			points = append(points, point)
		}
	}
	return points
}

// bare reports whether path is an empty directory on which nothing is mounted.
func bare(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_NO_AUTOMOUNT|unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE, &st)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	return err == io.EOF
}
