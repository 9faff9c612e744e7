package harness

import (
	"fmt"
	"os"
	"path/filepath"
)

// Shell is a stand-in for ssh: it runs the command on this machine, joined
// and parsed by a shell, as ssh does.
type Shell struct {
	Path string // for --rsh
	down string // while this file exists no connection succeeds
}

const shellScript = `#!/bin/sh
# usage: shell [-l USER] HOST COMMAND...
if [ "$1" = -l ]; then shift 2; fi
if [ -e '%s' ]; then echo "connect to host $1: no route to host" >&2; exit 255; fi
shift
cd "${LOCKSTEP_SHELL_HOME:-/}" && exec sh -c "$*"
`

// ShellHomeVar names the environment variable with the directory in which
// commands run that a Shell is given; / without it.
const ShellHomeVar = "LOCKSTEP_SHELL_HOME"

// NewShell writes the script into dir.
func NewShell(dir string) (*Shell, error) {
	s := &Shell{Path: filepath.Join(dir, "shell"), down: filepath.Join(dir, "down")}
	if err := os.WriteFile(s.Path, fmt.Appendf(nil, shellScript, s.down), 0o755); err != nil {
		return nil, fmt.Errorf("write the shell: %w", err)
	}
	return s, nil
}

// SetDown makes the host unreachable for new connections, or reachable again.
func (s *Shell) SetDown(down bool) error {
	if !down {
		return os.Remove(s.down)
	}
	return os.WriteFile(s.down, nil, 0o644)
}
