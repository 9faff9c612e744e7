package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/rsync/daemon"
)

// What is sent is answered as rsync 3.5.0 answers it.
func TestRawLines(t *testing.T) {
	w := build(t, "mkdir mod", owner()+"[mod]\npath = DIR/mod\ncomment = x\n[web]\npath = DIR/mod\nauth users = a\n[no]\nlist = no\n").serve()
	const list = "mod            \tx\nweb            \t\n@RSYNCD: EXIT\n"
	rows := []struct{ name, sent, want string }{
		{"no greeting", "hello\n", "@ERROR: protocol startup error\n"},
		{"no subprotocol", "@RSYNCD: 31\n", "@ERROR: your client omitted the subprotocol value: @RSYNCD: 31\n"},
		{"an old list", "@RSYNCD: 29\n\n", list},
		{"no digests", "@RSYNCD: 32.0\n", "@ERROR: your client omitted the digest name list: @RSYNCD: 32.0\n"},
		{"a list", "@RSYNCD: 31.0\n#list\n", list},
		{"a list with carriage returns", "@RSYNCD: 31.0\r\n#list\r\n", list},
		{"an unknown command", "@RSYNCD: 31.0\n#foo\n", "@ERROR: Unknown command '#foo'\n"},
		{"no early input", "@RSYNCD: 31.0\n#early_input=0\n", "@ERROR: invalid early_input length\n"},
		{"too much early input", "@RSYNCD: 31.0\n#early_input=5121\n", "@ERROR: invalid early_input length\n"},
		{"early input twice", "@RSYNCD: 31.0\n#early_input=1\nx#early_input=1\n", "@ERROR: invalid early_input length\n"},
		{"early input, then a list", "@RSYNCD: 31.0\n#early_input=3\na\nb\n", list},
		{"control bytes in a name", "@RSYNCD: 31.0\nmo\x1b[31md\n", "@ERROR: Unknown module 'mo\x1b[31md'\n"},
		{"white space around a name", "@RSYNCD: 31.0\n mod \n", "@ERROR: Unknown module ' mod '\n"},
		{"digests that nobody has", "@RSYNCD: 31.0 foo\nweb\n", "@ERROR: your client does not support one of our daemon-auth checksums: sha512 sha256 sha1 md5 md4\n"},
		{"a long name", "@RSYNCD: 31.0\n" + strings.Repeat("x", 2000) + "\n", "cut off"},
		{"a NUL byte", "@RSYNCD: 31.0\nmo\x00d\n", "cut off"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got := w.speak(r.sent)
			if got != r.want && (r.want != "cut off" || got != "") {
				t.Errorf("got %q", got)
			}
		})
	}
	if log := w.read("log"); strings.Contains(log, "\x1b") || !strings.Contains(log, `unknown module 'mo\#033[31md'`) {
		t.Errorf("the log has what the client sent:\n%q", log)
	}
	if n := w.server.Counts().Refused["module"]; n != 2 {
		t.Errorf("%d refusals are counted for unknown modules", n)
	}
}

// hold opens a connection up to "OK", or returns what else is said.
func (w *world) hold(module string) (net.Conn, string) {
	w.t.Helper()
	c, r := w.dial()
	if _, err := fmt.Fprintf(c, "@RSYNCD: 31.0\n%s\n", module); err != nil {
		w.t.Fatal(err)
	}
	line, err := r.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	return c, line
}

func TestConnectionsOfAModuleAreCounted(t *testing.T) {
	w := build(t, "mkdir mod", owner()+"[two]\npath = DIR/mod\nmax connections = 2\n[other]\npath = DIR/mod\n").serve()
	const ok, full = "@RSYNCD: OK\n", "@ERROR: max connections (2) reached -- try again later\n"
	first, line := w.hold("two")
	if line != ok {
		t.Fatal(line)
	}
	if _, line := w.hold("two"); line != ok {
		t.Fatal(line)
	}
	if _, line := w.hold("two"); line != full {
		t.Errorf("a third connection: %q", line)
	}
	if _, line := w.hold("other"); line != ok {
		t.Errorf("another module: %q", line)
	}
	first.Close()
	eventually(t, "a connection becomes free", func() bool {
		_, line := w.hold("two")
		return line == ok
	})
}

func TestSilentClientsAreDropped(t *testing.T) {
	t.Parallel()
	w := build(t, "mkdir mod", owner()+"timeout = 1\n[mod]\npath = DIR/mod\n").serve()
	for _, said := range []string{"", "@RSYNCD: 31.0\n", "@RSYNCD: 31.0\nmod\n"} {
		c, r := w.dial()
		if _, err := io.WriteString(c, said); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if _, err := io.ReadAll(r); err != nil {
			t.Errorf("after %q: %v", said, err)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("after %q it took %v", said, took)
		}
	}
}

func TestClientsThatSendByteByByteAreDropped(t *testing.T) {
	t.Parallel()
	w := build(t, "mkdir mod", owner()+"timeout = 1\n[mod]\npath = DIR/mod\n").serve()
	c, r := w.dial()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.ReadAll(r)
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ended:
			return
		case <-tick.C:
			_, _ = c.Write([]byte("@"))
		}
		if n > 200 {
			t.Fatal("it may go on for ever")
		}
	}
}

func TestConnectionsThatWaitAreBounded(t *testing.T) {
	w := build(t, "mkdir mod", owner()+"reverse lookup = no\n[mod]\npath = DIR/mod\n").serve()
	const each, more = 512, 8
	var held []net.Conn
	for range each + more {
		c, err := net.Dial("tcp", w.address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	for i, c := range held[each:] {
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if told, _ := io.ReadAll(c); string(told) != "@ERROR: too many connections -- try again later\n" {
			t.Errorf("connection %d hears %q", each+i+1, told)
		}
	}
	if n := w.server.Counts().Refused["waiting"]; n != more {
		t.Errorf("%d refusals are counted, not %d", n, more)
	}
	for _, c := range held {
		c.Close()
	}
	eventually(t, "the daemon serves again", func() bool {
		return strings.HasSuffix(w.speak("@RSYNCD: 31.0\n#list\n"), "@RSYNCD: EXIT\n")
	})
}

func TestFailedLoginsBecomeSlower(t *testing.T) {
	t.Parallel()
	w := build(t, "mkdir mod; echo a:b > secrets; chmod 600 secrets", owner()+"reverse lookup = no\n[mod]\npath = DIR/mod\nauth users = a\nsecrets file = DIR/secrets\n").serve()
	begun := time.Now()
	for range 4 {
		if got := w.speak("@RSYNCD: 31.0 md5\nmod\na wrong\n"); !strings.HasSuffix(got, "@ERROR: auth failed on module mod\n") {
			t.Fatal(got)
		}
	}
	if took := time.Since(begun); took < 700*time.Millisecond {
		t.Errorf("four wrong passwords took %v", took)
	}
	if n := w.server.Counts().Refused["auth"]; n != 4 {
		t.Errorf("%d failures are counted", n)
	}
}

// children are the processes that this one has started, by pid, with what the
// kernel says about them.
func children() map[string]string {
	all := map[string]string{}
	files, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(data), fmt.Sprintf("\nPPid:\t%d\n", os.Getpid())) {
			all[strings.Split(name, "/")[2]] = string(data)
		}
	}
	return all
}

func TestTransfersRunAsTheModuleWants(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root changes its identity")
	}
	w := build(t, "mkdir mod; chmod 777 mod", "[mod]\npath = DIR/mod\nuse chroot = yes\nuid = 12345\ngid = 23456 34567\n").serve()
	before := children()
	if _, line := w.hold("mod"); line != "@RSYNCD: OK\n" {
		t.Fatalf("%q; %s", line, w.read("log"))
	}
	for pid, status := range children() {
		if before[pid] != "" {
			continue
		}
		for _, want := range []string{"Uid:\t12345\t12345\t12345\t12345\n", "Gid:\t23456\t23456\t23456\t23456\n", "Groups:\t23456 34567 \n", "NoNewPrivs:\t1\n", "CapEff:\t0000000000000000\n"} {
			if !strings.Contains(status, want) {
				t.Errorf("no %q in\n%s", want, status)
			}
		}
		if root, err := os.Readlink("/proc/" + pid + "/root"); err != nil || root != w.dir+"/mod" {
			t.Errorf("its root is %q, %v", root, err)
		}
		return
	}
	t.Error("no process was started")
}

func TestATransferEndsBeforeTheDaemonDoes(t *testing.T) {
	w := build(t, "mkdir mod", owner()+"[mod]\npath = DIR/mod\n")
	server := daemon.New(daemon.Options{Config: filepath.Join(w.dir, "rsyncd.conf")})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.port = l.Addr().(*net.TCPAddr).Port
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	transfers, abort := context.WithCancel(context.Background())
	defer abort()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(ctx, transfers, []net.Listener{l})
	}()
	waiting, _ := w.dial()
	held, line := w.hold("mod")
	if line != "@RSYNCD: OK\n" {
		t.Fatal(line)
	}
	stop()
	if _, err := io.ReadAll(waiting); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("who had not said anything: %v", err)
	}
	eventually(t, "it accepts no more connections", func() bool {
		c, err := net.Dial("tcp", w.address())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case <-ended:
		t.Fatal("it ended before the transfer")
	default:
	}
	held.Close()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	w := build(t, "mkdir mod; echo a:b > loose; chmod 644 loose",
		"stric mode = yes\nuse chroot = no\n[good]\npath = DIR/mod\nignore errors\n[gone]\npath = DIR/gone\n[open]\npath = DIR/mod\nread only = no\n[loose]\npath = DIR/mod\nauth users = a\nsecrets file = DIR/loose\n[set]\npath = DIR/mod\ncharset = nonsense\n"+
			"[typos]\npath = DIR/mod\nmax connections = 3 # or so\nlock file = DIR/none/lock\nhosts allow = 10.0.0.0/99\nhosts deny = *,@all\nrefuse options = delte c !a*\ntimeout 5\n[open]\n"+
			"[global]\nport = 70000\nlog file = DIR/none/log\npid file = DIR/none/pid\n")
	modules, findings, err := daemon.Check(filepath.Join(w.dir, "rsyncd.conf"), nil)
	if err != nil || len(modules) != 6 {
		t.Fatalf("%d modules, %v", len(modules), err)
	}
	var all strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&all, "%v %v %s [%s]\n", f.Where.Line, f.Error, f.Text, f.Hint)
	}
	for _, want := range []string{
		`3 false Unknown Parameter encountered: "stric mode" [did you mean "strict modes"?]`,
		`7 false Ignoring badly formed line in config file: ignore errors [write "ignore errors = yes" if that is meant]`,
		"9 true module gone: " + w.dir + "/gone is no directory [mkdir -p " + w.dir + "/gone]",
		"12 false module open: it can be written to without a password",
		`19 true module set: module set: charset "nonsense" is not known`,
		"16 true module loose: secrets file must not be other-accessible",
		`22 false Badly formed number in configuration file: "3 # or so" counts as 3. []`,
		"23 true module typos: lock file " + w.dir + "/none/lock: there is no directory " + w.dir + "/none: every connection is refused [mkdir -p " + w.dir + "/none]",
		`24 false module typos: hosts allow: "10.0.0.0/99": the mask is malformed; it allows nobody [`,
		`25 false module typos: hosts deny: "@all": a netgroup cannot be looked up; it denies everybody who is not allowed [`,
		`26 false module typos: refuse options: there is no option "delte" []`,
		`27 false Ignoring badly formed line in config file: timeout 5 [write "timeout = 5" if that is meant]`,
		"28 false module open: this continues the module of " + w.dir + "/rsyncd.conf:10 [",
		"30 true port 70000: there are ports from 1 to 65535",
		"31 false log file " + w.dir + "/none/log: there is no directory " + w.dir + "/none",
		"32 true pid file " + w.dir + "/none/pid: there is no directory " + w.dir + "/none",
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no %q in\n%s", want, all.String())
		}
	}
	if _, _, err := daemon.Check(filepath.Join(w.dir, "none"), nil); err == nil {
		t.Error("a file that is not there is right")
	}
}

func TestANameConverterThatFailsEndsTheTransfer(t *testing.T) {
	rsync(t)
	w := build(t, stuff, owner()+modules).serve()
	if got := w.run("rsync -a URL/converter/ out/"); !strings.HasSuffix(got, "-> 12\n") && !strings.HasSuffix(got, "-> 10\n") {
		t.Errorf("the client says %s", got)
	}
	if log := w.read("log"); !strings.Contains(log, "Connection to name-converter failed.") {
		t.Errorf("the log does not say why:\n%s", log)
	}
}

// With --log-json each line is an object, also those of the transfer's process.
func TestLogsMayBeJSON(t *testing.T) {
	t.Parallel()
	rsync(t)
	w := build(t, stuff, owner()+"reverse lookup = no\n[mod]\npath = DIR/mod\ntransfer logging = yes\nread only = no\n[deny]\npath = DIR/mod\nhosts deny = *\n")
	w.start(true, "--log-json")
	w.run("rsync -a --delete src/ URL/mod/; rsync -a URL/deny/ out/; rsync -a URL/none/ out/")
	type record struct {
		Time                             time.Time
		Event, Module, Way, Path, Reason string
		Connection, Files, Code          int
		ContentBytes                     int64   `json:"content_bytes"`
		TookSeconds                      float64 `json:"took_seconds"`
	}
	seen := map[string]bool{}
	eventually(t, "all is logged", func() bool {
		for line := range strings.Lines(w.read("log")) {
			var r record
			if err := json.Unmarshal([]byte(line), &r); err != nil || r.Time.IsZero() || r.Connection == 0 {
				t.Fatalf("%v: %s", err, line)
			}
			seen[strings.Join([]string{r.Event, r.Module, r.Way, r.Path, r.Reason}, " ")] = true
			if r.Event == "transfer" && (r.Files != 2 || r.ContentBytes != 9 || r.Code != 0 || r.TookSeconds <= 0) {
				t.Errorf("the transfer is %+v", r)
			}
		}
		return len(seen) > 0 && strings.Contains(w.read("log"), `"reason":"module"`)
	})
	for _, want := range []string{"connect    ", "file mod recv new ", "file mod del. a.txt ", "transfer mod recv  ", "refused deny   host", "refused none   module"} {
		if !seen[want] {
			t.Errorf("no %s among\n%v", want, slices.Sorted(maps.Keys(seen)))
		}
	}
}

func TestTransfersAreBounded(t *testing.T) {
	s := daemon.New(daemon.Options{})
	var ends []func()
	for range daemon.MaxOpenEach {
		end, ok := s.Begin("192.0.2.1")
		if !ok {
			t.Fatalf("only %d from one address", len(ends))
		}
		ends = append(ends, end)
	}
	if _, ok := s.Begin("192.0.2.1"); ok {
		t.Error("one more from that address")
	}
	for i := 0; ; i++ {
		if _, ok := s.Begin(fmt.Sprint("192.0.3.", i)); !ok {
			if n := i + len(ends); n != daemon.MaxOpen {
				t.Errorf("%d in all, not %d", n, daemon.MaxOpen)
			}
			break
		}
	}
	ends[0]()
	if _, ok := s.Begin("192.0.2.1"); !ok {
		t.Error("a place that was given back cannot be taken")
	}
}

func TestAddressesOfOneNetworkCountAsOne(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::1": "2001:db8:1:2::/64", "fe80::1%lo": "fe80::/64",
	} {
		if got := daemon.Network(addr); got != want {
			t.Errorf("%s counts as %s, not %s", addr, got, want)
		}
	}
}

// The configuration is shared by connections, and read again once any file of it
// has changed.
func TestAChangedConfigurationIsReadAgain(t *testing.T) {
	w := build(t, "mkdir mod conf.d; printf '[in]\\n' > conf.d/in.conf", owner()+"reverse lookup = no\n&include DIR/conf.d\n[mod]\npath = DIR/mod\n").serve()
	listed := func() string { return strings.ReplaceAll(w.speak("@RSYNCD: 31.0\n#list\n"), "            ", "") }
	first, _ := w.server.Config()
	if again, _ := w.server.Config(); again != first {
		t.Error("it is read again though nothing has changed")
	}
	for _, step := range []struct{ name, text, want string }{
		{"conf.d/in.conf", "[in]\ncomment = x\n", "in \tx\nmod\t\n@RSYNCD: EXIT\n"},
		{"conf.d/new.conf", "[new]\n", "in \tx\nnew\t\nmod\t\n@RSYNCD: EXIT\n"},
		{"rsyncd.conf", "log file = DIR/log\n[all]\n", "all\t\n@RSYNCD: EXIT\n"},
		{"rsyncd.conf", "log file = DIR/log2\n[all]\n", "all\t\n@RSYNCD: EXIT\n"},
	} {
		w.write(step.name, step.text, 0o600)
		if got := listed(); got != step.want {
			t.Errorf("after %s: %q, not %q", step.name, got, step.want)
		}
	}
	if !strings.Contains(w.read("log2"), "module-list request") {
		t.Errorf("the new log has %s", w.read("log2"))
	}
	must(t, os.Rename(filepath.Join(w.dir, "log2"), filepath.Join(w.dir, "log2.old")))
	listed()
	if !strings.Contains(w.read("log2"), "module-list request") {
		t.Errorf("a log that was moved away stays in use: %s", w.read("log2"))
	}
}

// A client that has sent its arguments must come to the point as well.
func TestTheBinaryHandshakeIsBounded(t *testing.T) {
	t.Parallel()
	w := build(t, "mkdir mod", owner()+"timeout = 1\n[mod]\npath = DIR/mod\n").serve()
	c, r := w.dial()
	_, err := io.WriteString(c, "@RSYNCD: 31.0\nmod\n--server\x00--sender\x00-re.LsfxCIvu\x00.\x00mod/\x00\x00")
	must(t, err)
	if _, err := io.Copy(io.Discard, r); isTimeout(err) {
		t.Error("it may go on for ever")
	}
}
