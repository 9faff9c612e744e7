package proof_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lockstep/internal/proof/harness"
)

// others is a world of nobody's in which some things are root's.
const others = `
src/ uid=65534 gid=65534
src/a 10 uid=65534 gid=65534
src/closed 20 mode=0600
src/shared 10 uid=65534
src/theirs/ mode=0755
src/theirs/f 30 uid=65534 gid=65534
dst/ mode=1777
dst/a 5 uid=65534 gid=65534
dst/old 5 uid=65534 gid=65534
dst/shared 50 uid=65534
bk/ uid=65534 gid=65534
locked/ mode=0700
swept/ uid=65534 gid=65534
swept/theirs/ uid=65534 gid=65534
swept/theirs/old 5 uid=65534 gid=65534
swept/z/a/f 5
swept/z/a/ uid=65534 gid=65534
swept/z/ uid=65534 gid=65534
swept/z/f 5 uid=65534 gid=65534
swept/z/hidden/f 5
swept/z/hidden/ mode=0300 uid=65534 gid=65534
swept/z/roots/f 5
swept/z/roots/g 5
swept/z/shut/f 5
swept/z/shut/d/
swept/z/shut/ mode=0400 uid=65534 gid=65534
swept/z/still/f 5
swept/z/still/ mode=0555 uid=65534 gid=65534
`

// TestWhatUsersMayNot does the work of somebody who is not root where root's files
// and directories are in the way.
func TestWhatUsersMayNot(t *testing.T) {
	needLab(t)
	needRoot(t, "files of root, and users that are not")
	for name, words := range map[string]string{
		"a file that cannot be read counts":       "-ai --stats src/ dst/",
		"a directory that is root's":              "-ai --delete src/a src/theirs dst/",
		"the group of a directory that is root's": "-ai --exclude=closed --exclude=theirs src/ dst/",
		"a source that cannot be removed":         "-ai --remove-source-files src/theirs dst/",
		"a copy of what cannot be read":           "-ai --copy-dest=../src src/closed dst/",
		"a backup of a group that is not ours":    "-ai -b --inplace src/shared dst/",
		"such a backup in a directory":            "-ai -b --inplace --backup-dir=$W/bk src/shared dst/",
		"a partial file of such a group":          "-ai --no-W --partial-dir=$E src/shared dst/",
		"a directory for backups out of reach":    "-ai -b --backup-dir=$W/locked/bk src/a dst/",
		"a directory for temporary files like it": "-ai -T $W/locked/tmp src/a dst/",
		"a destination out of reach":              "-ai src/a locked/x",
		"directories that cannot be emptied":      "-ai --delete --exclude=closed src/ swept/",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said [2]string
			for i, program := range []string{lab.real, lab.ours} {
				world, err := newWorld(others)
				check(t, err)
				args, err := harness.Words(words)
				check(t, err)
				places := strings.NewReplacer("$W", world, "$E", partialElsewhere(t, "shared"))
				for i := range args {
					args[i] = places.Replace(args[i])
				}
				cmd := exec.Command(program, args...)
				cmd.Dir = world
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
				var out, errs bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &errs
				if err := cmd.Run(); cmd.ProcessState == nil {
					t.Fatal(err)
				}
				code := cmd.ProcessState.ExitCode()
				said[i] = cmd.ProcessState.String() + "\n" + harness.Settled(harness.Plain(out.String(), world)) +
					harness.SortedLines(harness.PlainErrors(errs.String(), world, code))
				listed, err := exec.Command("find", filepath.Join(world, "dst"), filepath.Join(world, "swept"), "-printf", "%P %y %m %U\n").Output()
				check(t, err)
				said[i] += harness.SortedLines(string(listed))
			}
			if d := harness.DiffLines(said[0], said[1]); d != "" {
				t.Errorf("%s", d)
			}
		})
	}
}

// partialElsewhere is a directory of nobody's that passes on root's group, most
// likely on another file system than the worlds, with part of a file called name.
func partialElsewhere(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lockstep-partial-")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, name)
	check(t, os.WriteFile(file, []byte("part"), 0o644))
	check(t, os.Chown(file, nobody, 0))
	check(t, os.Chown(dir, nobody, 0))
	check(t, os.Chmod(dir, 0o775|os.ModeSetgid))
	return dir
}
