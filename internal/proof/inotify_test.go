package proof_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// faceOf is the binary under the name of a program that it stands in for.
func faceOf(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	check(t, os.Symlink(binary(t), path))
	return path
}

// watcher is a running inotifywait.
type watcher struct {
	*harness.Process
	mu    sync.Mutex
	lines []string
}

func startWatcher(t *testing.T, program string, args ...string) *watcher {
	t.Helper()
	w := &watcher{}
	p, err := harness.Start(filepath.Base(filepath.Dir(program)), exec.Command(program, args...), func(line string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lines = append(w.lines, line)
	})
	check(t, err)
	w.Process = p
	t.Cleanup(func() {
		p.End()
		if t.Failed() {
			t.Log(p.Tail(60))
		}
	})
	check(t, harness.Poll(soon, program+" is watching", func() bool { return strings.Contains(p.Tail(50), "Watches established") }))
	return w
}

func (w *watcher) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lines)
}

func (w *watcher) has(text string) bool {
	return slices.ContainsFunc(w.all(), func(line string) bool { return strings.Contains(line, text) })
}

// merged are the events that can follow each other for one name: the kernel
// merges those that are not read at once.
var merged = regexp.MustCompile(` (MODIFY|ATTRIB|CLOSE_WRITE,CLOSE|ACCESS|DELETE_SELF|MOVE_SELF)(,ISDIR)? 0$`)

// byDirectory groups lines by what was watched, with cookies numbered in the
// order in which they come. Probes are left out, and repetitions of what the
// kernel may have merged.
func byDirectory(lines []string) map[string][]string {
	dirs := map[string][]string{}
	cookies := map[string]int{"0": 0}
	for _, line := range lines {
		watched, rest, _ := strings.Cut(line, "|")
		event, cookie, _ := strings.Cut(rest, "|")
		if strings.Contains(line, "probe") {
			continue
		}
		if _, known := cookies[cookie]; !known {
			cookies[cookie] = len(cookies)
		}
		event = fmt.Sprint(event, " ", cookies[cookie])
		told := dirs[watched]
		if len(told) > 0 && told[len(told)-1] == event && merged.MatchString(event) {
			continue
		}
		dirs[watched] = append(told, event)
	}
	return dirs
}

// The same random operations under Debian's inotifywait and ours: the same
// events in each directory, with cookies that pair the same.
func TestInotifywaitTellsWhatDebiansTells(t *testing.T) {
	need(t, "inotifywait")
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for _, d := range []string{"a/x", "a/y", "b", "c/z/deep"} {
				check(t, os.MkdirAll(filepath.Join(root, d), 0o755))
			}
			args := []string{"-m", "-r", "--format", "%w|%f %e|%c", root,
				"-e", "modify,attrib,close_write,move,create,delete,delete_self,move_self"}
			theirs, ours := startWatcher(t, "/usr/bin/inotifywait", args...), startWatcher(t, faceOf(t, "inotifywait"), args...)
			d := &driver{t: t, root: root, rng: rand.New(rand.NewPCG(seed, 7)), theirs: theirs, ours: ours}
			for range 120 {
				d.step()
			}
			write(t, filepath.Join(root, "the-end"), "")
			for _, w := range []*watcher{theirs, ours} {
				check(t, harness.Poll(soon, "the last event", func() bool { return w.has("the-end CLOSE_WRITE") }))
			}
			want, got := byDirectory(theirs.all()), byDirectory(ours.all())
			for dir := range want {
				if !slices.Equal(want[dir], got[dir]) {
					t.Errorf("%s:\n%s\nDebian's:\n%s", dir, strings.Join(got[dir], "\n"), strings.Join(want[dir], "\n"))
				}
			}
			for dir := range got {
				if want[dir] == nil {
					t.Errorf("%s: only ours tells %q", dir, got[dir])
				}
			}
		})
	}
}

// driver does random operations below root.
type driver struct {
	t            *testing.T
	root         string
	rng          *rand.Rand
	theirs, ours *watcher
	serial       int
}

// pick is one of the directories, or of the other names.
func (d *driver) pick(dirs bool) string {
	var names []string
	err := filepath.WalkDir(d.root, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() == dirs && path != d.root {
			names = append(names, path)
		}
		return err
	})
	check(d.t, err)
	if len(names) == 0 {
		return ""
	}
	return names[d.rng.IntN(len(names))]
}

func (d *driver) fresh(dir string) string {
	d.serial++
	return filepath.Join(dir, fmt.Sprint("n", d.serial))
}

// probe waits until both watch directory dir, which Debian's only begins to
// after it has told of it.
func (d *driver) probe(dir string) {
	d.t.Helper()
	for _, w := range []*watcher{d.theirs, d.ours} {
		check(d.t, harness.Poll(soon, "a new directory is watched", func() bool {
			write(d.t, filepath.Join(dir, "probe"), "")
			return w.has(dir + "/|probe")
		}))
	}
	check(d.t, os.Remove(filepath.Join(dir, "probe")))
}

func (d *driver) step() {
	dir, file := d.pick(true), d.pick(false)
	if dir == "" {
		dir = d.root
	}
	switch n := d.rng.IntN(12); {
	case n < 3 || file == "":
		write(d.t, d.fresh(dir), "x")
	case n == 3:
		write(d.t, file, "more")
	case n == 4:
		check(d.t, os.Remove(file))
	case n == 5:
		check(d.t, os.Rename(file, d.fresh(dir)))
	case n == 6:
		_ = os.Chmod(file, 0o600) // fails for some symlinks
	case n == 7:
		check(d.t, os.Link(file, d.fresh(dir)))
	case n == 8:
		check(d.t, os.Symlink("x", d.fresh(dir)))
	case n == 9:
		sub := d.fresh(dir)
		check(d.t, os.Mkdir(sub, 0o755))
		d.probe(sub)
	case n == 10:
		// Of what is below a moved directory Debian's goes on telling the old
		// path when another move has come before.
		entries, err := os.ReadDir(dir)
		check(d.t, err)
		if dir == d.root || slices.ContainsFunc(entries, os.DirEntry.IsDir) {
			return
		}
		to := d.fresh(d.root)
		check(d.t, os.Rename(dir, to))
		d.probe(to)
	default:
		_ = os.Remove(dir) // only if it is empty
	}
}

// What appears in a new directory before it can be watched is told all the
// same, and once.
func TestInotifywaitMissesNothingInNewDirectories(t *testing.T) {
	root := t.TempDir()
	w := startWatcher(t, faceOf(t, "inotifywait"), "-m", "-r", "-e", "create", "--format", "%w%f", root)
	const trees = 40
	for i := range trees {
		sh(t, root, fmt.Sprintf("mkdir -p t%[1]d/a/b && touch t%[1]d/f t%[1]d/a/f t%[1]d/a/b/f", i))
	}
	write(t, filepath.Join(root, "the-end"), "")
	check(t, harness.Poll(soon, "the last event", func() bool { return w.has("the-end") }))
	seen := map[string]int{}
	for _, line := range w.all() {
		seen[line]++
	}
	for i := range trees {
		for _, name := range []string{"", "/a", "/a/b", "/f", "/a/f", "/a/b/f"} {
			if path := fmt.Sprint(root, "/t", i, name); seen[path] != 1 {
				t.Errorf("%s was told %d times", path, seen[path])
			}
		}
	}
}

// A script that only asks for closed files misses none in new directories, and
// hears of each once.
func TestInotifywaitTellsOfCompleteFilesInNewDirectories(t *testing.T) {
	root := t.TempDir()
	w := startWatcher(t, faceOf(t, "inotifywait"), "-m", "-r", "-e", "close_write,moved_to", "--format", "%w%f", root)
	const trees = 40
	for i := range trees {
		dir := filepath.Join(root, fmt.Sprint("t", i))
		check(t, os.MkdirAll(dir+"/a", 0o755))
		write(t, dir+"/f", "x")
		write(t, dir+"/a/f", "x")
	}
	held, err := os.Create(filepath.Join(root, "t0/held"))
	check(t, err)
	write(t, filepath.Join(root, "the-end"), "")
	check(t, harness.Poll(soon, "the last event", func() bool { return w.has("/the-end") }))
	if w.has("/held") {
		t.Error("a file that is being written was told as closed")
	}
	check(t, held.Close())
	check(t, harness.Poll(soon, "the end of a file that is being written", func() bool { return w.has("/held") }))
	seen := map[string]int{}
	for _, line := range w.all() {
		seen[line]++
	}
	for i := range trees {
		for _, name := range []string{"/f", "/a/f"} {
			if path := fmt.Sprint(root, "/t", i, name); seen[path] != 1 {
				t.Errorf("%s was told %d times", path, seen[path])
			}
		}
	}
}

// A new directory that takes in one that is watched already: whichever record
// comes first, it is watched on, under its new path.
func TestInotifywaitFindsMovedDirectoriesInNewOnes(t *testing.T) {
	root := t.TempDir()
	const trees = 40
	for i := range trees {
		check(t, os.MkdirAll(filepath.Join(root, fmt.Sprint("old", i), "deep"), 0o755))
	}
	w := startWatcher(t, faceOf(t, "inotifywait"), "-m", "-r", "-e", "create", "--format", "%w%f", root)
	for i := range trees {
		dir := filepath.Join(root, fmt.Sprint("new", i))
		check(t, os.Mkdir(dir, 0o755))
		check(t, os.Rename(filepath.Join(root, fmt.Sprint("old", i)), dir+"/moved"))
	}
	write(t, filepath.Join(root, "the-end"), "")
	check(t, harness.Poll(soon, "the last event", func() bool { return w.has("/the-end") }))
	for i := range trees {
		file := filepath.Join(root, fmt.Sprint("new", i), "moved/deep/f")
		write(t, file, "")
		check(t, harness.Poll(soon, "an event under the new path", func() bool { return w.has(file) }))
	}
}

// When watches run out the message names the limit, how many are needed, and
// the command that helps.
func TestInotifywaitSaysWhichLimitIsInTheWay(t *testing.T) {
	root := t.TempDir()
	for i := range 9 {
		check(t, os.MkdirAll(filepath.Join(root, fmt.Sprint("d", i), "e"), 0o755))
	}
	check(t, os.MkdirAll(filepath.Join(root, "skipped/a/b"), 0o755))
	for _, name := range []string{"inotifywait", "inotifywatch"} {
		args := append(harness.WatchLimit(5), faceOf(t, name), "-r", root, "@"+root+"/skipped")
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if strings.Contains(string(out), "unshare") {
			t.Skipf("no user namespace to be had: %s", out)
		}
		_, text, _ := strings.Cut(string(out), "\n")
		want := "Failed to watch " + root + "; upper limit on inotify watches reached!\n" +
			"Please increase the amount of inotify watches allowed per user via `/proc/sys/fs/inotify/max_user_watches'.\n" +
			"19 directories are to be watched and user.max_inotify_watches is 5; run: sysctl user.max_inotify_watches=1024\n"
		if err == nil || text != want {
			t.Errorf("%s: %v, said\n%swant\n%s", name, err, text, want)
		}
	}
	// Later on it goes on with what it has.
	inside := t.TempDir()
	args := append(harness.WatchLimit(2), faceOf(t, "inotifywait"), "-m", "-r", "-e", "create", "--format", "%w%f", inside)
	w := startWatcher(t, args[0], args[1:]...)
	check(t, os.Mkdir(filepath.Join(inside, "one"), 0o755))
	check(t, harness.Poll(soon, "the directory", func() bool { return w.has("/one") }))
	check(t, os.Mkdir(filepath.Join(inside, "two"), 0o755))
	check(t, harness.Poll(soon, "the message", func() bool {
		return strings.Contains(w.Tail(20), "Couldn't watch new directory "+inside+"/two/: No space left on device") &&
			strings.Contains(w.Tail(20), "user.max_inotify_watches is 2; run: sysctl user.max_inotify_watches=1024")
	}))
	write(t, filepath.Join(inside, "one/f"), "")
	check(t, harness.Poll(soon, "an event in what is watched", func() bool { return w.has("/one/f") }))
}

// A directory that is moved keeps being watched, under its new path; one that
// leaves is not watched any more, with all below it.
func TestInotifywaitFollowsMovedDirectories(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	check(t, os.MkdirAll(filepath.Join(root, "a/b/c"), 0o755))
	check(t, os.Mkdir(filepath.Join(root, "d"), 0o755))
	w := startWatcher(t, faceOf(t, "inotifywait"), "-m", "-r", "-e", "create", "--format", "%w%f", root)
	sh(t, root, "mv a/b d/moved && touch d/moved/c/one && mv d/moved "+outside+"/gone")
	check(t, harness.Poll(soon, "the event below the new path", func() bool { return w.has("/d/moved/c/one") }))
	check(t, harness.Poll(soon, "the watch to end", func() bool {
		before := len(w.all())
		probe := filepath.Join(outside, "gone/c", fmt.Sprint("probe", before))
		sentinel := filepath.Join(root, fmt.Sprint("sentinel", time.Now().UnixNano()))
		write(t, probe, "")
		check(t, os.Remove(probe))
		write(t, sentinel, "")
		check(t, harness.Poll(soon, "an event", func() bool { return w.has(filepath.Base(sentinel)) }))
		return len(w.all()) == before+1
	}))
}

// Events that the kernel dropped are never passed over in silence, and what
// was made meanwhile is watched afterwards.
func TestInotifywaitTellsOfLostEvents(t *testing.T) {
	needRoot(t, "to lower the queue limit")
	root := t.TempDir()
	var w *watcher
	check(t, harness.WithQueueLimit(8, func() error {
		w = startWatcher(t, faceOf(t, "inotifywait"), "-m", "-r", "-e", "create", "--format", "%w%f %e", root)
		return nil
	}))
	check(t, harness.Poll(soon, "the queue to overflow", func() bool {
		check(t, w.Signal(syscall.SIGSTOP))
		for i := range 50 {
			dir := filepath.Join(root, fmt.Sprint("d", time.Now().UnixNano(), i))
			check(t, os.Mkdir(dir, 0o755))
		}
		check(t, w.Signal(syscall.SIGCONT))
		return w.has("Q_OVERFLOW")
	}))
	check(t, harness.Poll(soon, "the message", func() bool { return strings.Contains(w.Tail(100), "err: Events were lost") }))
	dirs, err := filepath.Glob(root + "/d*")
	check(t, err)
	for _, dir := range []string{dirs[0], dirs[len(dirs)-1]} {
		n := 0
		check(t, harness.Poll(soon, "a directory that was made meanwhile is watched", func() bool {
			n++
			write(t, filepath.Join(dir, fmt.Sprint("f", n)), "")
			return w.has(dir + "/f")
		}))
	}
}

func TestInotifywaitInTheBackground(t *testing.T) {
	root, out := t.TempDir(), filepath.Join(t.TempDir(), "events")
	write(t, out, "")
	cmd := exec.Command(faceOf(t, "inotifywait"), "-d", "-o", out, "-t", "60", "-e", "create", "--format", "%f", root)
	text, err := cmd.CombinedOutput()
	if err != nil || len(text) > 0 {
		t.Fatalf("%v: %s", err, text)
	}
	n := 0
	check(t, harness.Poll(soon, "an event in the file", func() bool {
		n++
		write(t, filepath.Join(root, fmt.Sprint("f", n)), "")
		data, err := os.ReadFile(out)
		return err == nil && strings.Contains(string(data), "f")
	}))
	pid := background(t, out)
	check(t, syscall.Kill(pid, syscall.SIGTERM))
}

// background is the process that writes to path.
func background(t *testing.T, path string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/1")
	check(t, err)
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == path {
			var pid int
			if _, err := fmt.Sscanf(link, "/proc/%d/", &pid); err == nil && pid != os.Getpid() {
				return pid
			}
		}
	}
	t.Fatalf("nobody writes to %s", path)
	return 0
}

func TestFsnotifywaitSeesAWholeFileSystem(t *testing.T) {
	needRoot(t, "fanotify")
	root := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(root, "deep/er"), 0o755))
	for _, args := range [][]string{{"-S"}, {"-r"}} {
		w := startWatcher(t, faceOf(t, "fsnotifywait"), append(args, "-m", "-e", "create,close_write", "--format", "%w%f %e", root)...)
		name := fmt.Sprint("file", args[0])
		write(t, filepath.Join(root, "deep/er", name), "x")
		check(t, harness.Poll(soon, "the event", func() bool { return w.has(root + "/deep/er/" + name + " ") }))
		w.End()
	}
}
