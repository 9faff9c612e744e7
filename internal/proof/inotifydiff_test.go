package proof_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// answer is how one run of a program ended.
type answer struct {
	code     int
	out, err string
}

// messages gathers what a program says while it runs.
type messages struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (m *messages) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.buf.Write(p)
}

func (m *messages) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.buf.String()
}

// asked is a program that runs until it ends by itself.
type asked struct {
	cmd   *exec.Cmd
	dir   string
	out   bytes.Buffer
	errs  messages
	ended chan struct{}
}

// ask starts a program in dir; its messages hold ready when it returns.
func ask(t *testing.T, dir, program string, args []string, ready string) *asked {
	t.Helper()
	a := &asked{cmd: exec.Command(program, args...), dir: dir, ended: make(chan struct{})}
	a.cmd.Dir, a.cmd.Stdout, a.cmd.Stderr = dir, &a.out, &a.errs
	check(t, a.cmd.Start())
	go func() {
		_ = a.cmd.Wait() // the state tells
		close(a.ended)
	}()
	t.Cleanup(func() { _ = a.cmd.Process.Kill() })
	check(t, harness.Poll(soon, program+" "+strings.Join(args, " ")+" is ready", func() bool {
		return strings.Contains(a.errs.String(), ready)
	}))
	return a
}

func (a *asked) answer(t *testing.T) answer {
	t.Helper()
	select {
	case <-a.ended:
	case <-time.After(soon):
		t.Fatalf("%q does not end; it said\n%s", a.cmd.Args, a.errs.String())
	}
	return answer{a.cmd.ProcessState.ExitCode(), a.out.String(), strings.ReplaceAll(a.errs.String(), a.cmd.Path, "PROGRAM")}
}

// One wait after another under Debian's inotifywait and ours: output, messages
// and exit code must be the same.
func TestInotifywaitAnswersAsDebians(t *testing.T) {
	need(t, "inotifywait")
	ours := faceOf(t, "inotifywait")
	const odd = "a \"b\", \\ \t%f\n\xff"
	for _, c := range []struct{ args, do string }{
		{"d", "touch d/new"},
		{"d/", "touch d/new"},
		{".", "touch new"},
		{"d//", "touch d/new"},
		{"d/f", "echo x >> d/f"},
		{"d/f d", "touch d/new"},
		{"d d/f -e modify", "echo x >> d/f"},
		{"link", "touch d/new"},
		{"link/", "touch d/new"},
		{"-r link", "touch d/new"},
		{"-P link -e move_self", "mv link other"},
		{"-r d -e create", "touch d/s/deep/new"},
		{"-r -e create d @d/s", "touch d/s/new; touch d/new"},
		{"-r -e create d @d/s/", "touch d/s/new; touch d/new"},
		{"-r -e create ./d @d/s", "touch d/s/new; touch d/new"},
		{"-e modify d/f", "rm d/f"},
		{"-e delete_self d/f", "rm d/f"},
		{"-e delete_self d/empty", "rmdir d/empty"},
		{"-e move_self d/f", "mv d/f d/g"},
		{"-e moved_to d", "mv d/f d/g"},
		{"-e move d", "mv d/f d/g"},
		{"-e attrib d/f", "ln d/f d/g"},
		{"-e close d", "cat d/f"},
		{"-e open d", "ls d"},
		{"-e access d/f", "cat d/f"},
		{"-e CLOSE_write,Delete d", "rm d/f"},
		{"-e create -e delete d", "rm d/f"},
		{"-e modify, d", "touch d/new"},
		{"-e all_events d", "mkdir d/new"},
		{"-e create --exclude ^d/skip d", "touch d/skip d/new"},
		{"-e create --excludei ^D/SKIP d", "touch d/skip d/new"},
		{"-e create --include new$ d", "touch d/skip d/new"},
		{"-e create --includei NEW$ d", "touch d/skip d/new"},
		{"-e create --exclude a --exclude skip d", "touch d/skip d/new"},
		{"-e create -c d", "touch ODD"},
		{"-e create --format %w|%f|%e|%-e|%%|%q|%n| d", "touch ODD"},
		{"-e create --format %w%f%0 --no-newline d", "touch ODD"},
		{"-e close_write --format %;e d", "touch d/new"},
		{"-e create --format %f% d", "touch d/new"},
		{"-e create --timefmt %Y%% --format %T,%f d", "touch d/new"},
		{"-q -e create d", "touch d/new"},
		{"-e create d nosuch", ""},
		{"-t 1 d", ""},
		{"-t1 -qe create d -- -x", ""},
		{"-e create --quiet --timeo=20 d", "touch d/new"},
		{"--ti=20 d", ""},
		{"--nosuch=3 d", ""},
		{"--recursive=3 d", ""},
		{"-x -e nosuch", ""},
		{"-d --f", ""},
		{"-e", ""},
		{"-re create d", "mkdir d/new"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(c.args)
			ready := "Watches established."
			quiet := slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "-q") || a == "--quiet" })
			if c.do == "" || quiet {
				ready = ""
			}
			var runs [2]*asked
			for i, program := range []string{"/usr/bin/inotifywait", ours} {
				dir := t.TempDir()
				sh(t, dir, "mkdir -p d/s/deep d/empty && echo text > d/f && ln -s d link")
				runs[i] = ask(t, dir, program, args, ready)
			}
			do := strings.ReplaceAll(c.do, "ODD", "'d/"+odd+"'")
			if quiet { // they say nothing when they are ready
				do = strings.Replace(do, "touch", "sleep 0.2; touch", 1)
			}
			var got [2]answer
			for i := range runs {
				sh(t, runs[i].dir, do)
				got[i] = runs[i].answer(t)
			}
			if got[0] != got[1] {
				t.Errorf("ours %+v\nDebian's %+v", got[1], got[0])
			}
		})
	}
}

// The same work counted by Debian's inotifywatch and ours.
func TestInotifywatchCountsAsDebians(t *testing.T) {
	need(t, "inotifywatch")
	ours := faceOf(t, "inotifywatch")
	commands := []string{
		"-r d", "d d/s", "-r -z d", "-r -a modify d", "-r -d close_write d", "-r -e create,delete -a total d", "-v d/f d", "-r -e move,create d @d/s",
		"-r -z -e unmount -e create d", "-r --exclude s/ d", "-rv --include new$ d", "-P link -z", "-z -e create d/empty",
	}
	var runs [][2]*asked
	for _, args := range commands {
		var pair [2]*asked
		for i, program := range []string{"/usr/bin/inotifywatch", ours} {
			dir := t.TempDir()
			sh(t, dir, "mkdir -p d/s/deep d/empty && echo text > d/f && ln -s d link")
			pair[i] = ask(t, dir, program, append([]string{"-t", "2"}, strings.Fields(args)...), "now collecting")
			sh(t, dir, "echo new > d/new; cat d/new; mv d/new d/s/new; echo more >> d/s/new; touch d/s/deep/new; rm d/s/new; echo x >> d/f")
		}
		runs = append(runs, pair)
	}
	for i, pair := range runs {
		if theirs, got := pair[0].answer(t), pair[1].answer(t); got != theirs {
			t.Errorf("%s: ours %+v\nDebian's %+v", commands[i], got, theirs)
		}
	}
}

// All kinds of events of a few directories, without -r: nothing is left out of
// the comparison, and reading the directories is seen by both.
func TestInotifywaitTellsAllKindsAsDebians(t *testing.T) {
	need(t, "inotifywait")
	root := t.TempDir()
	sh(t, root, "mkdir a b && touch a/f b/g")
	args := []string{"-m", "--format", "%w|%f %e|%c", "-e", "all_events,unmount,ignored", root, root + "/a", root + "/b/", root + "/a/f"}
	theirs, ours := startWatcher(t, "/usr/bin/inotifywait", args...), startWatcher(t, faceOf(t, "inotifywait"), args...)
	for i := range 20 {
		sh(t, root, fmt.Sprintf("cat a/f; ls a b >/dev/null; echo %[1]d > b/n%[1]d; mv b/n%[1]d a/m%[1]d; ln a/f b/l%[1]d; chmod 600 b/l%[1]d;"+
			" mkdir a/d%[1]d; mv a/d%[1]d b/; rmdir b/d%[1]d; truncate -s 9 a/m%[1]d; rm b/l%[1]d", i))
	}
	sh(t, root, "rm a/f; mv b c; rm -r a; touch the-end")
	for _, w := range []*watcher{theirs, ours} {
		check(t, harness.Poll(soon, "the last event", func() bool { return w.has("the-end CLOSE_WRITE") }))
	}
	want, got := byDirectory(theirs.all()), byDirectory(ours.all())
	for _, dir := range []string{root + "/", root + "/a/", root + "/b/", root + "/a/f"} {
		if len(want[dir]) < 20 && dir != root+"/" || !slices.Equal(want[dir], got[dir]) {
			t.Errorf("%s:\n%s\nDebian's:\n%s", filepath.Base(dir), strings.Join(got[dir], "\n"), strings.Join(want[dir], "\n"))
		}
	}
}
