package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"lockstep/internal/ops/report"
)

// Sysctl is a kernel setting to raise.
type Sysctl struct {
	Name string // with dots
	Have int64
	Want int64
}

// path is where the kernel has it.
func (s Sysctl) path() string { return "proc/sys/" + strings.ReplaceAll(s.Name, ".", "/") }

// command sets it for now.
func (s Sysctl) command() string { return fmt.Sprintf("sysctl -w %s=%d", s.Name, s.Want) }

// manyEntries is from where on a burst may fill the kernel's usual queue.
const (
	manyEntries = 100_000
	longQueue   = 65_536
)

// use is what the processes of this user have of inotify.
type use struct{ instances, watches int64 }

// inotify holds the limits against what the sources need.
func (m machine) inotify(running int, mirrors []mirrorView) (all []Finding, raise []Sysctl) {
	var need use
	var entries int64
	for i := range mirrors {
		if v := &mirrors[i]; v.outlook.Watches {
			need.instances++
			need.watches += v.count.dirs
			entries += v.count.entries
		}
	}
	if need.instances == 0 {
		text := "no source takes inotify watches"
		if len(mirrors) == 0 {
			text = "no source is named: " + count(max(0, m.number("proc/sys/fs/inotify/max_user_watches")), "watch is allowed", "watches are allowed")
		}
		return []Finding{{Check: "inotify", Level: OK, Text: text}}, nil
	}
	used := m.inotifyUse(running)
	judge := func(name string, want int64, room float64, level Level, because string) {
		s := Sysctl{Name: name}
		s.Have = m.number(s.path())
		f := Finding{Check: "inotify", Level: OK, Text: fmt.Sprintf("%s is %s; %s", name, report.Grouped(s.Have), because)}
		switch {
		case s.Have < 0:
			return // this kernel does not have it
		case s.Have < want:
			s.Want = roundUp(int64(float64(want) * room))
			f.Level, f.Fix = level, s.command()
			raise = append(raise, s)
		}
		all = append(all, f)
	}
	watches := need.watches + used.watches
	text := fmt.Sprintf("the sources have %s, %s in use elsewhere",
		count(need.watches, "directory to watch", "directories to watch"), count(used.watches, "watch is", "watches are"))
	judge("fs.inotify.max_user_watches", watches, 1.25, Problem, text)
	judge("user.max_inotify_watches", watches, 1.25, Problem, text)
	instances := need.instances + used.instances
	text = fmt.Sprintf("the mirrors take %d, %d are in use elsewhere", need.instances, used.instances)
	judge("fs.inotify.max_user_instances", instances, 2, Problem, text)
	judge("user.max_inotify_instances", instances, 2, Problem, text)
	queue, why := int64(0), "enough for the bursts that these sources can have"
	if entries >= manyEntries {
		queue, why = longQueue, "sources of "+report.Grouped(entries)+" entries can fill it in one burst, and are then scanned anew"
	}
	judge("fs.inotify.max_queued_events", queue, 1, Warning, why)
	return all, raise
}

// roundUp makes a limit a multiple of 1024, or of 64 if it is small.
func roundUp(n int64) int64 {
	step := int64(1024)
	if n < step {
		step = 64
	}
	return (n + step - 1) / step * step
}

// inotifyUse counts what processes of this user other than one have, as far as
// they can be looked at.
func (m machine) inotifyUse(except int) (u use) {
	entries, err := os.ReadDir(m.path("proc"))
	if err != nil {
		return u
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == except || !m.mine(e.Name()) {
			continue
		}
		fds, err := os.ReadDir(m.path(filepath.Join("proc", e.Name(), "fd")))
		if err != nil {
			continue
		}
		for _, fd := range fds {
			at := filepath.Join("proc", e.Name(), "fd", fd.Name())
			if to, err := os.Readlink(m.path(at)); err != nil || to != "anon_inode:inotify" {
				continue
			}
			u.instances++
			u.watches += m.watchesOf(filepath.Join("proc", e.Name(), "fdinfo", fd.Name()))
		}
	}
	return u
}

// mine reports whether a process belongs to this user: limits are per user.
func (m machine) mine(pid string) bool {
	info, err := os.Stat(m.path(filepath.Join("proc", pid)))
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// watchesOf counts the lines "inotify wd:…" (proc_pid_fdinfo(5)).
func (m machine) watchesOf(name string) (n int64) {
	f, err := os.Open(m.path(name))
	if err != nil {
		return 0
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "inotify wd:") {
			n++
		}
	}
	return n
}

// fixFile is what Fix writes, below etc.
const fixFile = "etc/sysctl.d/60-lockstep.conf"

// fixMark is its first line: only a file that begins with it is replaced.
const fixMark = "# Written by lockstep doctor --fix."

// Fix writes r.Sysctls to a file that is read at boot, and sets them now. It
// never lowers anything. Without sysctls it does nothing and path is "".
func (r *Report) Fix(root string) (path string, err error) {
	if len(r.Sysctls) == 0 {
		return "", nil
	}
	if root == "" {
		root = "/"
	}
	m := machine{root}
	path = m.path(fixFile)
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("doctor: %w", err)
	case !strings.HasPrefix(string(old), fixMark):
		return "", fmt.Errorf("doctor: %s is there and was not written by lockstep: move it away first", path)
	}
	set := map[string]bool{}
	var b strings.Builder
	b.WriteString(fixMark + "\n")
	for _, s := range r.Sysctls {
		fmt.Fprintf(&b, "%s = %d\n", s.Name, s.Want)
		set[s.Name] = true
	}
	for line := range strings.Lines(string(old)) { // what an earlier run raised stays
		name, _, ok := strings.Cut(line, " = ")
		if ok && !set[name] {
			b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("doctor: %w", err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return "", fmt.Errorf("doctor: %w", err)
	}
	for _, s := range r.Sysctls {
		if err := os.WriteFile(m.path(s.path()), []byte(strconv.FormatInt(s.Want, 10)+"\n"), 0o644); err != nil {
			return path, fmt.Errorf("doctor: %s is written, but the kernel does not take %s: %w", path, s.Name, err)
		}
	}
	return path, nil
}
