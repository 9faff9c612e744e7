package doctor

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/ops/report"
)

// maxTable bounds what is read of one kernel table.
const maxTable = 1 << 16

// read is a small file below the root, "" if it cannot be read.
func (m machine) read(name string) string {
	f, err := os.Open(m.path(name))
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTable))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// number is a file that holds one, -1 if it does not.
func (m machine) number(name string) int64 {
	n, err := strconv.ParseInt(m.read(name), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// Kernels that brought something.
var kernelSteps = []struct {
	major, minor int
	level        Level
	lacks        string
}{
	{4, 11, Problem, "statx is missing, without which nothing can be mirrored"},
	{5, 6, Warning, "openat2 is missing: names are resolved step by step, which is slower"},
	{5, 9, Note, "fanotify with names is missing: each directory takes an inotify watch"},
	{5, 17, Note, "fanotify does not pair the two names of a rename: some are found by their inode"},
}

// kernel judges the version.
func (m machine) kernel() Finding {
	f := Finding{Check: "kernel", Level: OK}
	release := m.read("proc/sys/kernel/osrelease")
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		f.Level, f.Text, f.Fix = Note, "the kernel does not tell its version", "uname -r"
		return f
	}
	f.Text = "Linux " + tree.Quote(release)
	for _, s := range kernelSteps {
		if major < s.major || major == s.major && minor < s.minor {
			f.Level = s.level
			f.Text += fmt.Sprintf(" is older than %d.%d: %s", s.major, s.minor, s.lacks)
			f.Fix = "apt-get install --only-upgrade linux-image-amd64"
			return f
		}
	}
	return f
}

// needs are the capabilities that a mirror has use for, and what is lost
// without them.
var needs = []struct {
	bit  uint
	name string
	lost string
}{
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "a source is watched by inotify, one watch a directory"},
	{unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "files that this user cannot read are not mirrored"},
	{unix.CAP_CHOWN, "CAP_CHOWN", "owners are not kept on targets of this machine"},
	{unix.CAP_FOWNER, "CAP_FOWNER", "modes and times of files of others cannot be set"},
	{unix.CAP_MKNOD, "CAP_MKNOD", "devices are not made"},
	{unix.CAP_LEASE, "CAP_LEASE", "whether a file of somebody else is still open cannot be told"},
}

// privileges tells what this process may not do.
func (m machine) privileges() Finding {
	f := Finding{Check: "privileges", Level: OK}
	var effective uint64
	uid, known := "", false
	for line := range strings.Lines(m.read("proc/self/status")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields := strings.Fields(value)
		switch {
		case name == "CapEff" && len(fields) == 1:
			n, err := strconv.ParseUint(fields[0], 16, 64)
			effective, known = n, err == nil
		case name == "Uid" && len(fields) == 4:
			uid = fields[1]
		}
	}
	who := "root"
	if uid != "0" {
		who = "uid " + tree.Quote(uid)
	}
	if !known {
		f.Level, f.Text, f.Fix = Note, "the kernel does not tell what this process may do", "grep Cap /proc/self/status"
		return f
	}
	var lost []string
	for _, n := range needs {
		if effective&(1<<n.bit) == 0 {
			lost = append(lost, "without "+n.name+" "+n.lost)
		}
	}
	f.Text = "running as " + who + ", with every capability that a mirror can use"
	if len(lost) > 0 {
		f.Level, f.Text = Note, "running as "+who+": "+strings.Join(lost, "; ")
		f.Fix = "sudo lockstep service install"
	}
	return f
}

// Descriptors that are held at a time.
const (
	baseFiles   = 128 // logs, sockets, the runtime
	mirrorFiles = 64  // queues, the scanner's and the copiers' directories and files
	targetFiles = 64  // the connection, directory handles, files opened ahead
)

// files judges the limits on descriptors.
func (m machine) files(mirrors []mirrorView) []Finding {
	need := int64(baseFiles)
	for i := range mirrors {
		need += mirrorFiles + targetFiles*int64(mirrors[i].targets)
	}
	f := Finding{Check: "files", Level: OK}
	most := int64(-1)
	for line := range strings.Lines(m.read("proc/self/limits")) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if fields := strings.Fields(rest); len(fields) >= 2 {
				if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
					most = n
				}
			}
		}
	}
	switch {
	case most < 0:
		f.Text = "open files are not limited"
	case most < need:
		f.Level, f.Text = Problem, fmt.Sprintf("a process may open %s files, these mirrors can need %s", report.Grouped(most), report.Grouped(need))
		f.Fix = fmt.Sprintf("ulimit -n %d", 2*need)
	default:
		f.Text = fmt.Sprintf("a process may open %s files, these mirrors need %s at most", report.Grouped(most), report.Grouped(need))
	}
	all := []Finding{f}
	if fields := strings.Fields(m.read("proc/sys/fs/file-nr")); len(fields) == 3 {
		used, err1 := strconv.ParseInt(fields[0], 10, 64)
		limit, err2 := strconv.ParseInt(fields[2], 10, 64)
		if err1 == nil && err2 == nil && limit > 0 && used > limit/10*8 {
			all = append(all, Finding{Check: "files", Level: Warning,
				Text: fmt.Sprintf("%s of the machine's %s open files are taken", report.Grouped(used), report.Grouped(limit)),
				Fix:  fmt.Sprintf("sysctl -w fs.file-max=%d", 2*limit)})
		}
	}
	return all
}

// clock tells whether this machine keeps time. Mirroring does not need it: the
// times of files are carried over as they are. Logs and lag do.
func clock() Finding {
	f := Finding{Check: "clock", Level: OK, Text: "the clock is kept in step"}
	var t unix.Timex
	if state, err := unix.Adjtimex(&t); err == nil && state == unix.TIME_ERROR {
		f.Level, f.Text, f.Fix = Note, "the clock is not kept in step by any service: times in logs may be off", "timedatectl set-ntp true"
	}
	return f
}
