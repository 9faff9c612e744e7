package watch

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// mount is one line of /proc/self/mountinfo.
type mount struct {
	id     int
	dev    string // major:minor
	root   string // the directory of the file system that it shows
	point  string // where it is mounted
	fstype string
	source string
}

func (m mount) String() string {
	if m.source == "" || m.source == "none" || m.source == m.fstype {
		return m.fstype
	}
	return m.fstype + " " + tree.Quote(m.source)
}

// nested is a mount below the source root.
type nested struct {
	mount
	at    tree.Path
	alias bool // shows directories that are in the source at another place too
}

// markAliases finds mounts that show a directory twice. The kernel knows an
// object by one name only there, so events would name just one of the places.
func markAliases(own mount, real string, below []nested) {
	shown := []mount{own}
	if rel, err := filepath.Rel(own.point, real); err == nil {
		shown[0].root = filepath.Join(own.root, rel)
	}
	for i := range below {
		n := &below[i]
		for _, m := range shown {
			if n.dev == m.dev && (within(n.root, m.root) || within(m.root, n.root)) {
				n.alias = true
			}
		}
		shown = append(shown, n.mount)
	}
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// readMounts reads the mount table, whose lines look like
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//
// (proc_pid_mountinfo(5)): id, parent, device, root, mount point, options, any
// number of optional fields, a hyphen, type, source, options of the file
// system. Lines in another form are left out.
func readMounts(r io.Reader) ([]mount, error) {
	var all []mount
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20) // overlay mounts have long option lists
	for lines.Scan() {
		if m, ok := parseMount(lines.Text()); ok {
			all = append(all, m)
		}
	}
	return all, lines.Err()
}

func parseMount(line string) (m mount, ok bool) {
	f := strings.Fields(line)
	if len(f) < 7 {
		return m, false
	}
	id, err := strconv.Atoi(f[0])
	if err != nil {
		return m, false
	}
	for i := 6; i+2 < len(f); i++ {
		if f[i] == "-" {
			return mount{id: id, dev: f[2], root: unescape(f[3]), point: unescape(f[4]),
				fstype: f[i+1], source: unescape(f[i+2])}, true
		}
	}
	return m, false
}

// unescape undoes the octal escapes of blanks and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b bytes.Buffer
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// mountsAt lists the mount that the root lies on and the visible ones below
// it, parents first.
func mountsAt(p *pin) (own mount, below []nested, err error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return own, nil, err
	}
	defer f.Close()
	all, err := readMounts(f)
	if err != nil {
		return own, nil, fmt.Errorf("read /proc/self/mountinfo: %w", err)
	}
	rootID, err := mountID(p.real)
	if err != nil {
		return own, nil, err
	}
	for _, m := range all {
		if m.id == rootID {
			own = m
		}
		rel, err := filepath.Rel(p.real, m.point)
		if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
			continue
		}
		// A mount that another one covers is not what the path leads to.
		if id, err := mountID(m.point); err != nil || id != m.id {
			continue
		}
		at, err := tree.Clean(rel)
		if err != nil {
			continue
		}
		below = append(below, nested{mount: m, at: at})
	}
	markAliases(own, p.real, below)
	return own, below, nil
}

// mountID is the id, as mountinfo has it, of the mount that path leads to.
func mountID(path string) (int, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_NO_AUTOMOUNT|unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", tree.Quote(path), err)
	}
	return int(st.Mnt_id), nil
}

// remoteTypes are file systems that others can change without this kernel
// noticing, by the magic number of statfs(2), and kernel tables that change
// without events.
var remoteTypes = map[int64]string{
	0x6969:     "nfs",
	0x517b:     "smb",
	0xff534d42: "cifs",
	0xfe534d42: "smb2",
	0x65735546: "fuse",
	0x01021997: "9p",
	0x5346414f: "afs",
	0x6b414653: "kafs",
	0x73757245: "coda",
	0x00c36400: "ceph",
	0x01161970: "gfs2",
	0x7461636f: "ocfs2",
	0x0bd00bd0: "lustre",
	0x786f4256: "vboxsf",
	0xbacbacbc: "vmhgfs",
	0x9fa0:     "proc",
	0x62656572: "sysfs",
}

// remote reports whether the file system at path sends no events for some of
// its changes.
func remote(path string) (name string, yes bool) {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return "", false
	}
	name, yes = remoteTypes[int64(uint32(st.Type))]
	return name, yes
}
