package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lockstep/internal/proof/harness"
)

// tool is one way to keep a target in step.
type tool struct {
	name  string
	title string
	needs []string
	local bool // its target is a directory, no daemon
	// start starts it; the channel is closed when it says that its first pass
	// is done.
	start func(s *site) (*harness.Process, <-chan struct{}, error)
}

// site is where one tool works.
type site struct {
	dir    string // for its own files
	source string
	target string          // the directory that the target's files are in
	daemon *harness.Daemon // nil for a local target
	limit  time.Duration
}

func (s *site) url() string {
	if s.daemon == nil {
		return s.target
	}
	return s.daemon.URL()
}

func toolNamed(name string) (tool, bool) {
	for _, t := range []tool{
		{name: "lockstep", title: "lockstep", needs: []string{"rsync", "go"}, start: startLockstep},
		{name: "lsyncd", title: "lsyncd", needs: []string{"rsync", "lsyncd"}, start: startLsyncd},
		{name: "loop", title: "inotifywait + rsync", needs: []string{"rsync", "inotifywait", "bash"}, start: startLoop},
		{name: "local", title: "lockstep to a directory", needs: []string{"go"}, local: true, start: startLockstep},
	} {
		if t.name == name {
			return t, true
		}
	}
	return tool{}, false
}

func startLockstep(s *site) (*harness.Process, <-chan struct{}, error) {
	binary, err := harness.Binary()
	if err != nil {
		return nil, nil, err
	}
	args := []string{s.source, s.url()}
	if s.daemon != nil {
		args = append([]string{"--password-file", s.daemon.PasswordFile}, args...)
	}
	m, err := harness.StartMirror(harness.MirrorConfig{Binary: binary, Args: args})
	if err != nil {
		return nil, nil, err
	}
	ready := make(chan struct{})
	go func() {
		if m.WaitInStep(s.limit, 1) == nil {
			close(ready)
		}
	}()
	return m.Process, ready, nil
}

// saying is a line callback and a channel that it closes once each of the
// texts was in a line.
func saying(texts ...string) (func(string), <-chan struct{}) {
	ready := make(chan struct{})
	return func(line string) {
		if len(texts) == 0 {
			return
		}
		texts = slices.DeleteFunc(texts, func(text string) bool { return strings.Contains(line, text) })
		if len(texts) == 0 {
			close(ready)
		}
	}, ready
}

const lsyncdConfig = `settings { nodaemon = true, statusFile = %q, insist = true }
sync { default.rsync, source = %q, target = %q, delay = 0,
       rsync = { archive = true, password_file = %q } }
`

func startLsyncd(s *site) (*harness.Process, <-chan struct{}, error) {
	config := filepath.Join(s.dir, "lsyncd.lua")
	text := fmt.Sprintf(lsyncdConfig, filepath.Join(s.dir, "status"), s.source, s.url(), s.daemon.PasswordFile)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, nil, err
	}
	line, ready := saying("finished")
	p, err := harness.Start("lsyncd", exec.Command("lsyncd", config), line)
	return p, ready, err
}

// loopScript is the classic script with the events that people come to use,
// and a first pass that begins once inotifywait runs.
const loopScript = `
push() { rsync -avzP --delete --password-file="$PASS" "$SRC/" "$URL" > /dev/null 2>&1; }
exec 3>&1
inotifywait -mr --timefmt '%d/%m/%y %H:%M' --format '%T %w%f%e' -e close_write,delete,create,attrib,move "$SRC" 2>&3 |
{ push; echo "first pass done" >&3; while read -r files; do push; done; }
`

func startLoop(s *site) (*harness.Process, <-chan struct{}, error) {
	cmd := exec.Command("bash", "-c", loopScript)
	cmd.Env = append(os.Environ(), "SRC="+s.source, "URL="+s.url(), "PASS="+s.daemon.PasswordFile)
	line, ready := saying("first pass done", "Watches established")
	p, err := harness.Start("inotifywait loop", cmd, line)
	return p, ready, err
}
