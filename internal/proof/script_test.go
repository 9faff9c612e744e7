package proof_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lockstep/internal/proof/harness"
)

// The script that people run on their content node, with both programs under
// the names that it calls. Paths, host and port apart it is theirs.
const classicScript = `#!/bin/bash
host=127.0.0.1
srcdir=%[1]s/
dst_rsync_module=%[2]s
user=%[3]s
%[4]s -mrq --timefmt '%%d/%%m/%%y %%H:%%M' --format '%%T %%w%%f%%e' -e %[5]s $srcdir \
|while read files
        do
        %[6]s -avzP --delete --progress --port=%[7]d --password-file=%[8]s $srcdir $user@$host::$dst_rsync_module &> /dev/null
        echo "${files} was rsynced" >> %[9]s 2>&1
        done
`

func TestTheClassicScriptRunsUnchanged(t *testing.T) {
	need(t, "bash")
	for _, events := range []string{"modify,delete,create,attrib", "close_write,delete,create,attrib"} {
		t.Run(events, func(t *testing.T) {
			t.Parallel()
			d := startDaemon(t, harness.DaemonConfig{})
			source, log := t.TempDir(), filepath.Join(t.TempDir(), "rsync.log")
			write(t, filepath.Join(source, "dir/old"), "old")
			script := filepath.Join(t.TempDir(), "script")
			check(t, os.WriteFile(script, fmt.Appendf(nil, classicScript, source, d.Module, harness.User, faceOf(t, "inotifywait"),
				events, faceOf(t, "rsync"), d.Port, d.PasswordFile, log), 0o755))
			p, err := harness.Start("the script", exec.Command(script), nil)
			check(t, err)
			t.Cleanup(p.End)
			lines := func() string {
				data, _ := os.ReadFile(log)
				return string(data)
			}
			n := 0
			check(t, harness.Poll(soon, "the script to be ready", func() bool {
				n++
				write(t, filepath.Join(source, fmt.Sprint("probe", n)), "x")
				return strings.Contains(lines(), "probe")
			}))
			sh(t, source, "rm -f probe*; echo new > dir/new; echo more >> dir/old; mkdir -p made/deep; echo x > made/deep/f; chmod 600 dir/new; rm dir/old")
			converge(t, source, d.Path, harness.Comparison{Munged: true, AnyTime: true})
			written := strings.Split(events, ",")[0]
			for _, want := range []string{"dir/newCREATE", "dir/new" + strings.ToUpper(written), "made/deep/fCREATE", "dir/oldDELETE", "madeCREATE,ISDIR"} {
				line := regexp.MustCompile(`(?m)^\d\d/\d\d/\d\d \d\d:\d\d ` + regexp.QuoteMeta(filepath.Join(source, want)) + `[A-Z_,]* was rsynced$`)
				check(t, harness.Poll(settled, "the log to have "+want, func() bool { return line.MatchString(lines()) }))
			}
		})
	}
}
