package proof_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/live/change"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/watch"
	"lockstep/internal/proof/harness"
)

// within runs a mirror in this process, which ends with the test. What it tells
// the operator comes through the channel.
func within(t *testing.T, config mirror.Config) (*mirror.Mirror, context.Context, <-chan string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	notices := make(chan string, 100)
	config.Listener.Failing = func(target string, err error, _, _ time.Time) { t.Logf("%s: %v", target, err) }
	config.Listener.Notice = func(text, _ string) { notices <- text }
	m, err := mirror.New(config)
	check(t, err)
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-ended)
	})
	return m, ctx, notices
}

// heard waits for a notice.
func heard(t *testing.T, ctx context.Context, notices <-chan string, words string) {
	t.Helper()
	for {
		select {
		case text := <-notices:
			if strings.Contains(text, words) {
				return
			}
		case <-ctx.Done():
			t.Fatalf("no notice says %q", words)
		}
	}
}

// remote gives the target of a place, with what a mirror in this process needs
// to know of it.
func (p place) remote(t *testing.T, dir string) mirror.Config {
	t.Helper()
	flags, url := p.open(t, dir)
	config := mirror.Config{Targets: []string{url}, MaxDelete: change.NoLimit}
	if len(flags) == 2 {
		config.PasswordFile = flags[1]
	}
	return config
}

// A file system within the source that is unmounted is out of sight, not
// deleted, whatever passes are made until it is back.
func TestAnUnmountedPartOfTheSourceStaysAtTargets(t *testing.T) {
	needRoot(t, "mount a tmpfs")
	for _, p := range places {
		for _, backend := range []watch.Backend{watch.Fanotify, watch.Inotify, watch.Poll} {
			t.Run(p.name+" "+backend.String(), func(t *testing.T) {
				t.Parallel()
				source, target := t.TempDir(), t.TempDir()
				disk := filepath.Join(source, "the [new] disk*")
				check(t, os.Mkdir(disk, 0o755))
				check(t, harness.Tmpfs(disk, 1<<20))
				mounted := true
				t.Cleanup(func() {
					if mounted {
						check(t, harness.Unmount(disk))
					}
				})
				kept := filepath.Join(target, filepath.Base(disk), "dir", "kept")
				check(t, os.Mkdir(filepath.Join(disk, "dir"), 0o755))
				write(t, filepath.Join(disk, "dir", "kept"), "x")
				write(t, filepath.Join(source, "plain"), "x")
				config := p.remote(t, target)
				config.Source, config.Watch = source, backend
				m, ctx, notices := within(t, config)
				check(t, m.Flush(ctx))
				expectAt(t, kept, "x")

				check(t, harness.Unmount(disk))
				mounted = false
				heard(t, ctx, notices, "was unmounted")
				check(t, m.Resync(ctx))
				check(t, os.Remove(filepath.Join(source, "plain")))
				check(t, m.Flush(ctx))
				if exists(filepath.Join(target, "plain")) {
					t.Error("a removed file is still at the target")
				}
				expectAt(t, kept, "x")

				check(t, harness.Tmpfs(disk, 1<<20))
				mounted = true
				write(t, filepath.Join(disk, "other"), "y")
				converge(t, source, target, p.want)
			})
		}
	}
}

// What belongs to be mounted and is not when the mirror starts is out of sight
// too.
func TestAFileSystemThatIsNotMountedStaysAtTargets(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			source, target, fstab := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "fstab")
			check(t, os.Mkdir(filepath.Join(source, "disk"), 0o755))
			check(t, os.Mkdir(filepath.Join(target, "disk"), 0o755))
			write(t, filepath.Join(target, "disk", "kept"), "x")
			write(t, filepath.Join(target, "stale"), "x")
			write(t, fstab, "UUID=1 / ext4 defaults 0 1\nUUID=2 "+filepath.Join(source, "disk")+" ext4 noauto 0 2\n")
			config := p.remote(t, target)
			config.Source, config.Fstab = source, fstab
			m, ctx, notices := within(t, config)
			heard(t, ctx, notices, "is not mounted")
			check(t, m.Flush(ctx))
			expectAt(t, filepath.Join(target, "disk", "kept"), "x")
			if exists(filepath.Join(target, "stale")) {
				t.Error("what the source does not have is still at the target")
			}
		})
	}
}
