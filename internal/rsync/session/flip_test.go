package session_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// flip exchanges two names as fast as the kernel can, until the test calls stop.
func flip(a, b string) (stop func()) {
	ended, done := make(chan struct{}), sync.WaitGroup{}
	done.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
			}
		}
	})
	return func() { close(ended); done.Wait() }
}

// seen is what is below dir: names, and the content of regular files.
func seen(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		all[name] = d.Type().String()
		if d.Type().IsRegular() {
			all[name] += " " + read(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// While whole transfers run, somebody exchanges a directory of the source and
// one of the destination for symlinks to places outside and back. What is
// outside is neither sent nor removed nor written.
func TestSymlinksFlippedDuringTransfersLeadNowhere(t *testing.T) {
	t.Parallel()
	const files = 12
	for _, words := range []string{"-a", "-aH --inplace --no-W --delete", "-a --remove-source-files --backup", "-a --no-i-r --delay-updates -c"} {
		t.Run(words, func(t *testing.T) {
			top := t.TempDir()
			dirs := map[string]string{}
			for _, name := range []string{"src/a/d", "dst/a/d", "outside/sent", "outside/written"} {
				dirs[name] = filepath.Join(top, name)
				if err := os.MkdirAll(dirs[name], 0o755); err != nil {
					t.Fatal(err)
				}
			}
			name := func(i int) string { return "f" + string(rune('a'+i)) }
			for i := range files {
				write(t, filepath.Join(dirs["outside/sent"], name(i)), "secret", 0o644)
				write(t, filepath.Join(dirs["outside/written"], name(i)), "precious", 0o644)
			}
			// The test itself writes the source by way of a handle.
			source, err := os.OpenRoot(dirs["src/a/d"])
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			for link, to := range map[string]string{"src/a/evil": "outside/sent", "dst/a/evil": "outside/written"} {
				if err := os.Symlink(dirs[to], filepath.Join(top, link)); err != nil {
					t.Fatal(err)
				}
			}
			before := seen(t, filepath.Join(top, "outside"))
			stops := []func(){
				flip(dirs["src/a/d"], filepath.Join(top, "src/a/evil")), flip(dirs["dst/a/d"], filepath.Join(top, "dst/a/evil")),
			}
			good := 0
			begun := time.Now()
			for time.Since(begun) < 300*time.Millisecond || good == 0 && time.Since(begun) < time.Minute {
				for i := range files {
					if err := source.WriteFile(name(i), []byte(strings.Repeat("inside", i+good%3)), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				args := append(strings.Fields(words), "--exclude=evil", filepath.Join(top, "src")+"/", filepath.Join(top, "dst")+"/")
				if got := client(t, true, nil, args...); got.code == 0 {
					good++
				}
			}
			for _, stop := range stops {
				stop()
			}
			if after := seen(t, filepath.Join(top, "outside")); len(after) != len(before) {
				t.Errorf("outside there is %v", after)
			} else {
				for name, was := range before {
					if after[name] != was {
						t.Errorf("outside %s is %q, was %q", name, after[name], was)
					}
				}
			}
			for name, is := range seen(t, filepath.Join(top, "dst")) {
				if strings.Contains(is, "secret") {
					t.Errorf("%s was sent from outside", name)
				}
			}
			if good == 0 {
				t.Error("not one transfer went well: nothing was tested")
			}
		})
	}
}
