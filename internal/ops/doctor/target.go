package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
	"lockstep/internal/ops/config"
	"lockstep/internal/ops/report"
	"lockstep/internal/rsync/session"
)

// examineTarget looks at one target.
func examineTarget(ctx context.Context, o *Options, m *config.Mirror, live *mirror.Config, src target.Source, name string, c census) []Finding {
	sp, err := target.ParseSpec(name)
	if err != nil {
		return []Finding{{Check: "target", Level: Problem, Text: err.Error(), Fix: "lockstep check"}}
	}
	if sp.Transport == target.Local {
		return directory(sp.Path, c)
	}
	if o.Offline {
		return []Finding{{Check: "target", Level: Note, Text: "not asked", Fix: "lockstep doctor"}}
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	r, err := target.NewRsync(sp, src, live.TargetOptions(name))
	var answer target.Answer
	if err == nil {
		defer r.Close()
		answer, err = r.Probe(ctx)
	}
	if err != nil {
		return []Finding{refusal(sp, m, err)}
	}
	text := fmt.Sprintf("answers and takes what this mirror sends: protocol %d, in %d ms", answer.Protocol, answer.Took.Milliseconds())
	if sp.Transport == target.Daemon {
		text += "; a daemon does not tell its free space and its clock"
	}
	all := []Finding{{Check: "target", Level: OK, Text: text}}
	if answer.Protocol < target.RemovesByName && m.BackupDir != "" && m.BackupDays > 0 {
		all = append(all, Finding{Check: "target", Level: Warning, Text: fmt.Sprintf("over protocol %d backup_days is not kept: what is in %s-* stays until you remove it",
			answer.Protocol, m.BackupDir), Fix: listing(sp, m)})
	}
	if sp.Transport == target.Shell {
		all = append(all, overShell(ctx, sp, m.Shell)...)
	}
	return all
}

// listing is the command that lists a target's top.
func listing(sp target.Spec, m *config.Mirror) string {
	if sp.Transport == target.Daemon {
		return "lockstep rsync " + tree.ShellWord(daemonURL(sp, sp.Module+"/"))
	}
	return cmp.Or(m.Shell, "ssh") + " " + tree.ShellWord(at(sp.User, sp.Host)) + " ls -a " + tree.ShellWord(sp.Path)
}

// refusal puts a target's failure into words, with the command that helps.
func refusal(sp target.Spec, m *config.Mirror, err error) Finding {
	f := Finding{Check: "target", Level: Problem, Text: err.Error()}
	text := strings.ToLower(err.Error())
	host, url := sp.Host, daemonURL(sp, "")
	module := func(line string) string {
		return fmt.Sprintf(`ssh %s 'sed -i "/^\[%s\]/a %s" /etc/rsyncd.conf'`, tree.ShellWord(host), sp.Module, line)
	}
	var lookup *net.DNSError
	switch {
	case errors.As(err, &lookup):
		f.Fix = "getent hosts " + tree.ShellWord(host)
	case sp.Transport == target.Shell:
		f.Fix = cmp.Or(m.Shell, "ssh") + " " + tree.ShellWord(at(sp.User, host)) + " rsync --version"
	case errors.Is(err, syscall.ECONNREFUSED):
		f.Fix = "ssh " + tree.ShellWord(host) + " systemctl enable --now rsync"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), exitOf(err) == session.ExitConnTimeout,
		errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		f.Fix = "ping -c 3 " + tree.ShellWord(host)
	case strings.Contains(text, "read only"):
		f.Fix = module("read only = no")
	case strings.Contains(text, "max connections"):
		f.Fix = module("max connections = 0")
	case strings.Contains(text, "access denied"):
		f.Fix = module("hosts allow = " + ownAddress(host, sp.Port))
	case strings.Contains(text, "unknown module"):
		f.Fix = "lockstep rsync " + tree.ShellWord(url)
	case strings.Contains(text, "auth failed"):
		f.Fix = "lockstep rsync " + tree.ShellWord(daemonURL(sp, sp.Module)) + " # asks for the password"
	default:
		f.Fix = "lockstep rsync --dry-run " + tree.ShellWord(daemonURL(sp, sp.Module))
	}
	f.Fix = fixOf(err, f.Fix)
	return f
}

// fixOf is the command that err carries itself, if its hint is one.
func fixOf(err error, otherwise string) string {
	var te *target.Error
	if errors.As(err, &te) {
		for _, command := range []string{"chmod ", "chown ", "sysctl "} {
			if strings.HasPrefix(te.Hint, command) {
				return te.Hint
			}
		}
	}
	return otherwise
}

// exitOf is the exit code of a session's failure, 0 if it is none.
func exitOf(err error) int {
	var se *session.Error
	if errors.As(err, &se) {
		return se.Code
	}
	return 0
}

func at(user, host string) string {
	if user == "" {
		return host
	}
	return user + "@" + host
}

// daemonURL is rsync://… of a module, of the list of modules if it is "".
func daemonURL(sp target.Spec, module string) string {
	host := sp.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if sp.Port != "" {
		host += ":" + sp.Port
	}
	return "rsync://" + at(sp.User, host) + "/" + module
}

// ownAddress is the address that the host sees us with, or a word for it.
func ownAddress(host, port string) string {
	if port == "" {
		port = fmt.Sprint(session.DefaultPort)
	}
	c, err := net.Dial("udp", net.JoinHostPort(host, port)) // sends nothing
	if err != nil {
		return "ADDRESS"
	}
	defer c.Close()
	own, _, err := net.SplitHostPort(c.LocalAddr().String())
	if err != nil {
		return "ADDRESS"
	}
	return own
}

// poor are file systems that cannot hold what a source can, by the magic number
// of statfs(2).
var poor = map[int64]string{
	0x4d44:     "vfat keeps neither owners, modes nor symlinks, and times to two seconds",
	0x2011bab0: "exfat keeps neither owners, modes nor symlinks",
	0x5346544e: "ntfs does not keep owners and modes as they are here",
	0xff534d42: "cifs may keep neither owners nor modes",
	0xfe534d42: "smb2 may keep neither owners nor modes",
}

// lowSpace is from where on a file system counts as almost full, in percent.
const lowSpace = 5

// directory looks at a target on this machine.
func directory(dir string, c census) []Finding {
	word := tree.ShellWord(dir)
	info, err := os.Stat(dir)
	there := dir
	empty := false
	switch {
	case errors.Is(err, fs.ErrNotExist):
		there, empty = filepath.Dir(filepath.Clean(dir)), true
		if _, err := os.Stat(there); err != nil {
			return []Finding{{Check: "target", Level: Problem, Text: "neither it nor the directory that is to hold it is there", Fix: "mkdir -p " + word}}
		}
	case err != nil:
		return []Finding{{Check: "target", Level: Problem, Text: err.Error(), Fix: "ls -ld " + word}}
	case !info.IsDir():
		return []Finding{{Check: "target", Level: Problem, Text: "it is not a directory", Fix: "mv " + word + " " + word + ".old"}}
	default:
		names, err := os.ReadDir(dir)
		empty = err == nil && len(names) == 0
	}
	f := Finding{Check: "target", Level: OK, Text: "can be written"}
	if empty {
		f.Text += "; nothing is in it yet"
	}
	if err := unix.Access(there, unix.W_OK|unix.X_OK); err != nil {
		f.Level, f.Text, f.Fix = Problem, "it cannot be written: "+err.Error(), "sudo setfacl -m u:$USER:rwx "+tree.ShellWord(there)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(there, &st); err != nil {
		return []Finding{f}
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		f.Level, f.Text, f.Fix = Problem, "its file system is mounted read-only", "mount -o remount,rw $(findmnt -no TARGET -T "+tree.ShellWord(there)+")"
	}
	all := []Finding{f}
	if text, yes := poor[int64(uint32(st.Type))]; yes {
		all = append(all, Finding{Check: "target", Level: Warning, Text: text, Fix: "findmnt -T " + tree.ShellWord(there)})
	}
	need := int64(0)
	if empty {
		need = c.bytes
	}
	space := judgeSpace(int64(st.Bavail)*st.Bsize, int64(st.Blocks)*st.Bsize, need, "du -xh "+tree.ShellWord(there)+" | sort -h | tail")
	if inodes := int64(st.Ffree); st.Files > 0 && (empty && inodes < c.entries || inodes*100 < int64(st.Files)*lowSpace) {
		space.Level = Warning
		space.Text += fmt.Sprintf("; %s of its %s inodes are free", report.Grouped(inodes), report.Grouped(int64(st.Files)))
		space.Fix = "df -i " + tree.ShellWord(there)
	}
	return append(all, space)
}

// judgeSpace holds free space against what is still to come.
func judgeSpace(free, all, need int64, fix string) Finding {
	f := Finding{Check: "space", Level: OK, Text: fmt.Sprintf("%s of %s free", size(free), size(all))}
	switch {
	case free < need:
		f.Level, f.Fix = Problem, fix
		f.Text += ", the source holds " + size(need)
	case free < all/100*lowSpace:
		f.Level, f.Fix = Warning, fix
		f.Text += ", which is almost full"
	}
	return f
}
