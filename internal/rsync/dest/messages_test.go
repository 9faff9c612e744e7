package dest_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/option"
)

type messageCase struct {
	name   string
	args   string // of rsync
	set    func(*option.Set)
	single string // the one source in s/; "" is s/ itself
	dst    string // the destination argument
	setup  string
	root   bool
}

var messageCases = []messageCase{
	{name: "a directory that is there", dst: "d", setup: "mkdir d"},
	{name: "a directory to be made", dst: "d"},
	{name: "a directory with a slash to be made", dst: "d/"},
	{name: "a directory whose parent is missing", dst: "no/d/"},
	{name: "a file in a missing directory", single: "a", dst: "no/a"},
	{name: "a file under another name", single: "a", dst: "b"},
	{name: "a file into a directory to be made", single: "a", dst: "b/"},
	{name: "a file over a directory that is missing its slash", single: "a", dst: "d", setup: "mkdir d"},
	{name: "something below a file", single: "a", dst: "s/a/b"},
	{name: "a file with a slash", single: "a", dst: "s/a/"},
	{name: "several to a file", dst: "s/a"},
	{name: "a directory over a file", args: "-d", single: "dir", dst: "s/a"},
	{name: "an empty directory under another name", args: "-d", single: "dir", dst: "new"},
	{name: "a symlink to a directory", dst: "l", setup: "mkdir d; ln -s d l"},
	{name: "a symlink of another user", dst: "l", setup: "mkdir d; ln -s d l; chown -h 65534 l", root: true},
	{name: "the same with a slash", dst: "l/", setup: "mkdir d; ln -s d l; chown -h 65534 l", root: true},
	{name: "the same insecurely", args: "--insecure-links", set: func(o *option.Set) { o.InsecureLinks = true }, dst: "l",
		setup: "mkdir d; ln -s d l; chown -h 65534 l", root: true},
	{name: "a destination that --confine-root does not hold", args: "--confine-root=/etc",
		set: func(o *option.Set) { o.ConfineRoot = "/etc" }, dst: "d/"},
	{name: "a dangling symlink of another user", dst: "l/", setup: "ln -s no l; chown -h 65534 l", root: true},
	{name: "a file in place of one", single: "a", dst: "l", setup: "ln -s no l; chown -h 65534 l", root: true},
	{name: "a directory below one", dst: "l/x", setup: "ln -s no l; chown -h 65534 l", root: true},
	{name: "a file below one", single: "a", dst: "l/x", setup: "ln -s no l; chown -h 65534 l", root: true},
	{name: "mkpath of one", args: "--mkpath", set: func(o *option.Set) { o.MkPath = true }, dst: "l/",
		setup: "ln -s no l; chown -h 65534 l", root: true},
	{name: "mkpath below one", args: "--mkpath", set: func(o *option.Set) { o.MkPath = true }, dst: "l/x/",
		setup: "ln -s no l; chown -h 65534 l", root: true},
	{name: "several to a file behind a symlink of another user", dst: "l", setup: "ln -s s/a l; chown -h 65534 l", root: true},
	{name: "a symlink of another user to itself", dst: "l", setup: "ln -s l l; chown -h 65534 l", root: true},
	{name: "a new file behind a symlink of another user", single: "a", dst: "l/x", setup: "mkdir d; ln -s d l; chown -h 65534 l", root: true},
	{name: "a temporary directory that is a symlink of another user to a file", args: "-T ../l", set: func(o *option.Set) { o.TempDir = "../l" },
		dst: "d", setup: "mkdir d; ln -s s/a l; chown -h 65534 l", root: true},
	{name: "one to nothing", args: "-T ../l", set: func(o *option.Set) { o.TempDir = "../l" },
		dst: "d", setup: "mkdir d; ln -s no l; chown -h 65534 l", root: true},
	{name: "a dangling symlink", dst: "l", setup: "ln -s no l"},
	{name: "a dangling symlink for a file", single: "a", dst: "l", setup: "ln -s no l"},
	{name: "mkpath", args: "--mkpath", set: func(o *option.Set) { o.MkPath = true }, dst: "x/y/z"},
	{name: "mkpath for a file", args: "--mkpath", set: func(o *option.Set) { o.MkPath = true }, single: "a", dst: "x/y/z"},
	{name: "mkpath for a file without directories", args: "--mkpath", set: func(o *option.Set) { o.MkPath = true }, single: "a", dst: "z"},
	{name: "mkpath for a file with a slash", args: "--mkpath", set: func(o *option.Set) { o.MkPath = true }, single: "a", dst: "x/y/"},
	{name: "mkpath through a file", args: "--mkpath", set: func(o *option.Set) { o.MkPath = true }, single: "a", dst: "s/a/b/c"},
	{name: "mkpath of one directory", args: "--mkpath", set: func(o *option.Set) { o.MkPath = true }, dst: "d/z", setup: "mkdir d"},
	{name: "mkpath in a dry run", args: "-n --mkpath", set: func(o *option.Set) { o.MkPath, o.DryRun = true, true }, dst: "x/y/z"},
	{name: "mkpath of a file", args: "--mkpath", set: func(o *option.Set) { o.MkPath = true }, dst: "s/a/"},
	{name: "mkpath of a file in a dry run", args: "-n --mkpath", set: func(o *option.Set) { o.MkPath, o.DryRun = true, true }, dst: "s/a/"},
	{name: "mkpath for a file below a file", args: "--mkpath", set: func(o *option.Set) { o.MkPath = true }, single: "a", dst: "s/a/b"},
	{name: "mkpath for a file in a dry run", args: "-n --mkpath", set: func(o *option.Set) { o.MkPath, o.DryRun = true, true }, single: "a", dst: "x/y/z"},
	{name: "mkpath of a symlink to itself", args: "--mkpath", set: func(o *option.Set) { o.MkPath = true }, dst: "l/", setup: "ln -s l l"},
	{name: "mkpath through a symlink to itself", args: "--mkpath", set: func(o *option.Set) { o.MkPath = true }, dst: "l/x/", setup: "ln -s l l"},
	{name: "a symlink to itself", dst: "l", setup: "ln -s l l"},
	{name: "a symlink to itself with a slash", single: "a", dst: "l/", setup: "ln -s l l"},
	{name: "a dry run into nothing", args: "-n", set: func(o *option.Set) { o.DryRun = true }, dst: "d"},
	{name: "a dry run of a file into nothing", args: "-n", set: func(o *option.Set) { o.DryRun = true }, single: "a", dst: "no/b"},
	{name: "a temporary directory that is missing", args: "-T no", set: func(o *option.Set) { o.TempDir = "no" }, dst: "d", setup: "mkdir d"},
	{name: "a temporary directory that is none", args: "-T ../s/a", set: func(o *option.Set) { o.TempDir = "../s/a" }, dst: "d", setup: "mkdir d"},
	{name: "alternate directories that are missing", args: "--link-dest=no --link-dest=../s/a",
		set: func(o *option.Set) { o.LinkDest = []string{"no", "../s/a"} }, dst: "d", setup: "mkdir d"},
	{name: "a symlink of another user in an alternate directory", args: "--link-dest=../alt", set: func(o *option.Set) { o.LinkDest = []string{"../alt"} },
		dst: "d", setup: "mkdir alt; echo 1 > s/dir/y; ln -s ../s/dir alt/dir; chown -h 65534 alt/dir", root: true},
	{name: "backups in a new directory", args: "-b --backup-dir=../b --info=backup", set: backupDir, dst: "d",
		setup: "mkdir -p d/dir; echo old > d/a; echo old > d/dir/x"},
	{name: "a backup directory that is none", args: "-b --backup-dir=../s/a", set: func(o *option.Set) { o.Backup, o.BackupDir, o.Suffix = true, "../s/a", "" },
		dst: "d", setup: "mkdir d"},
	{name: "backups in a directory that is there", args: "-b --backup-dir=../b --info=backup", set: backupDir, dst: "d", setup: "mkdir -p d b; echo old > d/a"},
	{name: "backups in a dry run", args: "-nb --backup-dir=../b --info=backup --delete",
		set: func(o *option.Set) { backupDir(o); o.DryRun, o.Delete = true, true }, dst: "d", setup: "mkdir -p d/gone; echo old > d/gone/1; ln -s old d/l; ln -s new s/l"},
	{name: "a directory where a backup goes", args: "-b --backup-dir=../b --info=backup --delete",
		set: func(o *option.Set) { backupDir(o); o.Delete = true }, dst: "d", setup: "mkdir -p d b/gone/x; touch d/gone"},
	{name: "a directory with entries where a backup goes", args: "-b --info=backup", set: func(o *option.Set) { o.Backup, o.Info[option.InfoBackup] = true, 1 },
		dst: "d", setup: "mkdir -p d/a~/x; touch d/a~/x/f; echo the old one > d/a"},
	{name: "deletions", args: "--delete", set: func(o *option.Set) { o.Delete = true }, dst: "d", setup: "mkdir -p d/p/q/r; touch d/p/q/1 d/p/q/r/2 d/3; mkfifo d/4"},
	{name: "limited deletions", args: "--delete --max-delete=1", set: func(o *option.Set) { o.Delete, o.MaxDelete = true, 1 }, dst: "d",
		setup: "mkdir -p d/a/b/c; touch d/a/b/c/p d/a/b/q d/a/r; rm s/a"},
	{name: "no deletions at all", args: "--delete --max-delete=0", set: func(o *option.Set) { o.Delete, o.MaxDelete = true, 0 }, dst: "d",
		setup: "mkdir -p d/a/b/c; touch d/a/b/c/p d/a/b/q d/a/r; rm s/a"},
	{name: "limited deletions in a dry run", args: "-n --delete --max-delete=3", set: func(o *option.Set) { o.Delete, o.MaxDelete, o.DryRun = true, 3, true }, dst: "d",
		setup: "mkdir -p d/a/b/c; touch d/a/b/c/p d/a/b/q d/a/r; rm s/a"},
	{name: "a directory in the way of a file", dst: "d", setup: "mkdir -p d/a/x"},
	{name: "a directory in the way of a fifo", dst: "d", setup: "mkfifo s/f; mkdir -p d/f/x"},
	{name: "a directory in the way of a symlink", dst: "d", setup: "ln -s x s/f; mkdir -p d/f/x"},
	{name: "a directory in the way with force", args: "--force", set: func(o *option.Set) { o.Force = true }, dst: "d", setup: "mkdir -p d/a/x; touch d/a/x/1"},
	{name: "room made within a limit", args: "--delete --max-delete=1", set: func(o *option.Set) { o.Delete, o.MaxDelete = true, 1 }, dst: "d",
		setup: "mkdir -p d/a/x d/a/y; touch d/a/x/1 d/a/y/2"},
	{name: "an empty directory in the way", dst: "d", setup: "mkdir -p d/a"},
}

func backupDir(o *option.Set) {
	o.Backup, o.BackupDir, o.Suffix = true, "../b", ""
	o.Info[option.InfoBackup] = 1
}

var random = regexp.MustCompile(`\.[A-Za-z0-9]{6}"`)

// TestMessagesAreThoseOfRsync compares what is said, and the exit code of what
// ends the run.
func TestMessagesAreThoseOfRsync(t *testing.T) {
	needs(t, "rsync")
	for _, c := range messageCases {
		t.Run(c.name, func(t *testing.T) {
			if c.root {
				needsRoot(t)
			}
			t.Parallel()
			w := filepath.Join(t.TempDir(), "w")
			run := func(f func() int) (code int) {
				must(t, os.Mkdir(w, 0o755))
				shell(t, w, "mkdir -p s/dir; echo hello > s/a; echo x > s/dir/x;"+c.setup)
				code = f()
				must(t, os.RemoveAll(w))
				return code
			}
			var ours, theirs []string
			ourCode := run(func() (code int) {
				ours, code = c.ours(t, w)
				return code
			})
			theirCode := run(func() (code int) {
				source := "s/" + c.single
				words := append(strings.Fields("-rlptgoDi "+c.args), source, c.dst)
				if c.args == "-d" {
					words[0] = "-lptgoDi"
				}
				cmd := exec.Command("rsync", words...)
				cmd.Dir = w
				said, err := cmd.CombinedOutput()
				if exit := new(exec.ExitError); errors.As(err, &exit) {
					code = exit.ExitCode()
				}
				theirs = telling(strings.Split(string(said), "\n"))
				return code
			})
			if ourCode != theirCode && (ourCode != 0 || theirCode != 23 && theirCode != 25) {
				t.Errorf("exit code %d, of rsync %d", ourCode, theirCode)
			}
			if !slices.Equal(ours, theirs) {
				t.Errorf("we said:\n%s\nrsync said:\n%s", strings.Join(ours, "\n"), strings.Join(theirs, "\n"))
			}
		})
	}
}

// telling are the lines to be compared, in order.
func telling(lines []string) []string {
	said := regexp.MustCompile(`^(\*deleting|cannot |could not|backed up|backup_dir|\(new\) backup_dir|created|rsync: \[|ERROR|refusing|--|The |mount)`)
	var out []string
	for _, l := range lines {
		if said.MatchString(l) {
			out = append(out, random.ReplaceAllString(l, `.XXXXXX"`))
		}
	}
	slices.Sort(out)
	return out
}

func (c messageCase) ours(t *testing.T, w string) ([]string, int) {
	opt := options()
	archive(opt)
	opt.Itemize = 1
	if c.set != nil {
		c.set(opt)
	}
	e, err := newEngine(t, opt, w, "s", c.dst, c.single)
	if err == nil {
		err = e.run()
	}
	code, lines := 0, e.talk.lines
	if fatal := new(dest.Error); errors.As(err, &fatal) {
		code = fatal.ExitCode()
		lines = append(lines, fatal.Error())
	}
	return telling(lines), code
}
