package proof_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// grown is a world whose files of some size are all to be replaced.
const grown = `
src/a 900k#1
src/b 700k#2+100k#3
src/d/c 800k#4
src/d/e/f 600k#5
src/new 900k#6
dst/a 900k#11 t=1500000000
dst/b 700k#2+100k#13 t=1500000000
dst/d/c 300k#4 t=1500000000
dst/d/e/f 900k#15 t=1500000000
`

// contents reads all regular files below dir.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		all[name], err = os.ReadFile(path)
		return err
	}))
	return all
}

func TestRsyncKilledAtAnyMomentLeavesWholeFiles(t *testing.T) {
	needLab(t)
	for _, c := range []struct {
		name   string
		args   string
		via    harness.Transport
		signal syscall.Signal
		group  bool
		tidy   bool // no temporary file may be left
	}{
		{"a local copy by SIGKILL", "-a", harness.Local, syscall.SIGKILL, true, false},
		{"a local copy by SIGTERM", "-a", harness.Local, syscall.SIGTERM, false, true},
		{"a local copy by SIGINT", "-a --no-W", harness.Local, syscall.SIGINT, false, true},
		{"a push by SIGINT at both ends", "-a", harness.ShellPush, syscall.SIGINT, true, true},
		{"a push of which only the client is left", "-a", harness.ShellPush, syscall.SIGTERM, false, true},
		{"a pull by SIGKILL", "-az", harness.ShellPull, syscall.SIGKILL, true, false},
		{"a pull by SIGHUP", "-a", harness.ShellPull, syscall.SIGHUP, false, true},
		{"delayed updates by SIGKILL", "-a --delay-updates", harness.Local, syscall.SIGKILL, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(uint64(len(c.name)), 7))
			r := row{world: grown, args: c.args}
			killed := 0
			for round := range 9 {
				world, err := newWorld(r.world)
				check(t, err)
				before, wanted := contents(t, world+"/dst"), contents(t, world+"/src")
				transfer, err := r.transfer(world, c.via, newestProtocol, corner{true, true})
				check(t, err)
				transfer.Kill = time.Duration(1+rng.IntN(60)) * time.Millisecond
				transfer.KillWith, transfer.KillGroup = c.signal, c.group
				o, err := transfer.Run()
				check(t, err)
				if o.Code != 0 {
					killed++
				}
				after := contents(t, world+"/dst")
				for name, got := range after {
					old, isOld := before[name]
					whole, isNew := wanted[name]
					switch {
					case isOld && bytes.Equal(got, old) || isNew && bytes.Equal(got, whole):
					case isOld || isNew:
						t.Errorf("round %d, killed after %v: %q is neither the old file nor the new one", round, transfer.Kill, name)
					case c.tidy:
						t.Errorf("round %d, killed after %v: %q is left (exit code %d)", round, transfer.Kill, name, o.Code)
					}
				}
				for name := range before {
					if _, ok := after[name]; !ok {
						t.Errorf("round %d, killed after %v: %q is gone", round, transfer.Kill, name)
					}
				}
				check(t, os.RemoveAll(world))
			}
			if killed == 0 {
				t.Log("every transfer was done before it was killed")
			}
		})
	}
}

// A transfer that was interrupted goes on where it stopped.
func TestRsyncResumesAPartialTransfer(t *testing.T) {
	needLab(t)
	const size = 6 << 20
	for _, c := range []struct {
		name, args, partial string
		via                 harness.Transport
	}{
		{"partial over a shell", "--partial", "dst/big", harness.ShellPush},
		{"partial from a shell", "--partial", "dst/big", harness.ShellPull},
		{"partial dir over a shell", "--partial-dir=.part", "dst/.part/big", harness.ShellPush},
		{"partial dir from a daemon", "--partial-dir=.part", "dst/.part/big", harness.DaemonPull},
		{"append over a shell", "--append", "dst/big", harness.ShellPush},
		{"in place locally", "--inplace --no-W", "dst/big", harness.Local},
	} {
		for _, at := range corners(c.via) {
			t.Run(c.name+", "+at.String(), func(t *testing.T) {
				t.Parallel()
				world, err := newWorld(fmt.Sprintf("src/big %d\ndst/\n", size))
				check(t, err)
				defer os.RemoveAll(world)
				first := row{args: "-a --bwlimit=3m " + c.args}
				transfer, err := first.transfer(world, c.via, newestProtocol, at)
				check(t, err)
				transfer.KillOnce, transfer.KillWith = func() bool { return written(world+"/dst") > size/3 }, syscall.SIGINT
				o, err := transfer.Run()
				check(t, err)
				if o.Code != 20 {
					t.Fatalf("exit code %d after SIGINT, want 20\n%s", o.Code, o.Err)
				}
				kept, err := os.Stat(filepath.Join(world, c.partial))
				check(t, err)
				if kept.Size() < size/20 || kept.Size() >= size {
					t.Errorf("%d of %d bytes were kept", kept.Size(), size)
				}
				second := row{args: "-a --stats " + c.args}
				transfer, err = second.transfer(world, c.via, newestProtocol, at)
				check(t, err)
				o, err = transfer.Run()
				check(t, err)
				if o.Code != 0 {
					t.Fatalf("exit code %d\n%s", o.Code, o.Err)
				}
				if sent, received, ok := harness.Traffic(o.Out); ok && c.via != harness.Local && sent+received > size {
					t.Errorf("%d bytes on the wire for the rest of %d bytes of which %d were there", sent+received, size, kept.Size())
				}
				left, err := harness.Compare(world+"/src", world+"/dst", plain)
				check(t, err)
				if len(left) > 0 {
					t.Error(strings.Join(left, "\n"))
				}
			})
		}
	}
}

// written is how large a file below dir is that some process has open, with a
// name or without.
func written(dir string) int64 {
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	largest := int64(0)
	for _, fd := range open {
		if name, err := os.Readlink(fd); err != nil || !strings.HasPrefix(name, dir+"/") {
			continue
		}
		if info, err := os.Stat(fd); err == nil && info.Mode().IsRegular() {
			largest = max(largest, info.Size())
		}
	}
	return largest
}
