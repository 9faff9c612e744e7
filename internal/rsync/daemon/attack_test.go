package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// besieged is a daemon in a process of its own, with a module and something
// outside of it that must stay as it is.
func besieged(t *testing.T, config string) (*world, *exec.Cmd) {
	t.Helper()
	w := build(t, stuff+"mkdir outside; echo secret > outside/secret", owner()+"reverse lookup = no\nmunge symlinks = no\n"+
		"[mod]\npath = DIR/mod\nread only = no\n[auth]\npath = DIR/mod\nauth users = liang\nsecrets file = DIR/secrets\n"+config)
	return w, w.start(true)
}

// stands holds that the daemon still serves.
func (w *world) stands() {
	w.t.Helper()
	if got := w.speak("@RSYNCD: 31.0\n#list\n"); !strings.HasSuffix(got, "@RSYNCD: EXIT\n") {
		w.t.Fatalf("the daemon says %q\n%s", got, w.read("log"))
	}
}

// memory is a line of a process's status, in KiB.
func memory(pid int, line string) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(line + `:\s+(\d+) kB`).FindSubmatch(data)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// dialFrom connects from an address of the loopback network.
func (w *world) dialFrom(address string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 10 * time.Second}
	return d.Dial("tcp", w.address())
}

// bytesPerSilent is what a connection that waits for its login may cost.
const bytesPerSilent = 48 << 10

// TestSilentConnections opens connections that say nothing. LOCKSTEP_SILENT is
// how many, 10000 in full.
func TestSilentConnections(t *testing.T) {
	count := 1500
	if n, err := strconv.Atoi(os.Getenv("LOCKSTEP_SILENT")); err == nil {
		count = n
	}
	w, cmd := besieged(t, "")
	w.stands()
	before := memory(cmd.Process.Pid, "VmRSS")
	const each = 500
	for i := range count {
		c, err := w.dialFrom(fmt.Sprintf("127.0.1.%d", 1+i/each))
		must(t, err)
		defer c.Close()
	}
	begun := time.Now()
	w.stands()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("an honest client waits for %v", took)
	}
	grown := memory(cmd.Process.Pid, "VmRSS") - before
	if limit := min(count, 4096) * bytesPerSilent >> 10; grown > limit {
		t.Errorf("%d connections take %d KiB, more than %d", count, grown, limit)
	}
	t.Logf("%d silent connections: %d KiB before, %d more", count, before, grown)
}

// frame is a frame of the multiplexed stream.
func frame(code byte, payload string) string {
	const base = 7
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(payload))|uint32(base+code)<<24)
	return string(head) + payload
}

// words are a client's arguments.
func clientWords(list ...string) string { return strings.Join(list, "\x00") + "\x00\x00" }

const (
	hello = "@RSYNCD: 31.0\nmod\n"
	md5   = "\x03md5" // the choice of a checksum
)

// listed is an entry of a file list: flags, name, size, time, mode.
func listed(name string, mode uint32) string {
	b := []byte{0x18, byte(len(name))}
	b = append(b, name...)
	b = append(b, 0, 3, 0)                // size, varlong(3)
	b = append(b, 0x69, 0xa5, 0x35, 0x57) // time, varlong(4)
	return string(binary.LittleEndian.AppendUint32(b, mode))
}

// TestRawSpeech says to the port what no client says.
func TestRawSpeech(t *testing.T) {
	t.Parallel()
	w, _ := besieged(t, "")
	push := hello + clientWords("--server", "-rlte.LsfxCIvu", ".", "mod/in/")
	pull := hello + clientWords("--server", "--sender", "-rlte.LsfxCIvu", ".", "mod/")
	const regular, link, directory = 0o100644, 0o120777, 0o040755
	rows := []struct{ name, sent string }{
		{"nothing", ""},
		{"line noise", "\x00\xff\x00\xff\n\x16\x03\x01"},
		{"a version below all", "@RSYNCD: 19.0\nmod\n" + clientWords("--server", ".", "mod/")},
		{"a version above all", "@RSYNCD: 99.0 md5\nmod\n" + clientWords("--server", ".", "mod/")},
		{"a version that overflows", "@RSYNCD: 99999999999999999999.0\nmod\n"},
		{"a negative version", "@RSYNCD: -31.0\nmod\n"},
		{"more arguments than are taken", hello + strings.Repeat("-v\x00", 20_000) + "\x00"},
		{"an argument without an end", hello + strings.Repeat("x", 9<<20)},
		{"no server", hello + clientWords("-av", ".", "mod/")},
		{"a daemon within", hello + clientWords("--server", "--daemon", "--config=/etc/passwd", ".")},
		{"a name list that is too long", push + "\xff" + strings.Repeat("x", 300)},
		{"a checksum that nobody has", push + "\x04nope"},
		{"a text longer than allowed", push + md5 + frame(3, strings.Repeat("x", 100_000))},
		{"a message that only passes inside", push + md5 + frame(100, "\x00\x00\x00\x00") + frame(20, "x")},
		{"an unknown message", push + md5 + frame(77, "abc")},
		{"an io_error of the wrong size", push + md5 + frame(22, "abc")},
		{"a timeout told to a server", push + md5 + frame(33, "\xff\xff\xff\x7f")},
		{"a frame that ends early", push + md5 + "\xff\xff\xff\x07abc"},
		{"a name that leads out", push + md5 + frame(0, listed("../outside/x", regular)+"\x00\x00")},
		{"an absolute name", push + md5 + frame(0, listed(w.dir+"/outside/x", regular)+"\x00\x00")},
		{"a name with a NUL byte", push + md5 + frame(0, listed("a\x00b", regular)+"\x00\x00")},
		{"an empty name", push + md5 + frame(0, listed("", regular)+"\x00\x00")},
		{"a mode that is none", push + md5 + frame(0, listed("a", 0)+"\x00\x00")},
		{"a root that is no directory", push + md5 + frame(0, listed(".", regular)+"\x00\x00")},
		{"a symlink without a target", push + md5 + frame(0, listed("l", link)+"\xff\xff\xff\xff\xff"+"\x00\x00")},
		{"a symlink of endless length", push + md5 + frame(0, listed("l", link)+"\xfe\xff\xff\xff\x7f")},
		{"a list that never ends", push + md5 + strings.Repeat(frame(0, listed("aaaa", directory)), 2000)},
		{"the same name often", push + md5 + frame(0, strings.Repeat(listed("a", directory), 500)+"\x00\x00")},
		{"data for a file that was not asked for", push + md5 + frame(0, listed("a", regular)+"\x00\x00"+"\x7f\x00\xa0"+strings.Repeat("\xff", 64))},
		{"a block count that overflows", pull + md5 + frame(0, "\x00\x00\x00\x00\x01\x00\xa0\xff\xff\xff\x7f\xff\xff\xff\x7f\x10\x00\x00\x00\x00\x00\x00\x00")},
		{"a negative block count", pull + md5 + frame(0, "\x00\x00\x00\x00\x01\x00\xa0\xff\xff\xff\xff\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00")},
		{"an index far away", pull + md5 + frame(0, "\x00\x00\x00\x00\xfe\xff\xff\xff\x7f\x00\xa0")},
		{"an index of a list that is none", pull + md5 + frame(0, "\x00\x00\x00\x00\xff\xfe\xff\xff\x7f")},
		{"a filter rule of endless length", pull + md5 + frame(0, "\xff\xff\xff\x7f- x")},
		{"a negative filter rule", pull + md5 + frame(0, "\xff\xff\xff\xff")},
		{"a merge file outside", pull + md5 + frame(0, "\x13\x00\x00\x00: /../outside/secret\x00\x00\x00\x00")},
		{"a source outside", hello + clientWords("--server", "--sender", "-rte.LsfxCIvu", ".", "mod/../outside/") + md5 + frame(0, "\x00\x00\x00\x00")},
		{"a list of files outside", hello + clientWords("--server", "--sender", "-te.LsfxCIvu", "--files-from=../outside/secret", ".", "mod/") + md5},
		{"goodbyes alone", push + md5 + frame(0, "\x00\x00\x00\x00\x00\x00\x00")},
	}
	before := w.tree("outside")
	var wait sync.WaitGroup
	for _, r := range rows {
		wait.Go(func() {
			c, reader := w.dial()
			go func() {
				_, _ = io.WriteString(c, r.sent)
				_ = c.(*net.TCPConn).CloseWrite()
			}()
			must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
			heard, err := io.ReadAll(reader)
			if isTimeout(err) {
				t.Errorf("%s: the connection stays", r.name)
			}
			if bytes.Contains(heard, []byte("secret\n")) {
				t.Errorf("%s: what is outside is told: %q", r.name, heard)
			}
		})
	}
	wait.Wait()
	w.stands()
	if after := w.tree("outside"); after != before {
		t.Errorf("outside of the module was\n%s\nand is\n%s", before, after)
	}
	if log := w.read("log"); strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
		t.Errorf("somebody panicked:\n%s", log)
	}
}

// overheard is what a real client says in a push, up to its end.
func (w *world) overheard(t *testing.T, command string) []byte {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	var said bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		from, err := l.Accept()
		if err != nil {
			return
		}
		defer from.Close()
		to, err := net.Dial("tcp", w.address())
		if err != nil {
			return
		}
		defer to.Close()
		go func() {
			_, _ = io.Copy(from, to)
			_ = from.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(io.MultiWriter(to, &said), from)
	}()
	w.run(strings.ReplaceAll(command, "THERE", "rsync://"+l.Addr().String()))
	<-done
	return said.Bytes()
}

// TestMutatedSessions plays what real clients said, with some bytes changed.
func TestMutatedSessions(t *testing.T) {
	t.Parallel()
	rsync(t)
	w, _ := besieged(t, "")
	before := w.tree("outside")
	r := rand.New(rand.NewPCG(1, 0))
	for _, command := range []string{
		"rsync -aH --delete src/ THERE/mod/up/", "rsync -az THERE/mod/ out/", "rsync -a --protocol=29 src/ THERE/mod/old/",
	} {
		said := w.overheard(t, command)
		args := bytes.Index(said, []byte("mod\n")) + len("mod\n")
		if args < len("mod\n") || len(said) < args+50 {
			t.Fatalf("%s: overheard only %q", command, said)
		}
		var wait sync.WaitGroup
		for range 20 {
			changed := bytes.Clone(said)
			for range 1 + r.IntN(4) {
				changed[args+r.IntN(len(changed)-args)] = byte(r.IntN(256))
			}
			if r.IntN(4) == 0 {
				changed = changed[:args+r.IntN(len(changed)-args)]
			}
			wait.Go(func() {
				c, reader := w.dial()
				go func() {
					_, _ = c.Write(changed)
					_ = c.(*net.TCPConn).CloseWrite()
				}()
				must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
				if _, err := io.Copy(io.Discard, reader); isTimeout(err) {
					t.Errorf("the connection stays after %q", changed)
				}
			})
		}
		wait.Wait()
		w.stands()
	}
	if after := w.tree("outside"); after != before {
		t.Errorf("outside of the module was\n%s\nand is\n%s", before, after)
	}
}

func childrenOf(pid int) []int {
	var all []int
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, name := range files {
		data, _ := os.ReadFile(name)
		for _, word := range strings.Fields(string(data)) {
			if n, err := strconv.Atoi(word); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// TestWrongPasswordsAtSpeed guesses from one address; another one is served.
func TestWrongPasswordsAtSpeed(t *testing.T) {
	t.Parallel()
	rsync(t)
	w, _ := besieged(t, "")
	var guesses atomic.Int32
	guessing, stop := context.WithCancel(context.Background())
	defer stop()
	var wait sync.WaitGroup
	for range 32 {
		wait.Go(func() {
			for guessing.Err() == nil {
				c, err := w.dialFrom("127.0.0.9")
				if err != nil {
					t.Error(err)
					return
				}
				defer context.AfterFunc(guessing, func() { c.Close() })()
				r := bufio.NewReader(c)
				_, _ = io.WriteString(c, "@RSYNCD: 31.0 md5\nauth\nliang 8GLvcgy4fz1r/JA4wjJYhg\n")
				for line := ""; !strings.HasPrefix(line, "@ERROR"); {
					if line, err = r.ReadString('\n'); err != nil {
						break
					}
				}
				c.Close()
				guesses.Add(1)
			}
		})
	}
	<-time.After(1500 * time.Millisecond)
	begun := time.Now()
	got := w.run("rsync -r --password-file=password rsync://liang@AT/auth/a.txt out/")
	took := time.Since(begun)
	stop()
	if got != "-> 0\n" || took > 10*time.Second {
		t.Errorf("who has the password: %s after %v", got, took)
	}
	wait.Wait()
	logged := strings.Count(w.read("log"), "auth failed on module auth from UNDETERMINED (127.0.0.9) for liang: password mismatch")
	if n := int(guesses.Load()); n > 32*8 || logged < n-32 {
		t.Errorf("%d guesses, %d of them logged", n, logged)
	}
}

// TestFlippedSymlinks swaps a directory of a module for a symlink that leads out,
// again and again, while clients write to it and read from it.
func TestFlippedSymlinks(t *testing.T) {
	t.Parallel()
	rsync(t)
	w, _ := besieged(t, "")
	w.run("mkdir mod/d; for i in $(seq 40); do echo inside > mod/d/f$i; echo new > src/f$i; echo secret > outside/f$i; done")
	before := w.tree("outside")
	at := func(name string) string { return filepath.Join(w.dir, "mod", name) }
	must(t, os.Symlink(filepath.Join(w.dir, "outside"), at("out")))
	stop := make(chan struct{})
	flips := 0
	var flipping sync.WaitGroup
	flipping.Go(func() {
		for ; ; flips++ {
			select {
			case <-stop:
				return
			default:
				_ = os.Rename(at("d"), at("dir"))
				_ = os.Rename(at("out"), at("d"))
				_ = os.Rename(at("d"), at("out"))
				_ = os.Rename(at("dir"), at("d"))
			}
		}
	})
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); {
		w.run("rsync -rI src/ URL/mod/d/; rsync -rI --inplace src/f1 src/f2 URL/mod/d/; rsync -r --delete empty/ URL/mod/d/deep/; rsync -rI URL/mod/d/ out/; rsync -rIL URL/mod/ out2/; " +
			"rsync -aI --chmod=D700,F600 --backup --backup-dir=d/old src/ URL/mod/d/; rsync -r --remove-source-files URL/mod/d/ out3/; rsync -a --temp-dir=d src/ URL/mod/up/")
	}
	close(stop)
	flipping.Wait()
	if after := w.tree("outside"); after != before {
		t.Errorf("after %d flips outside of the module was\n%s\nand is\n%s", flips, before, after)
	}
	if got := w.run("grep -rls secret out out2 out3 | grep -v '/secret/' | head -3"); strings.Contains(got, "out") {
		t.Errorf("after %d flips a client has what is outside: %s", flips, got)
	}
	w.stands()
}

// TestSymlinksThatLeadOut asks for everything that can be named through a symlink
// of the module that leads out of it.
func TestSymlinksThatLeadOut(t *testing.T) {
	t.Parallel()
	rsync(t)
	w, _ := besieged(t, "")
	w.run("echo deep > outside/deep; mkdir outside/dir; echo secret > outside/dir/secret; chmod 751 outside/dir; mkdir basis; cp -a outside/secret basis/")
	const links = "ln -s ../outside mod/near; ln -s DIR/outside mod/far; ln -s ../outside/secret mod/file"
	w.run("mkdir src/near; echo new > src/near/secret; " + links)
	before := w.tree("outside")
	for _, command := range []string{
		"rsync -r src/ URL/mod/near/", "rsync -r src/ URL/mod/far/", "rsync -r src/ URL/mod/near/dir/", "rsync -rR src/near/secret URL/mod/far/",
		"rsync -rK src/ URL/mod/", "rsync -rKI --inplace src/near/secret URL/mod/near/secret", "rsync --inplace src/new URL/mod/file", "rsync --append src/new URL/mod/file",
		"rsync -r --delete empty/ URL/mod/near/", "rsync -rK --delete --existing src/ URL/mod/", "rsync -r --mkpath src/new URL/mod/far/made/new",
		"rsync -rI --backup --backup-dir=near src/ URL/mod/up/", "rsync -rI --temp-dir=far src/ URL/mod/up/", "rsync -rI --partial-dir=/near --delay-updates src/ URL/mod/up/",
		"rsync -a --link-dest=/near basis/ URL/mod/linked/", "rsync -a --copy-dest=/far basis/ URL/mod/copied/", "rsync -a --chmod=D777,F777 src/ URL/mod/near/",
		"rsync -r URL/mod/near/ got/", "rsync -r URL/mod/far/secret got/", "rsync -rL URL/mod/ got2/", "rsync -rk URL/mod/ got3/", "rsync -r --copy-unsafe-links URL/mod/ got4/",
		"rsync -R URL/mod/near/./secret got5/", "rsync -r --remove-source-files URL/mod/near/ got6/", "rsync -L --remove-source-files URL/mod/file got7", "rsync -r --files-from=:far/secret URL/mod/ got8/",
		"rsync --list-only URL/mod/near/", "rsync -a --filter='merge /near/secret' URL/mod/ got9/", "rsync -a --filter=':e secret' URL/mod/near/ got10/",
	} {
		got := w.run(command + "; find mod -samefile outside/secret; rm -rf mod/near mod/far mod/file mod/linked mod/copied; " + links)
		if after := w.tree("outside"); after != before {
			t.Fatalf("%s (%s): outside of the module was\n%s\nand is\n%s", command, got, before, after)
		}
		if strings.Contains(got, "\nmod/") || strings.HasPrefix(got, "mod/") {
			t.Errorf("%s links to what is outside: %s", command, got)
		}
	}
	if got := w.run("grep -rlx secret got* | head -3"); got != "-> 0\n" {
		t.Errorf("what is outside was given away: %s", got)
	}
	w.stands()
}
