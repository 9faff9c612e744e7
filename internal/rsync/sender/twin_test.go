package sender_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/walk"
	"lockstep/internal/proof/harness"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/wire"
)

// twin is the same command line carried out twice: by rsync alone, and with this
// package as the sending side.
type twin struct {
	t     testing.TB
	dir   string // the working directory of both
	words []string
	dest  [2]string // relative to dir: rsync's and ours
	names []string  // of --files-from=-, for both

	same    harness.Comparison         // of the destinations
	prepare func(dest string)          // is called for both before the run
	check   func(run int, dest string) // and this after it
	again   func()                     // undoes what the first run did to the source
	params  func(p *sender.Params)     // completes ours
	broken  bool                       // the run fails somewhere: what was printed and made by then is left alone

	out, err [2]string
	code     [2]int
	result   sender.Result
}

// run carries both out and compares what they say, how they end and what is at
// the destinations.
func (w *twin) run() {
	w.t.Helper()
	for i, run := range []func(){w.reference, w.ours} {
		if i > 0 && w.again != nil {
			w.again()
		}
		if w.prepare != nil {
			w.prepare(filepath.Join(w.dir, w.dest[i]))
		}
		run()
		if w.check != nil {
			w.check(i, filepath.Join(w.dir, w.dest[i]))
		}
	}
	if w.broken {
		w.out[1] = w.out[0]
	}
	if w.out[0] != w.out[1] {
		w.t.Errorf("%q: output, -rsync +ours:\n%s", w.words, difference(w.out[0], w.out[1]))
	}
	if w.err[0] != w.err[1] {
		w.t.Errorf("%q: complaints, -rsync +ours:\n%s", w.words, difference(w.err[0], w.err[1]))
	}
	if w.code[0] != w.code[1] {
		w.t.Errorf("%q: rsync exits with %d, we with %d", w.words, w.code[0], w.code[1])
	}
	if w.broken {
		return
	}
	diffs, err := harness.Compare(filepath.Join(w.dir, w.dest[0]), filepath.Join(w.dir, w.dest[1]), w.same)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	for _, d := range diffs {
		w.t.Errorf("%q: %s", w.words, d)
	}
}

// difference is the lines of one text that the other does not have, or all if
// only their order differs.
func difference(a, b string) string {
	left := map[string]int{}
	for line := range strings.Lines(a) {
		left[line]++
	}
	var out strings.Builder
	for line := range strings.Lines(b) {
		if left[line]--; left[line] < 0 {
			out.WriteString("+" + line)
			left[line] = 0
		}
	}
	for line := range strings.Lines(a) {
		if left[line]--; left[line] >= 0 {
			out.WriteString("-" + line)
		}
	}
	if out.Len() == 0 {
		return a + "in another order:\n" + b
	}
	return out.String()
}

// reference is rsync alone.
func (w *twin) reference() {
	w.t.Helper()
	needRsync(w.t)
	shell := filepath.Join(w.dir, "shell")
	check(w.t.(*testing.T), os.WriteFile(shell, []byte("#!/bin/sh\nshift\nexec \"$@\"\n"), 0o755))
	cmd := exec.CommandContext(w.t.Context(), "rsync", append(slices.Clone(w.words), "host:"+w.dir+"/"+w.dest[0]+"/")...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "RSYNC_RSH="+shell)
	cmd.Stdin = strings.NewReader(strings.Join(w.names, "\n") + "\n")
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	w.code[0] = cmd.ProcessState.ExitCode()
	w.out[0], w.err[0] = w.plain(out.String(), w.dest[0]), w.plain(complaints.String(), w.dest[0])
}

// plain drops what is different from run to run, and what is not the sender's.
func (w *twin) plain(text, dest string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, w.dir+"/"+dest, "DEST"), dest, "DEST")
	var lines, scanned []string
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "rsync error: "), strings.HasPrefix(line, "rsync warning: "):
		case strings.HasPrefix(line, "sent "), strings.HasPrefix(line, "total size is "), strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, "created directory DEST"), strings.HasPrefix(line, "delta-transmission "):
		case strings.HasPrefix(line, "opening connection "), strings.HasPrefix(line, "skipping non-regular file "):
		case strings.HasPrefix(line, "rsync: connection unexpectedly closed "), strings.HasPrefix(line, "removing duplicate name "):
		case strings.HasPrefix(line, "Total bytes "), strings.HasPrefix(line, "File list "):
		case strings.HasPrefix(line, "[sender] "), strings.HasPrefix(line, "copying unsafe "), strings.HasPrefix(line, "symlink has no referent"):
			scanned = append(scanned, line) // rsync says it in the order of the disk
		default:
			lines = append(lines, line)
		}
	}
	slices.Sort(scanned)
	return strings.Join(append(lines, scanned...), "")
}

// ours is rsync with this package as the sending side.
func (w *twin) ours() {
	w.t.Helper()
	set, err := option.Parse(option.Input{Words: append(slices.Clone(w.words), w.dest[1]+"/")})
	if err != nil {
		w.t.Fatal(err)
	}
	protocol := 32
	if set.Protocol > 0 {
		protocol = set.Protocol
	}
	p := w.server(set, protocol)
	rules, deletes := w.rules(set)
	p.options(set, protocol, deletes)
	var out, complaints bytes.Buffer
	printer := output.NewPrinter(output.Config{Opt: set, Out: &out, Err: &complaints})
	p.talk = printer
	p.params.Talk = &counting{Printer: printer}
	p.params.Chmod, err = option.ParseChmod(set.Chmod, 0o022)
	check(w.t.(*testing.T), err)
	place, err := walk.OpenPlace(w.dir)
	check(w.t.(*testing.T), err)
	defer place.Close()
	job := sender.Job{Sources: &sender.Sources{Place: place, Name: w.dir, Args: set.Args[:len(set.Args)-1], Rules: rules}}
	if set.FilesFrom != "" {
		job.Sources.Names = namesOf(w.names)
	}
	if w.params != nil {
		w.params(&p.params)
	}
	if set.RemoveSourceFiles || set.RemoveSentFiles {
		p.succeeded = new(sender.Succeeded)
		p.params.Succeeded = p.succeeded
	}
	w.result, err = p.run(job)
	var fatal *sender.Error
	switch {
	case errors.As(err, &fatal):
		complaints.WriteString(fatal.Text + "\n")
		w.code[1] = fatal.Code
		p.out.Close()
		p.wait()
	case err != nil:
		w.t.Fatalf("%q: %v; rsync said %q and %q", w.words, err, p.said, p.stderr.String())
	default:
		p.wait()
		w.code[1] = p.cmd.ProcessState.ExitCode()
		if p.failed || p.params.Talk.(*counting).failed || w.result.IOError&sender.IOErrorGeneral != 0 {
			w.code[1] = 23
		} else if w.result.IOError&sender.IOErrorVanished != 0 && w.code[1] == 0 {
			w.code[1] = 24
		}
	}
	if set.Info[option.InfoStats] > 1 {
		for _, line := range w.stats(set, protocol) {
			printer.Text(wire.CodeInfo, line)
		}
	}
	printer.Close()
	complaints.WriteString(p.stderr.String())
	w.out[1], w.err[1] = w.plain(out.String(), w.dest[1]), w.plain(complaints.String(), w.dest[1])
}

// stats are the lines of --stats.
func (w *twin) stats(set *option.Set, protocol int) []string {
	r := w.result
	s := output.Stats{
		Files: r.Counts, Created: r.Created,
		Deleted:     output.Counts{Reg: r.DelStats.Files, Dir: r.DelStats.Dirs, Link: r.DelStats.Symlinks, Dev: r.DelStats.Devices, Special: r.DelStats.Specials},
		Transferred: r.Transferred, TotalSize: r.TotalSize, TransferredSize: r.TransferredSize,
		Literal: r.Literal, Matched: r.Matched, Sent: r.Written, Received: r.Read, Protocol: protocol,
	}
	return s.Lines(set)
}

// counting notices complaints that make the exit code 23.
type counting struct {
	*output.Printer
	failed bool
}

func (c *counting) Text(code wire.Code, text string) {
	c.failed = c.failed || code == wire.CodeErrorXfer
	c.Printer.Text(code, text)
}

// namesOf gives one name after the other.
func namesOf(names []string) func() (string, error) {
	return func() (string, error) {
		for len(names) > 0 {
			name := names[0]
			names = names[1:]
			if name != "" && name[0] != '#' && name[0] != ';' {
				return name, nil
			}
		}
		return "", io.EOF
	}
}

// server starts the receiving side of a command line.
func (w *twin) server(set *option.Set, protocol int) *peer {
	return launch(w.t, w.dir, append(set.PlainArgs(protocol, false), ".", w.dir+"/"+w.dest[1]+"/"))
}

// rules are those of the command line; deletes says that the server is to have
// them, too.
func (w *twin) rules(set *option.Set) (rules *filter.Rules, deletes bool) {
	w.t.Helper()
	b := filter.Builder{From0: set.From0, Read: func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(w.dir, name)) }}
	for _, f := range set.Filters {
		var err error
		switch f.Kind {
		case option.FilterRule:
			err = b.Filter(f.Value)
		case option.ExcludeRule:
			err = b.Exclude(f.Value)
		case option.IncludeRule:
			err = b.Include(f.Value)
		case option.ExcludeFrom:
			err = b.ExcludeFrom(f.Value)
		case option.IncludeFrom:
			err = b.IncludeFrom(f.Value)
		case option.ShortF:
			err = b.ShortF()
		}
		check(w.t.(*testing.T), err)
	}
	rules, err := b.Rules(filter.Implied{CVS: set.CVSExclude, OldDirs: set.OldDirs})
	check(w.t.(*testing.T), err)
	return rules, set.Delete || set.DeleteBefore || set.DeleteDuring || set.DeleteDelay || set.DeleteAfter || set.DeleteExcluded || set.PruneEmptyDirs
}

// options are those of the session with a server that was launched.
func (p *peer) options(set *option.Set, protocol int, deletes bool) {
	p.t.Helper()
	o := peerOptions{protocol: protocol, set: set, sum: set.ChecksumChoice, level: set.CompressLevel}
	if set.Compress {
		if o.compress = set.CompressChoice; o.compress == "" {
			o.compress = "auto"
		}
	}
	p.handshake(o)
	if deletes {
		p.w.Int(0)
	}
}

// forest is a working directory with much in it.
func forest(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(tempDir(t))
	check(t, err)
	plantForest(t, dir)
	return dir
}

// plantForest makes a forest of dir, whatever is left of one.
func plantForest(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"s", "t", "out", "todir"} {
		check(t, os.RemoveAll(filepath.Join(dir, name)))
	}
	for name, content := range map[string]string{
		"s/a": "a", "s/b.o": "object", "s/d/b": "b", "s/d/sub/c": "c", "s/d/sub/deep/x": "x", "s/d/sub/x.o": "o",
		"s/e/g": "g", "s/e.f": "dotted", "s/z/last": "last", "t/a": "another a", "t/d/b": "another b", "t/d/n": "n", "out/side": "outside",
	} {
		path := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte(content), 0o644))
	}
	check(t, os.Mkdir(filepath.Join(dir, "s/empty"), 0o755))
	for link, target := range map[string]string{
		"s/dangling": "nowhere", "s/todir": "d", "s/tofile": "a", "s/d/up": "../e", "s/d/far": "../../out", "s/abs": "/nowhere/else", "todir": "s/d",
	} {
		check(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	check(t, syscall.Mkfifo(filepath.Join(dir, "s/fifo"), 0o600))
	check(t, os.Link(filepath.Join(dir, "s/a"), filepath.Join(dir, "s/d/linked")))
	old := time.Unix(1_600_000_000, 0)
	check(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type()&os.ModeSymlink == 0 {
			err = os.Chtimes(path, old, old)
		}
		return err
	}))
}

var ways = [][]string{{}, {"--no-inc-recursive"}, {"--protocol=30"}, {"--protocol=29"}, {"--protocol=27"}}

// someWays is one of them, or all with SENDER_TEST_ALL.
func someWays(n int) [][]string {
	if os.Getenv("SENDER_TEST_ALL") != "" {
		return ways
	}
	n %= len(ways)
	return ways[n : n+1]
}

// eachWay runs a command line at several protocols, with and without incremental
// recursion.
func eachWay(t *testing.T, ways [][]string, w twin) {
	t.Helper()
	t.Parallel()
	for i, extra := range ways {
		w := w
		w.t, w.words = t, append(slices.Clone(extra), w.words...)
		w.dest = [2]string{fmt.Sprintf("dest-rsync-%d", i), fmt.Sprintf("dest-ours-%d", i)}
		w.same.Now = harness.Span{From: time.Now().Add(-time.Minute), To: time.Now().Add(time.Minute)}
		w.run()
		for _, d := range w.dest {
			check(t, os.RemoveAll(filepath.Join(w.dir, d)))
		}
	}
}
