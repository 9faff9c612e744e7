package proof_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lockstep/internal/proof/harness"
)

// The classic scenario: one content node and three web servers that run
// rsync --daemon with the configuration that people have.
func TestClassicScenario(t *testing.T) {
	const files = 10_000
	source := t.TempDir()
	tree := makeTree(t, source, files)
	check(t, os.Symlink("d000/e000/file-000000", filepath.Join(source, "current")))
	check(t, os.Symlink("/nonexistent/elsewhere", filepath.Join(source, "absolute")))

	var daemons []*harness.Daemon
	args := []string{source}
	for i := 1; i <= 3; i++ {
		d := startDaemon(t, harness.DaemonConfig{Module: fmt.Sprintf("web%d", i)})
		write(t, filepath.Join(d.Path, "old", "left from before"), "to be deleted")
		daemons = append(daemons, d)
		args = append(args, d.URL())
	}
	m := startMirror(t, append([]string{"--password-file", daemons[0].PasswordFile}, args...)...)
	check(t, m.WaitInStep(settled, len(daemons)))
	for _, d := range daemons {
		converge(t, source, d.Path, munged)
	}

	mark := m.Mark()
	write(t, filepath.Join(source, tree.Name(4711)), "changed")
	check(t, os.Remove(filepath.Join(source, tree.Name(17))))
	check(t, os.RemoveAll(filepath.Join(source, "d000/e007")))
	check(t, os.Rename(filepath.Join(source, "d000/e001"), filepath.Join(source, "renamed")))
	write(t, filepath.Join(source, "new/deep/directory/file"), "new")
	check(t, os.Remove(filepath.Join(source, "current")))
	check(t, os.Symlink("renamed", filepath.Join(source, "current")))
	for _, d := range daemons {
		converge(t, source, d.Path, munged)
	}
	if wire := harness.Wire(m.Since(mark)); wire > 300_000 {
		t.Errorf("%d bytes on the wire for a handful of changes: that is a scan of the tree", wire)
	}
	stopMirror(t, m)
}

// The other ways to write the same target, and to give the password.
func TestDaemonTargetsCanBeWrittenInSeveralWays(t *testing.T) {
	d := startDaemon(t, harness.DaemonConfig{})
	check(t, os.Mkdir(filepath.Join(d.Path, "sub dir"), 0o755))
	source := t.TempDir()
	for i, c := range []struct {
		name, target, at string
		args, env        []string
	}{
		{"password in the environment", d.URL(), "", nil, []string{"RSYNC_PASSWORD=" + harness.Password}},
		{"a directory of the module", d.URL() + "/sub dir", "sub dir", []string{"--password-file", d.PasswordFile}, nil},
		{"a trailing slash", d.URL() + "/", "", []string{"--password-file", d.PasswordFile}, nil},
		{"compressed", d.URL(), "", []string{"--password-file", d.PasswordFile, "-z"}, nil},
		{"by checksum", d.URL(), "", []string{"--password-file", d.PasswordFile, "-c"}, nil},
		{"an old protocol", d.URL(), "", []string{"--password-file", d.PasswordFile, "--protocol", "29"}, nil},
		{"the oldest protocol", d.URL(), "", []string{"--password-file", d.PasswordFile, "--protocol", "27"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(t, filepath.Join(source, "file"), fmt.Sprint("number ", i))
			write(t, filepath.Join(source, fmt.Sprintf("dir%d/file", i)), "a")
			want := munged
			want.AnyOwner = true
			m := startMirrorWith(t, harness.MirrorConfig{Args: append(c.args, source, c.target), Env: c.env})
			check(t, m.WaitInStep(soon, 1))
			expectAt(t, filepath.Join(d.Path, c.at, "file"), fmt.Sprint("number ", i))
			write(t, filepath.Join(source, "file"), fmt.Sprint("changed ", i))
			check(t, os.Mkdir(filepath.Join(source, fmt.Sprint("more", i)), 0o755))
			check(t, os.RemoveAll(filepath.Join(source, fmt.Sprintf("dir%d", i))))
			expectAt(t, filepath.Join(d.Path, c.at, "file"), fmt.Sprint("changed ", i))
			check(t, harness.Poll(soon, "the directory is deleted", func() bool {
				return !exists(filepath.Join(d.Path, c.at, fmt.Sprintf("dir%d", i)))
			}))
			check(t, harness.Poll(soon, "the directory is made", func() bool {
				return exists(filepath.Join(d.Path, c.at, fmt.Sprint("more", i)))
			}))
			stopMirror(t, m)
		})
	}
}

func TestTheDoubleColonFormTakesTheDefaultPort(t *testing.T) {
	needRoot(t, "a daemon on port 873")
	need(t, "rsync")
	d, err := harness.StartDaemon(harness.DaemonConfig{Dir: t.TempDir(), Path: t.TempDir(), Listen: "127.83.47.1:873"})
	if err != nil {
		t.Skip("port 873 is taken: ", err)
	}
	t.Cleanup(d.End)
	source := t.TempDir()
	write(t, filepath.Join(source, "file"), "text")
	code, m := run(t, "--once", "--password-file", d.PasswordFile, source, harness.User+"@127.83.47.1::"+d.Module)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, m.Tail(20))
	}
	converge(t, source, d.Path, munged)
}

func TestAPasswordFileThatOthersCanReadIsRefused(t *testing.T) {
	d := startDaemon(t, harness.DaemonConfig{})
	source := t.TempDir()
	check(t, os.Chmod(d.PasswordFile, 0o644))
	code, m := run(t, "--once", "--password-file", d.PasswordFile, source, d.URL())
	if code == 0 {
		t.Fatalf("a password file of mode 644 was taken\n%s", m.Tail(20))
	}
}
