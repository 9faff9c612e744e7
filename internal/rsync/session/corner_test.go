package session_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/session"
)

// asServer makes the test binary the server of a remote shell.
const asServer = "SESSION_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) == "" {
		os.Exit(m.Run())
	}
	opt, err := option.Parse(option.Input{Words: os.Args[1:], Getenv: os.Getenv})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(session.ExitSyntax)
	}
	s := session.Server{Opt: opt, Words: os.Args[1:], In: os.Stdin, Out: os.Stdout, Stderr: os.Stderr}
	_, err = s.Run(context.Background())
	os.Exit(session.ExitCode(err))
}

// corner is which of the two ends of a transfer are ours.
type corner struct{ client, server bool }

func (c corner) String() string {
	who := map[bool]string{true: "ours", false: "theirs"}
	return who[c.client] + " to " + who[c.server]
}

var corners = []corner{{false, true}, {true, false}, {true, true}}

// shell is a remote shell that runs the command here, in a directory of its own.
func shell(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rsh")
	write(t, path, "#!/bin/sh\nshift\nexec sh -c \"$*\"\n", 0o755)
	return path
}

// serverPath is a command that starts our server, or the real one.
func serverPath(t testing.TB, ours bool) string {
	t.Helper()
	if !ours {
		return needRsync(t)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rsync")
	write(t, path, fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", asServer, self), 0o755)
	return path
}

// outcome is what a command of rsync came to.
type outcome struct {
	code     int
	out, err string
}

// client runs a command of rsync, ours or the real one.
func client(t testing.TB, ours bool, env []string, words ...string) outcome {
	t.Helper()
	if ours {
		return ourClient(t.Context(), t, env, nil, words...)
	}
	cmd := exec.Command(needRsync(t), words...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Run()
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// buffer collects what a printer and a remote shell write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func ourClient(ctx context.Context, t testing.TB, env []string, stdin *bytes.Reader, words ...string) outcome {
	t.Helper()
	getenv := func(name string) string {
		for _, v := range env {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return os.Getenv(name)
	}
	opt, err := option.Parse(option.Input{Words: words, Getenv: getenv})
	if err != nil {
		return outcome{session.ExitSyntax, "", err.Error()}
	}
	var out, errs buffer
	ops, err := opt.Operands()
	if err != nil {
		return outcome{session.ExitSyntax, "", err.Error()}
	}
	printer := output.NewPrinter(output.Config{Opt: opt, Out: &out, Err: &errs, Local: !ops.Push && !ops.Pull})
	c := session.Client{Opt: opt, Argv: append([]string{"rsync"}, words...), Talk: printer, Stderr: &errs, Getenv: getenv}
	if stdin != nil {
		c.Stdin = stdin
	}
	_, err = c.Run(ctx)
	printer.Close()
	return outcome{session.ExitCode(err), out.String(), errs.String()}
}

// plant makes a source tree with most kinds of entries.
func plant(t testing.TB) string {
	t.Helper()
	dir := newSource(t)
	for _, err := range []error{
		os.Symlink("a.txt", filepath.Join(dir, "link")),
		os.Symlink("nowhere", filepath.Join(dir, "sub", "dangling")),
		os.Link(filepath.Join(dir, "sub", "b"), filepath.Join(dir, "sub", "deep", "hard")),
		os.Mkdir(filepath.Join(dir, "bare"), 0o750),
		os.WriteFile(filepath.Join(dir, "sub", "large"), bytes.Repeat([]byte("0123456789abcdef"), 20000), 0o600),
		os.WriteFile(filepath.Join(dir, "keep.o"), []byte("object"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	settleTimes(t, dir)
	return dir
}

// settleTimes gives everything below dir the usual time, but for the files
// listed in late.
func settleTimes(t testing.TB, dir string, late ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		tv := unix.Timeval{Sec: mtime.Unix()}
		if slices.Contains(late, filepath.Base(path)) {
			tv.Sec++
		}
		return unix.Lutimes(path, []unix.Timeval{tv, tv})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// prior makes what stands at the destination before: some of the same, some
// that is old, some to be deleted.
func prior(t testing.TB, dir string) {
	t.Helper()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "sub", "old"), 0o755),
		os.WriteFile(filepath.Join(dir, "a.txt"), []byte("hello\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "sub", "large"), bytes.Repeat([]byte("0123456789abcdef"), 15000), 0o644),
		os.WriteFile(filepath.Join(dir, "sub", "old", "gone"), []byte("gone"), 0o644),
		os.WriteFile(filepath.Join(dir, "extra.o"), []byte("extra"), 0o644),
		os.Symlink("elsewhere", filepath.Join(dir, "link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	settleTimes(t, dir, "large")
}

// snapshot describes a tree, one line an entry.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	inodes := map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&b, "%q %v", rel, info.Mode())
		switch {
		case info.Mode().IsRegular():
			fmt.Fprintf(&b, " %v %d %x", info.ModTime().Unix(), info.Size(), sha1.Sum([]byte(read(path))))
			if first, ok := inodes[inode(info)]; ok {
				fmt.Fprintf(&b, " = %q", first)
			}
			inodes[inode(info)] = rel
		case info.Mode().Type() == fs.ModeSymlink:
			target, _ := os.Readlink(path)
			fmt.Fprintf(&b, " -> %q", target)
		case rel != ".":
			fmt.Fprintf(&b, " %v", info.ModTime().Unix())
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// counted begin lines that tell byte counts or the names of directories.
var counted = []string{"sent ", "total", "created directory", "opening connection"}

// sorted is the lines of a text in order, without those that need not agree.
func sorted(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" && !slices.ContainsFunc(counted, func(c string) bool { return strings.HasPrefix(line, c) }) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// scenario is a transfer that every pair of ends must do alike.
type scenario struct {
	name  string
	words string
	from  string // operand behind the source directory
	fresh bool   // nothing at the destination
	since int    // the first protocol that has it
}

var scenarios = []scenario{
	{name: "an archive", words: "-ai", from: "/", fresh: true},
	{name: "an update with deletions", words: "-aHi --delete", from: "/"},
	{name: "compressed deltas", words: "-az --no-whole-file -B700", from: "/"},
	{name: "by checksum", words: "-aci", from: "/"},
	{name: "with excluded names", words: "-ai --delete --exclude=*.o --filter=H_bare", from: "/"},
	{name: "excluded names deleted", words: "-ai --delete --delete-excluded --exclude=*.o", from: "/"},
	{name: "relative names", words: "-aRi", from: "/./sub"},
	{name: "in place", words: "-ai --inplace --no-whole-file", from: "/"},
	{name: "a dry run", words: "-aHin --delete-after", from: "/"},
	{name: "late deletions and updates", words: "-ai --delete-delay --delay-updates", from: "/", since: 29},
	{name: "secluded arguments", words: "-ais", from: "/s*b"},
	{name: "a chosen checksum", words: "-ai --checksum-choice=sha1 --checksum-seed=7", from: "/"},
	{name: "a chosen method", words: "-ai --compress-choice=zlibx --compress-level=9", from: "/"},
	{name: "a missing source", words: "-ai", from: "/nope"},
	{name: "one list", words: "-aHi --no-inc-recursive -m", from: "/", since: 29},
	{name: "very chatty", words: "-avv --partial-dir=.part", from: "/"},
}

// Every pair of ends leaves the same tree, the same exit code and the same lines
// as the real rsync does with itself.
func TestFourCorners(t *testing.T) {
	t.Parallel()
	rsh := shell(t)
	servers := map[bool]string{false: serverPath(t, false), true: serverPath(t, true)}
	for i, sc := range scenarios {
		for _, protocol := range []int{32, 27 + i%5} {
			push := i%2 == 0 == (protocol == 32)
			if protocol < sc.since {
				continue
			}
			t.Run(fmt.Sprintf("%s at %d, push %v", sc.name, protocol, push), func(t *testing.T) {
				t.Parallel()
				src := plant(t)
				want, wantTree := sc.run(t, corner{}, protocol, push, src, rsh, servers)
				for _, c := range corners {
					got, tree := sc.run(t, c, protocol, push, src, rsh, servers)
					if tree != wantTree {
						t.Errorf("%v: tree\n%s\nwant\n%s", c, tree, wantTree)
					}
					if got.code != want.code || sorted(got.out) != sorted(want.out) {
						t.Errorf("%v: code %d\n%s\n%s\nwant code %d\n%s\n%s", c, got.code, sorted(got.out), got.err, want.code, sorted(want.out), want.err)
					}
				}
			})
		}
	}
}

// run does a scenario with some pair of ends.
func (sc *scenario) run(t *testing.T, c corner, protocol int, push bool, src, rsh string, servers map[bool]string) (outcome, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dest")
	if !sc.fresh {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		prior(t, dir)
	}
	from, to := src+sc.from, dir
	if push {
		to = "host:" + to
		if strings.Contains(from, "*") { // which a shell would have expanded
			from = strings.ReplaceAll(from, "s*b", "sub")
		}
	} else {
		from = "host:" + from
	}
	words := append(strings.Fields(sc.words), fmt.Sprint("--protocol=", protocol), "-e", rsh, "--rsync-path="+servers[c.server], from, to)
	o := client(t, c.client, []string{"LC_ALL=C"}, words...)
	return o, snapshot(t, dir)
}

// A local copy is a session with ourselves.
func TestLocalCopies(t *testing.T) {
	t.Parallel()
	src := plant(t)
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			var got [2]outcome
			var trees [2]string
			for i, ours := range []bool{false, true} {
				dir := filepath.Join(t.TempDir(), "dest")
				if !sc.fresh {
					if err := os.Mkdir(dir, 0o755); err != nil {
						t.Fatal(err)
					}
					prior(t, dir)
				}
				words := append(strings.Fields(sc.words), src+strings.ReplaceAll(sc.from, "s*b", "sub"), dir)
				got[i] = client(t, ours, []string{"LC_ALL=C"}, words...)
				trees[i] = snapshot(t, dir)
			}
			if trees[0] != trees[1] {
				t.Errorf("tree\n%s\nwant\n%s", trees[1], trees[0])
			}
			if got[0].code != got[1].code || sorted(got[0].out) != sorted(got[1].out) {
				t.Errorf("code %d\n%s\n%s\nwant code %d\n%s\n%s", got[1].code, sorted(got[1].out), got[1].err, got[0].code, sorted(got[0].out), got[0].err)
			}
		})
	}
}

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }
