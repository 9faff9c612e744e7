package watch

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// Writers are the regular files that other processes have open for writing, as
// far as /proc shows: root sees all, anybody else their own. It is for the
// files whose opening was before the watch; events tell of the others.
func Writers() map[tree.Inode]bool {
	open := map[tree.Inode]bool{}
	own := strconv.Itoa(os.Getpid())
	for _, pid := range numbers("/proc") {
		if pid == own {
			continue
		}
		dir := "/proc/" + pid
		for _, fd := range numbers(dir + "/fd") {
			var st unix.Stat_t
			if unix.Stat(dir+"/fd/"+fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
				continue
			}
			info, err := os.ReadFile(dir + "/fdinfo/" + fd)
			if err == nil && writes(info) {
				open[tree.Inode{Dev: uint64(st.Dev), Ino: st.Ino}] = true
			}
		}
	}
	return open
}

// numbers are the names in dir that are numbers; none if it cannot be read.
func numbers(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1) // a process may end meanwhile
	kept := names[:0]
	for _, name := range names {
		if name[0] >= '0' && name[0] <= '9' {
			kept = append(kept, name)
		}
	}
	return kept
}

// writes reads the access mode from what /proc/PID/fdinfo/FD says, which has a
// line like "flags:	0100002", in octal.
func writes(info []byte) bool {
	for line := range bytes.Lines(info) {
		if text, ok := bytes.CutPrefix(line, []byte("flags:")); ok {
			flags, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 8, 64)
			return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
		}
	}
	return false
}
