package proof_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lockstep/internal/proof/harness"
)

// inotifyFaces are the names that the binary has there.
var inotifyFaces = []string{"inotifywait", "inotifywatch", "fsnotifywait", "fsnotifywatch"}

const inotifyScripts = "testdata/inotify"

// The binary under the names of inotify-tools: a script for each option.
func TestInotifyScripts(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Chmod(filepath.Dir(dir), 0o755)) // somebody else runs it, too
	check(t, os.Chmod(dir, 0o755))
	for _, name := range append(inotifyFaces, "lockstep") {
		check(t, os.Symlink(binary(t), filepath.Join(dir, name)))
	}
	commands := harness.ScriptCommands()
	commands["listen"] = listen
	testscript.Run(t, testscript.Params{
		Dir:                 inotifyScripts,
		Deadline:            time.Now().Add(5 * time.Minute),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                commands,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("there is no condition %q", name)
			}
			return os.Geteuid() == 0, nil
		},
	})
}

// listen SOCKET FILE is the system's log: what comes to SOCKET is a line in
// FILE.
func listen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: listen SOCKET FILE")
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: ts.MkAbs(args[0]), Net: "unixgram"})
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Defer(func() { c.Close() })
	go func() {
		defer f.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			fmt.Fprintln(f, strings.TrimSuffix(string(buf[:n]), "\n"))
		}
	}()
}

// scriptOf says which script shows what an option does, for each of both kinds
// of programs.
var scriptOf = map[string]map[string]string{
	"wait": {
		"--event": "event", "--help": "help", "--timeout": "timeout", "--inotify": "backends", "--fanotify": "backends",
		"--filesystem": "filesystem", "--recursive": "recursive", "--no-dereference": "no-dereference", "--monitor": "monitor",
		"--daemon": "daemon", "--outfile": "outfile", "--syslog": "syslog", "--quiet": "quiet", "--csv": "csv", "--format": "format",
		"--no-newline": "format", "--timefmt": "timefmt", "--json": "json", "--null": "null", "--fromfile": "fromfile",
		"--exclude": "exclude", "--excludei": "excludei", "--include": "include", "--includei": "includei",
	},
	"watch": {
		"--event": "watch-paths", "--help": "help", "--timeout": "watch-paths", "--inotify": "backends", "--fanotify": "backends",
		"--filesystem": "filesystem", "--recursive": "watch-paths", "--no-dereference": "watch-paths", "--verbose": "watch-verbose",
		"--zero": "watch-zero", "--ascending": "watch-sort", "--descending": "watch-sort", "--fromfile": "watch-paths",
		"--exclude": "watch-paths", "--excludei": "watch-paths", "--include": "watch-paths", "--includei": "watch-paths",
	},
}

var helpLine = regexp.MustCompile(`(?m)^\t(?:-(\w)\|)?(--[a-z-]+)`)

// Whatever --help shows has a script that uses it under each of its names.
func TestEveryInotifyOptionHasAScript(t *testing.T) {
	for _, face := range inotifyFaces {
		out, _ := exec.Command(faceOf(t, face), "--help").Output() // it ends with 1
		scripts := scriptOf[strings.TrimLeft(face, "infosty")]
		shown := helpLine.FindAllStringSubmatch(string(out), -1)
		if len(shown) == 0 {
			t.Fatalf("%s --help shows no options:\n%s", face, out)
		}
		left := maps.Clone(scripts)
		for _, m := range shown {
			short, long := m[1], m[2]
			name, known := scripts[long]
			delete(left, long)
			if !known {
				t.Errorf("%s %s: no script shows what it does", face, long)
				continue
			}
			text, err := os.ReadFile(filepath.Join(inotifyScripts, name+".txtar"))
			check(t, err)
			if !regexp.MustCompile(`\s` + long + `\b`).Match(text) {
				t.Errorf("%s %s: %s.txtar does not use it", face, long, name)
			}
			if short != "" && !regexp.MustCompile(`\s-\w*`+short).Match(text) {
				t.Errorf("%s -%s: %s.txtar does not use it", face, short, name)
			}
		}
		for _, long := range slices.Sorted(maps.Keys(left)) {
			t.Errorf("%s has no option %s any more", face, long)
		}
	}
}
