package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/target"
	"lockstep/internal/rsync/session"
)

// maxSkew is how far apart two clocks may be before it is worth a word.
const maxSkew = 2 * time.Second

// overShell asks a machine for its clock and its free space through the remote
// shell. One that allows rsync only says nothing, which is no fault.
func overShell(ctx context.Context, sp target.Spec, shell string) []Finding {
	words, err := session.SplitShell(shell)
	if err != nil || len(words) == 0 {
		return nil // NewRsync has told
	}
	if sp.User != "" {
		words = append(words, "-l", sp.User)
	}
	dir := sp.Path
	if dir == "" {
		dir = "."
	}
	words = append(words, sp.Host, "date -u +%s; LC_ALL=C df -Pk "+tree.ShellWord(dir))
	began := time.Now()
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).Output()
	if now, free, all, ok := parseShellAnswer(out); ok {
		middle := began.Add(time.Since(began) / 2)
		return []Finding{skew(now.Sub(middle), sp.Host), judgeSpace(free, all, 0, "ssh "+tree.ShellWord(at(sp.User, sp.Host))+" df -h "+tree.ShellWord(dir))}
	}
	var refused *exec.ExitError
	text := "its clock and free space are not told"
	if err != nil && !errors.As(err, &refused) {
		text += ": " + err.Error()
	}
	return []Finding{{Check: "space", Level: Note, Text: text, Fix: "ssh " + tree.ShellWord(at(sp.User, sp.Host)) + " df -h " + tree.ShellWord(dir)}}
}

// skew judges how far another clock is from ours; whole seconds only are told,
// so that up to one of them is no difference.
func skew(d time.Duration, host string) Finding {
	f := Finding{Check: "clock", Level: OK, Text: "its clock agrees with ours"}
	if d.Abs() > maxSkew {
		f.Level, f.Fix = Note, "ssh "+tree.ShellWord(host)+" timedatectl set-ntp true"
		word := "ahead of"
		if d < 0 {
			word = "behind"
		}
		f.Text = fmt.Sprintf("its clock is %v %s ours; mirroring does not mind, reading logs side by side does", d.Abs().Round(time.Second), word)
	}
	return f
}

// parseShellAnswer reads a line with the seconds since 1970 and then what
// "df -Pk" says (POSIX): a heading and a line of name, KiB in all, used,
// available, capacity, mount point.
func parseShellAnswer(out []byte) (now time.Time, free, all int64, ok bool) {
	lines := strings.Split(string(bytes.TrimSpace(out)), "\n")
	if len(lines) < 3 {
		return now, 0, 0, false
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(lines[len(lines)-3]), 10, 64)
	f := strings.Fields(lines[len(lines)-1])
	if err != nil || seconds < 0 || len(f) < 6 {
		return now, 0, 0, false
	}
	const most = 1 << 52 // KiB, so that bytes fit
	all, err1 := strconv.ParseInt(f[1], 10, 64)
	free, err2 := strconv.ParseInt(f[3], 10, 64)
	if err1 != nil || err2 != nil || all < 0 || free < 0 || all > most || free > most {
		return now, 0, 0, false
	}
	return time.Unix(seconds, 0), free << 10, all << 10, true
}
