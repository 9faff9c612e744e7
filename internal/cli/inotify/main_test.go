package inotify_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/cli/inotify"
)

// call runs a program to its end.
func call(t *testing.T, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = inotify.Main(args[0], args[1:], strings.NewReader(stdin), &o, &e)
	return code, o.String(), e.String()
}

func TestCommandLinesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args string // words after the program's name; DIR is a directory
		want string // on standard error
	}{
		{"inotifywait", "No files specified to watch!\n"},
		{"inotifywait --nosuch DIR", "inotifywait: unrecognized option '--nosuch'\n"},
		{"/x/inotifywait -x DIR", "/x/inotifywait: invalid option -- 'x'\n"},
		{"inotifywait DIR -e", "inotifywait: option requires an argument -- 'e'\n"},
		{"inotifywait DIR --event", "inotifywait: option '--event' requires an argument\n"},
		{"inotifywait --recursive=yes DIR", "inotifywait: option '--recursive' doesn't allow an argument\n"},
		{"inotifywait --f DIR", "inotifywait: option '--f' is ambiguous; possibilities: '--filename' '--fanotify' '--filesystem' '--format' '--fromfile'\n"},
		{"inotifywait -d --f DIR", "inotifywait: option '--f' is ambiguous; possibilities: '--filename' '--fanotify' '--filesystem' '--format' '--fromfile'\n-o must be specified with -d.\n"},
		{"inotifywait -e create,nosuch DIR", "'create,nosuch' is not a valid event!  Run with the '--help' option to see a list of events.\n"},
		{"inotifywait -t x DIR", "'x' is not a valid timeout value.\nPlease specify a long int value.\n"},
		{"inotifywait -t 0x1 DIR", "'0x1' is not a valid timeout value.\nPlease specify a long int value.\n"},
		{"inotifywait -t= DIR", "'=' is not a valid timeout value.\nPlease specify a long int value.\n"},
		{"inotifywait --timeout= DIR", "The provided value is not a valid timeout value.\nPlease specify a long int value.\n"},
		{"inotifywait -t 99999999999999999999 DIR", "Something went wrong with the timeout value you provided.\nNumerical result out of range\n"},
		{"inotifywait --fromfile a --fromfile b", "Multiple --fromfile options given.\n"},
		{"inotifywait -o a -o b", "Multiple --outfile options given.\n"},
		{"inotifywait -f DIR", "The '--filename' option no longer exists.  The option it enabled in earlier\nversions of inotifywait is now turned on by default.\n"},
		{"inotifywait --exclude a --excludei b DIR", "--exclude and --excludei cannot both be specified.\n"},
		{"inotifywait --include a --includei b DIR", "--include and --includei cannot both be specified.\n"},
		{"inotifywait --include a --exclude b DIR", "include and exclude regexp cannot both be specified.\n"},
		{"inotifywait -c --format %w DIR", "-c and --format cannot both be specified.\n"},
		{"inotifywait --no-newline DIR", "--no-newline cannot be specified without --format.\n"},
		{"inotifywait --timefmt %F DIR", "--timefmt cannot be specified without --format.\n"},
		{"inotifywait --format %T DIR", "%T is in --format string, but --timefmt was not specified.\n"},
		{"inotifywait -d DIR", "-o must be specified with -d.\n"},
		{"inotifywait -d -o DIR/nosuch DIR", "No such file or directory: DIR/nosuch\n"},
		{"inotifywait -o DIR/no/such DIR", "Failed to open output file DIR/no/such\n"},
		{"inotifywait --json -c DIR", "--json cannot be specified with -c or --format.\n"},
		{"inotifywait --format= DIR", "Something is wrong with your format string.\n"},
		{"inotifywait DIR/nosuch", "Setting up watches.\nCouldn't watch DIR/nosuch: No such file or directory\n"},
		{"inotifywait -q DIR/nosuch", "Couldn't watch DIR/nosuch: No such file or directory\n"},
		{"inotifywait -t -1 DIR", "Setting up watches.\nWatches established.\nNegative timeout specified - abort!\n"},
		{"inotifywait --fromfile DIR/nosuch", "Couldn't open DIR/nosuch: No such file or directory\nNo files specified to watch!\n"},
		{"inotifywatch -a nosuch DIR", "'nosuch' is not a valid key for sorting!\n"},
		{"inotifywatch -a move DIR", "Cannot sort by `move' event; please use `moved_from' or `moved_to'.\n"},
		{"inotifywatch -d close DIR", "Cannot sort by `close' event; please use `close_write' or `close_nowrite'.\n"},
		{"inotifywatch -a total -d total DIR", "Please specify -a or -d once only!\n"},
		{"inotifywatch -e create -a modify DIR", "Can't sort by an event which isn't being watched for!\n"},
		{"inotifywatch DIR/nosuch", "Establishing watches...\nFailed to watch DIR/nosuch: No such file or directory\n"},
		{"inotifywatch -q DIR", "inotifywatch: invalid option -- 'q'\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			words := strings.Fields(strings.ReplaceAll(c.args, "DIR", dir))
			code, out, errs := call(t, "", words...)
			if want := strings.ReplaceAll(c.want, "DIR", dir); code != 1 || out != "" || errs != want {
				t.Errorf("exit code %d, output %q, messages %q; want 1 and %q", code, out, errs, want)
			}
		})
	}
}

func TestHelpGoesToStandardOutputWithCodeOne(t *testing.T) {
	for _, name := range []string{"inotifywait", "inotifywatch", "/usr/bin/fsnotifywait", "fsnotifywatch"} {
		code, out, errs := call(t, "", name, "--help")
		if code != 1 || errs != "" || !strings.HasPrefix(out, filepath.Base(name)+" 4.23") {
			t.Errorf("%s: exit code %d, messages %q, output %.80q", name, code, errs, out)
		}
		for _, word := range []string{"Usage:", "Options:", "--recursive", "--fromfile <file>", "--excludei", "Exit status:", "Events:", "close_nowrite"} {
			if !strings.Contains(out, word) {
				t.Errorf("%s: no %q in its help", name, word)
			}
		}
	}
}

func TestAWaitThatRunsOut(t *testing.T) {
	code, out, errs := call(t, "", "inotifywait", "-t", "1", t.TempDir())
	if code != 2 || out != "" || errs != "Setting up watches.\nWatches established.\n" {
		t.Errorf("exit code %d, output %q, messages %q", code, out, errs)
	}
}

// ready calls f once the program whose messages it hears is watching.
type ready struct {
	bytes.Buffer
	mark string
	f    func()
}

func (r *ready) Write(p []byte) (int, error) {
	r.Buffer.Write(p)
	if r.f != nil && strings.Contains(r.String(), r.mark) {
		f := r.f
		r.f = nil
		f()
	}
	return len(p), nil
}

func TestTheFormsOfAnEvent(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string // DIR is the directory
	}{
		{"plain", nil, "DIR/ CREATE a b,\"c\n"},
		{"csv", []string{"-c"}, "DIR/,CREATE,\"a b,\"\"c\"\n"},
		{"format", []string{"--format", "%w|%f|%e|%c|%z%%"}, "DIR/|a b,\"c|CREATE|0|%z%\n"},
		{"names that end with NUL", []string{"--format", "%w%f%0", "--no-newline"}, "DIR/a b,\"c\x00"},
		{"null", []string{"--null"}, "DIR/ CREATE a b,\"c\x00"},
		{"only those asked for", []string{"-e", "modify,CREATE"}, "DIR/ CREATE a b,\"c\n"},
		{"excluded ones do not end the wait", []string{"--exclude", "^/.*/skipped$"}, "DIR/ CREATE a b,\"c\n"},
		{"included ones do", []string{"--includei", "A B"}, "DIR/ CREATE a b,\"c\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			var out bytes.Buffer
			make1 := func(name string) {
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
					t.Error(err)
				}
			}
			errs := &ready{mark: "established", f: func() {
				if strings.Contains(strings.Join(c.args, " "), "clude") {
					make1("skipped")
				}
				make1(`a b,"c`)
			}}
			code := inotify.Main("inotifywait", append(c.args, "-t", "20", dir), strings.NewReader(""), &out, errs)
			if want := strings.ReplaceAll(c.want, "DIR", dir); code != 0 || out.String() != want {
				t.Errorf("exit code %d, output %q, want %q; messages %q", code, &out, want, errs.String())
			}
		})
	}
}

// It does not tell when it is ready: somebody has to make files until it ends.
func TestVeryQuietSaysNothing(t *testing.T) {
	dir := t.TempDir()
	stop := make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600); err != nil {
					t.Error(err)
				}
			}
		}
	})
	code, out, errs := call(t, "", "inotifywait", "-qq", "-t", "20", dir)
	close(stop)
	busy.Wait()
	if code != 0 || out != "" || errs != "" {
		t.Errorf("exit code %d, output %q, messages %q", code, out, errs)
	}
}

func TestJSONHoldsAnyName(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	errs := &ready{mark: "established", f: func() {
		if err := os.WriteFile(filepath.Join(dir, "\xff\n"), nil, 0o600); err != nil {
			t.Error(err)
		}
	}}
	if code := inotify.Main("inotifywait", []string{"--json", "-t", "20", dir}, strings.NewReader(""), &out, errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	var ev struct {
		Time      time.Time
		Watched   string
		Name      *string
		NameBytes []byte `json:"name_bytes"`
		Events    []string
	}
	if err := json.Unmarshal(out.Bytes(), &ev); err != nil {
		t.Fatal(err)
	}
	if ev.Name != nil || string(ev.NameBytes) != "\xff\n" || ev.Watched != dir+"/" || len(ev.Events) != 1 || ev.Events[0] != "CREATE" || time.Since(ev.Time) > time.Minute {
		t.Errorf("%s is %+v", &out, ev)
	}
}

func TestStatisticsAreCountedAndSorted(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	errs := &ready{mark: "now collecting", f: func() {
		for _, f := range []string{"a/1", "b/1", "b/2", "b/3"} {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	}}
	code := inotify.Main("inotifywatch", []string{"-r", "-t", "1", "-e", "create,delete", "-d", "create", dir}, strings.NewReader(""), &out, errs)
	want := "total  create  filename\n3      3       DIR/b/\n1      1       DIR/a/\n"
	if got := strings.ReplaceAll(out.String(), dir, "DIR"); code != 0 || got != want {
		t.Errorf("exit code %d, table:\n%swant:\n%s", code, got, want)
	}
	if want := "Establishing watches...\nFinished establishing watches, now collecting statistics.\n"; errs.String() != want {
		t.Errorf("messages %q, want %q", errs.String(), want)
	}
}

func TestStatisticsOfNothing(t *testing.T) {
	code, out, errs := call(t, "", "inotifywatch", "-t", "1", t.TempDir())
	if code != 0 || out != "" || !strings.HasSuffix(errs, "No events occurred.\n") {
		t.Errorf("exit code %d, output %q, messages %q", code, out, errs)
	}
}

func TestASecondInterruptionEndsTheSetUp(t *testing.T) {
	var errs bytes.Buffer
	signals := make(chan os.Signal, 3)
	stop := inotify.Interruption(&errs, signals)
	if err := stop(); err != nil || errs.Len() > 0 {
		t.Fatalf("without a signal: %v, %s", err, &errs)
	}
	signals <- syscall.SIGINT
	first := "No statistics have been collected because I haven't finished establishing\ninotify watches yet.  If you are sure you want me to exit, interrupt me again.\n"
	if err := stop(); err != nil || errs.String() != first {
		t.Fatalf("after one: %v, %q", err, &errs)
	}
	signals <- syscall.SIGUSR1
	signals <- syscall.SIGINT
	if err := stop(); err == nil || err.Error() != "No statistics collected, asked to abort before all watches could be established." {
		t.Fatalf("after two: %v", err)
	}
}

// writes keeps what each call of Write got.
type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}

// Several programs may write to one pipe or file: what pipe(7) keeps together
// must be whole lines.
func TestOutputIsWrittenInWholeLines(t *testing.T) {
	const files = 500
	dir := t.TempDir()
	var out writes
	errs := &ready{mark: "established", f: func() {
		for i := range files {
			if err := os.WriteFile(filepath.Join(dir, strings.Repeat("n", i%200)+strconv.Itoa(i)), nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	}}
	if code := inotify.Main("inotifywait", []string{"-m", "-t", "1", "-e", "create", dir}, strings.NewReader(""), &out, errs); code != 2 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	lines := 0
	for _, w := range out {
		lines += strings.Count(w, "\n")
		if len(w) > 4096 || !strings.HasSuffix(w, "\n") {
			t.Errorf("%d bytes were written at once, the last of them %q", len(w), w[max(0, len(w)-20):])
		}
	}
	if lines != files || len(out) > files/4 {
		t.Errorf("%d lines in %d pieces, want %d lines in few", lines, len(out), files)
	}
}

func TestPathsFromAFile(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"a", "b"} {
		if err := os.MkdirAll(filepath.Join(dir, sub, "deep"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	list := dir + "/a\n\n@" + dir + "/a/deep\n"
	var out bytes.Buffer
	errs := &ready{mark: "now collecting", f: func() {
		for _, f := range []string{"a/1", "a/deep/1", "b/1"} {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	}}
	code := inotify.Main("inotifywatch", []string{"-rz", "-t", "1", "-e", "create", "--fromfile", "-", dir + "/b"}, strings.NewReader(list), &out, errs)
	got := regexp.MustCompile(`(?m)^\d.*$`).FindAllString(strings.ReplaceAll(out.String(), dir, "DIR"), -1)
	if want := "1      1       DIR/a/|1      1       DIR/b/|0      0       DIR/b/deep/"; code != 0 || strings.Join(got, "|") != want {
		t.Errorf("exit code %d, rows %q, want %q", code, got, want)
	}
}
