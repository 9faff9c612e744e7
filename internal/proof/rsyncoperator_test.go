package proof_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/proof/harness"
	"lockstep/internal/rsync/session"
)

// operatorOptions name files and directories behind EVIL, a symlink of another
// user's to a directory. EMPTY is one to an empty directory; it makes room for a
// partial directory whoever has made it.
var operatorOptions = []string{
	"-a src/ EVIL/",
	"-a --temp-dir=EVIL src/ dst/",
	"-a --delay-updates --partial-dir=EMPTY src/ dst/",
	"-ab --backup-dir=EVIL src/ dst/",
	"-ab --backup-dir=EVIL/new src/ dst/",
	"-a --compare-dest=EVIL src/ fresh/",
	"-a --copy-dest=EVIL src/ fresh/",
	"-a --link-dest=EVIL src/ fresh/",
	"-a --log-file=EVIL/log src/ dst/",
	"-a --files-from=EVIL/list src/ dst/",
	"-a --exclude-from=EVIL/rules src/ dst/",
	"-a --include-from=EVIL/rules --exclude=* src/ dst/",
	"-a --filter=merge_EVIL/rules src/ dst/",
	"-a --write-batch=EVIL/batch src/ dst/",
	"-a --only-write-batch=EVIL/batch src/ dst/",
	"-a --read-batch=EVIL/batch dst/",
}

// operatorWorld is where they are run.
func operatorWorld(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	for name, content := range map[string]string{
		"src/a": "new content of a", "src/b/c": "content of c", "src/d": "content of d",
		"dst/a": "old a", "dst/keep": "kept", "real/a": "NEW content of a", "real/list": "a\n", "real/rules": "- d\n",
	} {
		path := filepath.Join(top, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte(content), 0o600))
	}
	check(t, exec.Command("find", top, "-exec", "touch", "-d", "2020-01-01", "{}", "+").Run())
	check(t, os.Mkdir(filepath.Join(top, "empty"), 0o755))
	for link, to := range map[string]string{"theirs": "real", "their-empty": "empty"} {
		check(t, os.Symlink(to, filepath.Join(top, link)))
		check(t, os.Lchown(filepath.Join(top, link), 65534, 65534))
	}
	return top
}

// operated is the tree below top. Of what is written with a time in it the name
// is enough.
func operated(t *testing.T, top string) string {
	t.Helper()
	var all []string
	check(t, filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(top, path)
		line := d.Type().String() + " " + name
		if d.Type().IsRegular() && !strings.Contains(name, "log") && !strings.Contains(name, "batch") {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += " " + string(content)
		}
		all = append(all, line)
		return nil
	}))
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// behind are the lines of a tree about what the symlink leads to.
func behind(tree string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(tree, "\n"), func(line string) bool { return !strings.Contains(line, " real") }), "\n")
}

// Names on the command line lead through symlinks of root's and of our own, not
// of others', unless --insecure-links says so: for each option that names
// something ours does what rsync does.
func TestOptionsLeadThroughNoSymlinkOfAnotherUser(t *testing.T) {
	needLab(t)
	needRoot(t, "links of another user")
	theirs, err := harness.RealRsync()
	check(t, err)
	binary, err := harness.Binary()
	check(t, err)
	ours := filepath.Join(t.TempDir(), "rsync")
	check(t, os.Symlink(binary, ours))
	for _, option := range operatorOptions {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			var trees []string
			for _, more := range [][]string{nil, {"--insecure-links"}} {
				do := func(program string) (code int, tree, said string) {
					top := operatorWorld(t)
					if strings.Contains(option, "--read-batch") {
						write := exec.Command(theirs, "-a", "--only-write-batch=real/batch", "src/", "dst/")
						write.Dir = top
						check(t, write.Run())
					}
					words := strings.Fields(strings.NewReplacer("EVIL", top+"/theirs", "EMPTY", top+"/their-empty").Replace(option))
					for i := range words {
						words[i] = strings.Replace(words[i], "merge_", "merge ", 1)
					}
					cmd := exec.Command(program, append(slices.Clone(more), words...)...)
					cmd.Dir = top
					var out bytes.Buffer
					cmd.Stdout, cmd.Stderr = &out, &out
					_ = cmd.Run()
					return cmd.ProcessState.ExitCode(), operated(t, top), out.String()
				}
				wantCode, wantTree, wantSaid := do(theirs)
				code, tree, said := do(ours)
				if code == wantCode && code == session.ExitFile { // how far each came is a matter of time
					tree, wantTree = behind(tree), behind(wantTree)
				}
				if code != wantCode || tree != wantTree {
					t.Errorf("%v: exit code %d, rsync's is %d\n%s\nrsync: %s\ntree:\n%s\nrsync's:\n%s", more, code, wantCode, said, wantSaid, tree, wantTree)
				}
				trees = append(trees, tree)
			}
			if trees[0] == trees[1] && strings.Contains(option, "EVIL") && !strings.Contains(option, "batch") {
				t.Errorf("the same came of both:\n%s", trees[0])
			}
		})
	}
}
