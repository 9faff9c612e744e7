package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Setup is what units are written from.
type Setup struct {
	Binary string   // lockstep's own path
	Config string   // the configuration's path; "" = no service of mirrors
	Daemon string   // the rsyncd.conf to be served by socket activation; "" = none
	Port   int      // of its socket
	User   bool     // for the service manager of an ordinary user
	Reads  []string // sources, absolute
	Writes []string // targets on this machine, absolute
	Any    bool     // for a package: what it reads and writes is not known, nor that there is a configuration
	Verify []Check  // when mirrors are compared in full
	Rate   string   // what verify may read a second, as --bwlimit takes it; "" = what the configuration says
}

// Check is a regular comparison of one mirror.
type Check struct {
	Mirror string // "" in a package: the instance of the timer is the mirror
	When   string // systemd.time(7)
}

func (c Check) timer() string { return "lockstep-verify@" + c.Mirror + ".timer" }

// Unit is one unit file.
type Unit struct{ Name, Text string }

// mark is the first line of every unit of ours: only what begins with it is
// replaced or removed.
const mark = "# Written by lockstep service install; lockstep service uninstall removes it.\n"

// packaged is the first line of a unit that came with a package.
const packaged = "# From the package; lockstep service install writes one to /etc/systemd that fits the configuration.\n"

func (s Setup) mark() string {
	if s.Any {
		return packaged
	}
	return mark
}

// The units' names.
const (
	mainUnit    = "lockstep.service"
	verifyUnit  = "lockstep-verify@.service"
	rsyncdUnit  = "lockstep-rsyncd.service"
	rsyncSocket = "lockstep-rsyncd.socket"
)

// unitNames are all that may be installed, as patterns.
var unitNames = []string{mainUnit, verifyUnit, "lockstep-verify@*.timer", rsyncdUnit, rsyncSocket}

// ByOthers reports whether a unit is started by another one, and not enabled
// itself.
func ByOthers(name string) bool { return name == verifyUnit || name == rsyncdUnit }

// capabilities are what root keeps: to read and write every file with its owner
// and attributes, to make devices, to see changes (CAP_SYS_ADMIN is fanotify's)
// and whether a file of somebody else is open (leases).
var capabilities = []string{"CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_FOWNER", "CAP_FSETID", "CAP_MKNOD",
	"CAP_SETFCAP", "CAP_LEASE", "CAP_SYS_ADMIN"}

// Units are the unit files for s.
func (s Setup) Units() ([]Unit, error) {
	for _, p := range slices.Concat([]string{s.Binary, s.Config, s.Daemon}, s.Reads, s.Writes) {
		if p == "" {
			continue // what there is none of
		}
		if !filepath.IsAbs(p) || strings.ContainsAny(p, "\n\r\x00") {
			return nil, fmt.Errorf("service: %q cannot stand in a unit: it is not an absolute path of one line", p)
		}
	}
	var units []Unit
	if s.Daemon != "" {
		units = append(units, Unit{rsyncdUnit, s.rsyncd()}, Unit{rsyncSocket, s.socket()})
	}
	if s.Config == "" {
		return units, nil
	}
	units = append(units, Unit{mainUnit, s.main()})
	if len(s.Verify) == 0 {
		return units, nil
	}
	units = append(units, Unit{verifyUnit, s.verify()})
	for _, c := range s.Verify {
		for _, text := range []string{c.Mirror, c.When, s.Rate} {
			if strings.ContainsAny(text, "\n\r/") {
				return nil, fmt.Errorf("service: %q cannot stand in a unit", text)
			}
		}
		units = append(units, Unit{c.timer(), s.timer(c.When)})
	}
	return units, nil
}

// main is the unit of lockstep run.
func (s Setup) main() string {
	var b strings.Builder
	b.WriteString(s.mark() + "[Unit]\nDescription=Keep directory trees in step\n")
	if !s.User {
		b.WriteString("Wants=network-online.target\nAfter=network-online.target local-fs.target remote-fs.target\n")
	}
	for _, p := range slices.Concat(s.Reads, s.Writes) {
		b.WriteString("RequiresMountsFor=" + word(p) + "\n")
	}
	if s.Any {
		b.WriteString("ConditionPathExists=" + word(s.Config) + "\n")
	}
	b.WriteString("StartLimitIntervalSec=0\n\n[Service]\nType=notify\nNotifyAccess=main\n")
	fmt.Fprintf(&b, "ExecStart=%s run -c %s\nExecReload=%s reload -c %s\n", word(s.Binary), word(s.Config), word(s.Binary), word(s.Config))
	b.WriteString("Restart=on-failure\nRestartSec=5\nTimeoutStartSec=infinity\nTimeoutStopSec=60\nWatchdogSec=90\n")
	b.WriteString("LimitNOFILE=65536\nRuntimeDirectory=lockstep\nRuntimeDirectoryPreserve=no\n")
	s.harden(&b)
	s.install(&b, "default.target", "multi-user.target")
	return b.String()
}

// harden takes away what mirroring does not need. RestrictSUIDSGID is not
// among it: set-id bits are mirrored too.
func (s Setup) harden(b *strings.Builder) {
	b.WriteString("NoNewPrivileges=yes\nLockPersonality=yes\nMemoryDenyWriteExecute=yes\nRestrictRealtime=yes\n" +
		"RestrictNamespaces=yes\nSystemCallArchitectures=native\n" +
		"SystemCallFilter=~@clock @cpu-emulation @debug @module @obsolete @raw-io @reboot @swap\n" +
		"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n")
	if s.User {
		return
	}
	fmt.Fprintf(b, "CapabilityBoundingSet=%s\n", strings.Join(capabilities, " "))
	b.WriteString("ProtectKernelModules=yes\nProtectKernelTunables=yes\nProtectControlGroups=yes\nProtectHostname=yes\nProtectClock=yes\n")
	if s.Any {
		return
	}
	all := slices.Concat(s.Reads, s.Writes)
	if !lies(s.Writes, "/usr", "/boot", "/efi", "/etc") {
		b.WriteString("ProtectSystem=full\n")
	}
	if !lies(s.Writes, "/home", "/root", "/run/user") {
		b.WriteString("ProtectHome=read-only\n")
	}
	if !lies(all, "/tmp", "/var/tmp") {
		b.WriteString("PrivateTmp=yes\n")
	}
}

// lies reports whether one of paths is, holds or lies in one of dirs.
func lies(paths []string, dirs ...string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		p = filepath.Clean(p)
		return slices.ContainsFunc(dirs, func(d string) bool {
			return p == d || p == "/" || strings.HasPrefix(p, d+"/") || strings.HasPrefix(d, p+"/")
		})
	})
}

func (s Setup) verify() string {
	var b strings.Builder
	b.WriteString(s.mark() + "[Unit]\nDescription=Compare the mirror %i in full\nAfter=" + mainUnit + "\n\n[Service]\nType=oneshot\n")
	limit := ""
	if s.Rate != "" {
		limit = " --bwlimit " + word(s.Rate)
	}
	fmt.Fprintf(&b, "ExecStart=%s verify -c %s --nice 19%s %%i\n", word(s.Binary), word(s.Config), limit)
	s.harden(&b)
	return b.String()
}

func (s Setup) timer(when string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s[Unit]\nDescription=Compare the mirror %%i in full, regularly\n\n[Timer]\nOnCalendar=%s\nPersistent=yes\nRandomizedDelaySec=10min\n",
		s.mark(), strings.ReplaceAll(when, "%", "%%"))
	s.install(&b, "timers.target", "timers.target")
	return b.String()
}

// rsyncd is the unit of the daemon. It becomes other users, changes its root
// and runs the programs of its configuration, so that little can be taken away.
func (s Setup) rsyncd() string {
	var b strings.Builder
	b.WriteString(s.mark() + "[Unit]\nDescription=Serve directories to rsync\nAfter=network.target local-fs.target remote-fs.target\nRequires=" + rsyncSocket +
		"\n\n[Service]\nType=exec\n")
	fmt.Fprintf(&b, "ExecStart=%s rsync --daemon --no-detach --config=%s\n", word(s.Binary), word(s.Daemon))
	b.WriteString("Restart=on-failure\nRestartSec=5\nLimitNOFILE=65536\nLockPersonality=yes\nRestrictRealtime=yes\nSystemCallArchitectures=native\n")
	if !s.User {
		b.WriteString("ProtectKernelModules=yes\nProtectKernelTunables=yes\nProtectControlGroups=yes\nProtectHostname=yes\nProtectClock=yes\n")
	}
	b.WriteString("\n[Install]\nAlso=" + rsyncSocket + "\n")
	return b.String()
}

// socket listens for it, from before it runs and while it is restarted.
func (s Setup) socket() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s[Unit]\nDescription=The port of the rsync daemon\nConflicts=rsync.service\n\n[Socket]\nListenStream=%d\nFileDescriptorName=rsync\nBacklog=128\n",
		s.mark(), s.Port)
	s.install(&b, "sockets.target", "sockets.target")
	return b.String()
}

func (s Setup) install(b *strings.Builder, user, system string) {
	at := system
	if s.User {
		at = user
	}
	b.WriteString("\n[Install]\nWantedBy=" + at + "\n")
}

// word writes p as one word of a unit file (systemd.syntax(7)): specifiers and
// variables are not expanded in it.
func word(p string) string {
	p = strings.NewReplacer("%", "%%", "$", "$$", `\`, `\\`, `"`, `\"`).Replace(p)
	if strings.ContainsAny(p, " \t'\";\\") {
		return `"` + p + `"`
	}
	return p
}

// Write installs units into dir and gives their names. A file that is not ours
// is an error, before anything is written.
func Write(dir string, units []Unit) ([]string, error) {
	for _, u := range units {
		if ours, err := isOurs(filepath.Join(dir, u.Name)); err != nil {
			return nil, err
		} else if !ours {
			return nil, fmt.Errorf("service: %s is there and was not written by lockstep", filepath.Join(dir, u.Name))
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	var names []string
	for _, u := range units {
		if err := replace(filepath.Join(dir, u.Name), u.Text); err != nil {
			return names, fmt.Errorf("service: %w", err)
		}
		names = append(names, u.Name)
	}
	return names, nil
}

// replace writes a file at once.
func replace(name, text string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".lockstep-")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Installed are the names of the units of ours in dir.
func Installed(dir string) ([]string, error) {
	var names []string
	for _, pattern := range unitNames {
		found, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			return nil, fmt.Errorf("service: %w", err)
		}
		for _, n := range found {
			ours, err := isOurs(filepath.Join(dir, n))
			if err != nil {
				return nil, err
			}
			if ours {
				names = append(names, n)
			}
		}
	}
	return names, nil
}

// Stale are the names of units of ours in dir that compare mirrors and are not
// among units.
func Stale(dir string, units []Unit) ([]string, error) {
	names, err := Installed(dir)
	return slices.DeleteFunc(names, func(n string) bool {
		return !strings.HasPrefix(n, "lockstep-verify@") || slices.ContainsFunc(units, func(u Unit) bool { return u.Name == n })
	}), err
}

// Unfit are the names of those units that in dir are ours and say something
// else, or are missing, if the service of mirrors in it is ours; none if it is
// not. Which program is run does not count.
func Unfit(dir string, units []Unit) ([]string, error) {
	installed, err := Installed(dir)
	if err != nil || !slices.Contains(installed, mainUnit) {
		return nil, err
	}
	var names []string
	for _, u := range units {
		text, err := os.ReadFile(filepath.Join(dir, u.Name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("service: %w", err)
		}
		if err != nil || slices.Contains(installed, u.Name) && sense(string(text)) != sense(u.Text) {
			names = append(names, u.Name)
		}
	}
	return names, nil
}

// sense is a unit without what it runs.
func sense(text string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.HasPrefix(l, "Exec") })
	return strings.Join(lines, "\n")
}

// Remove removes the units of ours from dir, and nothing else.
func Remove(dir string, names []string) error {
	for _, n := range names {
		if err := os.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("service: %w", err)
		}
	}
	return nil
}

// isOurs reports whether the file may be replaced: it is not there, or begins
// with the mark.
func isOurs(name string) (bool, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("service: %w", err)
	}
	return strings.HasPrefix(string(text), mark), nil
}
