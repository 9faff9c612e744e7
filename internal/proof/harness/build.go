package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// BinaryVar names the environment variable that holds the path of a built
// lockstep to use instead of building one.
const BinaryVar = "LOCKSTEP_BINARY"

// RaceVar names the environment variable that, when not empty, has the binary
// built with the race detector.
const RaceVar = "LOCKSTEP_RACE"

var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// Binary is the path of the lockstep binary, which the first call builds.
func Binary() (string, error) {
	built.once.Do(func() { built.path, built.err = build() })
	return built.path, built.err
}

// RemoveBinary removes what Binary built.
func RemoveBinary() {
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
}

func build() (string, error) {
	if path := os.Getenv(BinaryVar); path != "" {
		return filepath.Abs(path)
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	if built.dir, err = os.MkdirTemp("", "lockstep-proof-"); err != nil {
		return "", err
	}
	// Others must be able to execute it: some tests run it as nobody.
	if err := os.Chmod(built.dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(built.dir, "lockstep")
	args := []string{"build", "-o", path}
	if os.Getenv(RaceVar) != "" {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/lockstep")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build lockstep: %w\n%s", err, out)
	}
	return path, nil
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", fmt.Errorf("find the module: not inside one")
	}
	return filepath.Dir(mod), nil
}
