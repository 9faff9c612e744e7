package proof_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// startSSH starts a real sshd for this user alone and writes an ssh that knows
// it as any host.
func startSSH(t *testing.T, bin string) {
	t.Helper()
	dir := t.TempDir()
	daemon, err := exec.LookPath("sshd")
	if err != nil {
		daemon = "/usr/sbin/sshd"
	}
	if _, err := os.Stat(daemon); err != nil {
		need(t, "sshd")
	}
	need(t, "ssh", "ssh-keygen")
	if os.Geteuid() == 0 {
		check(t, os.MkdirAll("/run/sshd", 0o755)) // where it drops its privileges
	}
	for _, key := range []string{"host", "user"} {
		sh(t, dir, "ssh-keygen -q -t ed25519 -N '' -f "+key)
	}
	sh(t, dir, "cp user.pub authorized")
	port, err := harness.FreePort()
	check(t, err)
	write(t, filepath.Join(dir, "sshd_config"), fmt.Sprintf(`Port %d
ListenAddress 127.0.0.1
HostKey %[2]s/host
AuthorizedKeysFile %[2]s/authorized
StrictModes no
PidFile none
UsePAM no
PermitRootLogin yes
AcceptEnv *
`, port, dir))
	p, err := harness.Start("sshd", exec.Command(daemon, "-D", "-e", "-f", filepath.Join(dir, "sshd_config")), nil)
	check(t, err)
	t.Cleanup(p.End)
	me, err := user.Current()
	check(t, err)
	check(t, harness.Poll(soon, "sshd answers", func() bool {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err != nil {
			return false
		}
		return errors.Join(conn.Close()) == nil
	}))
	check(t, os.Remove(filepath.Join(bin, "ssh")))
	check(t, os.WriteFile(filepath.Join(bin, "ssh"), fmt.Appendf(nil, `#!/bin/sh
exec /usr/bin/ssh -F none -p %d -l %s -i %s/user -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"
`, port, me.Username, dir), 0o755))
}

func TestRsyncOverARealSSH(t *testing.T) {
	needLab(t)
	_, bin := bins(t)
	startSSH(t, bin)
	world, err := newWorld(office)
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(world) })
	for _, c := range []struct{ name, script string }{
		{"push", `rsync -avzP --rsync-path="$RSYNC" home/ 127.0.0.1:"$PWD/copy/"`},
		{"push of nothing new", `rsync -ai --rsync-path="$RSYNC" home/ 127.0.0.1:"$PWD/copy/"`},
		{"pull", `rsync -azhi --stats --rsync-path="$RSYNC" 127.0.0.1:"$PWD/home/" back/`},
		{"pull from the installed rsync", `rsync -aHi --delete --rsync-path=/usr/bin/rsync 127.0.0.1:"$PWD/home/" back/`},
		{"push to the installed rsync", `rsync -aHi --delete --rsync-path=/usr/bin/rsync home/ 127.0.0.1:"$PWD/other/"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs := live(t, world, bin, c.script+` || echo failed`)
			if strings.Contains(out, "failed") || errs != "" {
				t.Errorf("%s\n%s", out, errs)
			}
			if c.name == "push of nothing new" && out != "" {
				t.Errorf("something was new:\n%s", out)
			}
		})
	}
	for _, copy := range []string{"copy", "back", "other"} {
		left, err := harness.Compare(filepath.Join(world, "home"), filepath.Join(world, copy), harness.Comparison{HardLinks: copy != "copy"})
		check(t, err)
		if len(left) > 0 {
			t.Errorf("%s: %s", copy, strings.Join(left, "\n"))
		}
	}
}

// A list of names that is far longer than any buffer.
func TestRsyncTakesALongListOfNames(t *testing.T) {
	needLab(t)
	names, files := 20_000, 2_000
	if heavy() {
		names, files = 1_000_000, 20_000
	}
	world, err := newWorld("src/\n")
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(world) })
	tree := harness.Tree{Files: files, Size: 20}
	check(t, tree.Make(filepath.Join(world, "src")))
	var list strings.Builder
	for i := range names { // every file several times
		list.WriteString(tree.Name((i*7919)%files) + "\n")
	}
	write(t, filepath.Join(world, "list"), list.String())
	for _, via := range []harness.Transport{harness.Local, harness.ShellPush, harness.ShellPull} {
		for _, at := range corners(via) {
			if via.Pull() && !at.receiver {
				continue // rsync's receiver takes time by the square of the names
			}
			t.Run(via.String()+", "+at.String(), func(t *testing.T) {
				r := row{args: "-a --files-from=$W/list"}
				transfer, err := r.transfer(world, via, newestProtocol, at)
				check(t, err)
				transfer.Limit = settled
				o, err := transfer.Run()
				check(t, err)
				if o.Code != 0 {
					t.Fatalf("exit code %d (no end: %v)\n%.2000s", o.Code, o.TimedOut, o.Err)
				}
				left, err := harness.Compare(filepath.Join(world, "src"), filepath.Join(world, "dst"), harness.Comparison{AnyTime: true})
				check(t, err)
				if len(left) > 0 {
					t.Error(strings.Join(left, "\n"))
				}
				check(t, os.RemoveAll(filepath.Join(world, "dst")))
			})
		}
	}
}
