package proof_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// Limits for what a test waits for. They are generous because the machine may
// be busy: a test that passes does not wait.
const (
	soon    = time.Minute     // for one line of output or one small change
	settled = 2 * time.Minute // for trees to become equal after much work
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Each test runs several processes of its own; more at a time only make
	// each other late.
	if err := flag.Set("test.parallel", "2"); err != nil {
		panic(err)
	}
	code := m.Run()
	closeLab()
	harness.RemoveBinary()
	os.Exit(code)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// need skips, or fails in CI, when a program is not installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if err := harness.Need(programs...); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

func needRoot(t *testing.T, what string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: " + what)
	}
}

func heavy() bool { return os.Getenv("LOCKSTEP_PROOF_HEAVY") != "" }

func binary(t *testing.T) string {
	t.Helper()
	path, err := harness.Binary()
	check(t, err)
	return path
}

// startMirror starts a mirror that ends with the test. When the test fails its
// last output is shown.
func startMirror(t *testing.T, args ...string) *harness.Mirror {
	t.Helper()
	return startMirrorWith(t, harness.MirrorConfig{Args: args})
}

func startMirrorWith(t *testing.T, config harness.MirrorConfig) *harness.Mirror {
	t.Helper()
	config.Binary = binary(t)
	m, err := harness.StartMirror(config)
	check(t, err)
	t.Cleanup(func() {
		m.End()
		if t.Failed() {
			t.Log(m.Tail(80))
		}
	})
	return m
}

// stopMirror ends a mirror as an operator does, and expects exit code 0.
func stopMirror(t *testing.T, m *harness.Mirror) {
	t.Helper()
	check(t, m.Signal(syscall.SIGTERM))
	code, err := m.Wait(soon)
	check(t, err)
	if code != 0 {
		t.Fatalf("exit code %d after SIGTERM, want 0\n%s", code, m.Tail(40))
	}
}

// run starts a mirror that ends by itself and returns its exit code.
func run(t *testing.T, args ...string) (int, *harness.Mirror) {
	t.Helper()
	m := startMirror(t, args...)
	code, err := m.Wait(settled)
	check(t, err)
	return code, m
}

func startDaemon(t *testing.T, config harness.DaemonConfig) *harness.Daemon {
	t.Helper()
	need(t, "rsync")
	if config.Dir == "" {
		config.Dir = t.TempDir()
	}
	if config.Path == "" {
		config.Path = t.TempDir()
	}
	d, err := harness.StartDaemon(config)
	check(t, err)
	t.Cleanup(func() {
		d.End()
		if t.Failed() {
			t.Log(d.LogTail())
		}
	})
	return d
}

func newShell(t *testing.T) *harness.Shell {
	t.Helper()
	need(t, "rsync")
	s, err := harness.NewShell(t.TempDir())
	check(t, err)
	return s
}

var (
	plain  = harness.Comparison{}
	munged = harness.Comparison{Munged: true}
)

// converge waits until target equals source.
func converge(t *testing.T, source, target string, want harness.Comparison) {
	t.Helper()
	check(t, harness.Converge(source, target, want, settled))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, []byte(text), 0o644))
}

func makeTree(t *testing.T, root string, files int) harness.Tree {
	t.Helper()
	tree := harness.Tree{Files: files}
	check(t, tree.Make(root))
	return tree
}

// noise makes a file that nothing can compress.
func noise(t *testing.T, path string, size int) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, harness.Noise(rand.New(rand.NewPCG(uint64(size), 1)), size), 0o644))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// expectAt waits until a file at a target holds text.
func expectAt(t *testing.T, path, text string) {
	t.Helper()
	check(t, harness.Poll(soon, fmt.Sprintf("%s holds %.40q", path, text), func() bool {
		got, err := os.ReadFile(path)
		return err == nil && string(got) == text
	}))
}

// sh runs a shell script in dir.
func sh(t *testing.T, dir, script string) {
	t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, script, out)
	}
}

// leftovers are the names at target that look like temporary files of rsync
// or lockstep and are not in source.
func leftovers(t *testing.T, source, target string) []string {
	t.Helper()
	found, err := harness.Compare(source, target, harness.Comparison{NoContent: true})
	check(t, err)
	var temps []string
	for _, line := range found {
		if strings.Contains(line, "only at the target") {
			temps = append(temps, line)
		}
	}
	return temps
}
