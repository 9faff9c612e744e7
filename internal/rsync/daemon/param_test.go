package daemon_test

import (
	"fmt"
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
	"lockstep/internal/rsync/daemon/conf"
)

// paramTest shows what a parameter of a module does: the same in four corners,
// the client and the daemon being the real ones or ours.
type paramTest struct {
	param  conf.Param
	config string // of the module that is called like the parameter; N is its name, DIR/N its path
	run    string // for sh; M is the module's URL, U the same with the user liang
	want   string // a part of what comes of it: without it the test shows nothing
}

// paramStuff makes what all modules have.
const paramStuff = stuff + `
mkdir -p own/deep empty bin
echo one > own/one; echo two > own/two.o; echo deep > own/deep/file; ln -s one own/link; chmod 640 own/two.o
printf '*.o\n' > patterns; chown 1234:2345 own/one
printf '#!/bin/sh\nwhile read k w; do case "$k $w" in "uid 1234") echo alpha;; "usr beta") echo 4321;; *) echo;; esac; done\n' > converter
chmod 755 converter; printf 'joe:pw\n' >> secrets; echo out > own.outside
touch -h -d @1000000000 own/* own/deep/* own src/deep/*
`

var paramTests = []paramTest{
	{conf.AuthDigest, "auth users = liang\nsecrets file = DIR/secrets\nauth digest = sha256", "rsync -r U/ o/; rsync -r --protocol=29 U/ o2/; ls o", "one"},
	{conf.AuthUsers, "auth users = joe:deny l*:ro\nread only = no\nsecrets file = DIR/secrets", "rsync -r U/ o/; rsync -r src/ U/; rsync -r --password-file=pw rsync://joe@AT/N/ o2/", "auth failed"},
	{conf.Charset, "charset = iso-8859-1", "touch $(printf 'N/caf\\351'); rsync -r --iconv=utf-8 M/ o/; ls o | od -c; rsync -rs --iconv=utf-8 M/café o2/; ls o2", "303 251"},
	{conf.Comment, "comment = what  it is", "rsync URL/ | grep N", "what  it is"},
	{conf.DontCompress, "dont compress = *", "rsync -az M/ o/; ls o", "one"},
	{conf.EarlyExec, "early exec = (cat; echo $RSYNC_MODULE_NAME) > DIR/N.out; exit $(wc -l < DIR/N.out)", "rsync -r --early-input=early M/ o/; cat N.out", "early"},
	{conf.Exclude, "exclude = *.o /deep/***", "rsync -r M/ o/; ls o; rsync -r M/two.o o2/", "one"},
	{conf.ExcludeFrom, "exclude from = DIR/patterns", "rsync -r M/ o/; ls o", "one"},
	{conf.FakeSuper, "fake super = yes\nread only = no", "chown 77:88 src/new; rsync -a src/ M/in/; stat -c '%u:%g %a %n' N/in/new; rsync -a M/in/ o/; stat -c %u:%g o/new; chown 0:0 src/new", "77:88"},
	{conf.Filter, "filter = - *.o - /deep/", "rsync -r M/ o/; ls o", "one"},
	{conf.ForwardLookup, "forward lookup = no\nhosts allow = localhost.", "rsync -r M/ o/", "access denied"},
	{conf.GID, "gid = 2345 3456\nuid = 1234\nread only = no", "chmod 777 N; rsync -rp src/ M/; stat -c %u:%g N/new", "1234:2345"},
	{conf.HostsAllow, "hosts allow = 192.0.2.0/24", "rsync -r M/ o/", "access denied"},
	{conf.HostsDeny, "hosts deny = 127.0.0.0/255.0.0.0", "rsync -r M/ o/", "access denied"},
	{conf.IgnoreErrors, "ignore errors = yes\nread only = no", "rsync -r --delete src/none src/ M/; ls N", "deep"},
	{conf.IgnoreNonreadable, "ignore nonreadable = yes\nuid = 4711\ngid = 4711", "chmod 600 N/two.o; chmod 755 . N; rsync -rl M/ o/; ls o", "link"},
	{conf.Include, "include = one\nexclude = *", "rsync -r M/ o/; ls o", "one"},
	{conf.IncludeFrom, "include from = DIR/patterns\nexclude = *", "rsync -r M/ o/; ls o", "two.o"},
	{conf.IncomingChmod, "incoming chmod = D700,F604\nread only = no", "rsync -rp src/ M/; stat -c '%a %n' N/new N/deep", "604"},
	{conf.InsecureLinks, "insecure links = yes\nmunge symlinks = no\nread only = no", "rsync -r -M--insecure-links M/ o/; rsync -r M/ o2/; ls o2", "one"},
	{conf.List, "list = no", "rsync URL/ | grep -c N; rsync -r M/ o/; ls o", "one"},
	{conf.LockFile, "lock file = DIR/N.lock\nmax connections = 2", "rsync -r M/ o/; ls N.lock o", "N.lock"},
	{conf.LogFile, "log file = DIR/N.log\ntransfer logging = yes", "rsync -r M/ o/; " + logged, "send HOST [127.0.0.1] N () one 4"},
	{conf.LogFormat, "log file = DIR/N.log\ntransfer logging = yes\nlog format = %o %m %n %l %U %G %M %P <%L>\nread only = no", "rsync -rt src/ M/; rsync -rt --delete own/ M/; rsync -rt M/ o/; " + logged, "del. N new"},
	{conf.MaxConnections, "max connections = -1", "rsync -r M/ o/", "max connections (-1) reached"},
	{conf.MaxVerbosity, "max verbosity = 0", "rsync -rvi --info=flist2 --debug=filter2 M/ o/", "one"},
	{conf.MungeSymlinks, "munge symlinks = yes\nread only = no", "rsync -rl src/ M/; readlink N/deep/up; rsync -rl M/ o/; readlink o/deep/up", "/rsyncd-munged/../new"},
	{conf.NameConverter, "name converter = DIR/converter\nnumeric ids = no\nread only = no", "rsync -a --usermap=alpha:99 M/ o/; stat -c %u o/one; rsync -a --usermap=*:beta src/ M/; stat -c %u N/new", "4321"},
	{conf.NumericIDs, "numeric ids = yes\nread only = no", "chown bin N/one; rsync -a --no-inc-recursive --usermap=bin:99 M/ o/ && rsync -a --protocol=29 --delete-before src/ M/up/ && stat -c %u o/one", "2"},
	{conf.NumericIDs, "numeric ids = yes", "chown bin N/one; rsync -a --usermap=bin:99 M/ o/; stat -c %u o/one", "2"},
	{conf.OpenNoatime, "open noatime = yes", "touch -a -d @900000000 N/one; rsync -r M/ o/; stat -c %X N/one", "900000000"},
	{conf.OutgoingChmod, "outgoing chmod = D705,F604", "rsync -rp M/ o/; stat -c '%a %n' o/one o/deep", "604"},
	{conf.Path, "path = DIR/N/./deep", "rsync -r M/ o/; ls o", "file"},
	{conf.PostXferExec, "post-xfer exec = (echo $RSYNC_EXIT_STATUS $RSYNC_RAW_STATUS $RSYNC_MODULE_NAME > DIR/N.tmp; mv DIR/N.tmp DIR/N.out)", "rsync -r M/ o/; until test -e N.out; do sleep 0.01; done; cat N.out", "0 0 N"},
	{conf.PreXferExec, "pre-xfer exec = echo \"$RSYNC_REQUEST\" \"$RSYNC_ARG1\" > DIR/N.out; echo no; exit 2", "rsync -r M/one o/; cat N.out", "pre-xfer exec returned failure (512)"},
	{conf.ReadOnly, "read only = yes", "rsync -r src/ M/; rsync -r --remove-source-files M/one o/; ls N", "module is read only"},
	{conf.RefuseOptions, "refuse options = c delete !delete-after\nread only = no", "rsync -r M/ o/; rsync -rc M/ o/; rsync -r --delete src/ M/", "refuse --delete"},
	{conf.ReverseLookup, "reverse lookup = yes\nhosts allow = localhost\nforward lookup = no", "rsync -r M/one o/; ls o", "one"},
	{conf.SecretsFile, "auth users = liang\nsecrets file = DIR/secrets", "rsync -r U/ o/; ls o; rsync -r --password-file=wrong rsync://liang@AT/N/ o2/", "auth failed"},
	{conf.StrictModes, "auth users = liang\nsecrets file = DIR/loose\nstrict modes = no", "rsync -r U/ o/; ls o", "one"},
	{conf.TempDir, "temp dir = /none\nread only = no", "rsync -r src/ M/", "The temp-dir does not exist: DIR/N/none"},
	{conf.Timeout, "timeout = 9", "rsync -r --debug=io2 M/one o/ 2>&1 | grep -i 'timeout to 9'; ls o", "one"},
	{conf.TransferLogging, "transfer logging = yes\nlog file = DIR/N.log\nread only = no", "rsync -r src/new M/; rsync -r --delete empty/ M/deep/; " + logged, "recv HOST [127.0.0.1] N () new 4"},
	{conf.UID, "uid = 4711\ngid = 4711\nread only = no", "chmod 777 N; rsync -r src/ M/; stat -c %u N/new; chmod 600 N/one; rsync -r M/one o/", "4711"},
	{conf.UseChroot, "use chroot = yes", "ln -s /etc/passwd N/abs; rsync -rl M/ o/; readlink o/abs; rsync -r M/../../one o2/; ls o2", "/etc/passwd"},
	{conf.WriteOnly, "write only = yes\nread only = no", "rsync -r M/ o/; rsync -r src/ M/; ls N", "module is write only"},
}

// logged shows what the module's log has about files.
const logged = `until grep -q 'total size' N.log; do sleep 0.01; done; sed -n 's/^[^]]*\] //p' N.log | grep -E '^(send|recv|del[.]) ' | sort`

// moduleName is what a module is called after its parameter.
func moduleName(p conf.Param) string {
	return "p-" + strings.NewReplacer(" ", "-").Replace(p.String())
}

// corner is one of four: a daemon and the client that is used with it.
type corner struct {
	*world
	path string // PATH, by which the client is found
}

// corners starts the four, the first being that of the real ones.
func corners(t *testing.T) []*corner {
	t.Helper()
	rsync(t)
	script, config := paramStuff, owner()
	for _, p := range paramTests {
		name := moduleName(p.param)
		script += "cp -a own " + name + "\n"
		config += fmt.Sprintf("[%[1]s]\npath = DIR/%[1]s\n%[2]s\n", name, strings.ReplaceAll(p.config, "DIR/N", "DIR/"+name))
	}
	var all []*corner
	for _, face := range []bool{false, true} {
		for _, client := range []bool{false, true} {
			c := &corner{world: build(t, script, config), path: os.Getenv("PATH")}
			if client {
				c.path = filepath.Join(c.dir, "bin") + ":" + c.path
				must(t, os.Symlink(executable(t), filepath.Join(c.dir, "bin", "rsync")))
			}
			c.start(face)
			all = append(all, c)
		}
	}
	return all
}

// executable is our program, which is rsync if it is called so.
func executable(t testing.TB) string {
	t.Helper()
	name, err := harness.Binary()
	must(t, err)
	return name
}

// start starts a daemon as a process of its own: the real one or ours.
func (w *world) start(ours bool, words ...string) *exec.Cmd {
	w.t.Helper()
	program := rsync(w.t)
	if ours {
		program = executable(w.t)
	}
	for range 5 { // the port may be taken by somebody else
		w.port = freePort(w.t)
		cmd := exec.Command(program, append([]string{"--daemon", "--no-detach", "--config=" + filepath.Join(w.dir, "rsyncd.conf"),
			"--address=127.0.0.1", fmt.Sprint("--port=", w.port)}, words...)...)
		cmd.Args[0] = "rsync"
		if w.answers(w.launch(cmd)) {
			return cmd
		}
	}
	w.t.Fatalf("the daemon does not start:\n%s", w.read("log"))
	return nil
}

// launch starts a daemon that ends with the test, with all its processes.
func (w *world) launch(cmd *exec.Cmd) (ended <-chan struct{}) {
	w.t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(w.t, cmd.Start())
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	w.t.Cleanup(func() {
		group := -cmd.Process.Pid
		_ = syscall.Kill(group, syscall.SIGKILL)
		<-done
		eventually(w.t, "the daemon's processes are gone", func() bool { return !running(-group) })
	})
	return done
}

// running reports whether a group of processes has one that has not ended.
func running(group int) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range files {
		data, _ := os.ReadFile(name)
		_, after, _ := strings.Cut(string(data), ") ")
		if f := strings.Fields(after); len(f) > 2 && f[0] != "Z" && f[2] == fmt.Sprint(group) {
			return true
		}
	}
	return false
}

// try runs what shows a parameter.
func (c *corner) try(p *paramTest) string {
	name := moduleName(p.param)
	script := strings.NewReplacer("M/", "rsync://"+c.address()+"/"+name+"/", "U/", "--password-file=password rsync://liang@"+c.address()+"/"+name+"/",
		"URL", "rsync://"+c.address(), "AT", c.address(), "DIR", c.dir).Replace(p.run)
	script = regexp.MustCompile(`\bN\b`).ReplaceAllString(script, name)
	script = regexp.MustCompile(`\b(o2?)\b`).ReplaceAllString(script, "$1."+name)
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "PATH="+c.path, "LC_ALL=C.UTF-8")
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, _ := cmd.CombinedOutput()
	text := temporary.ReplaceAllString(c.plain(string(out)), ".X")
	return strings.ReplaceAll(strings.ReplaceAll(text, name, "N"), "localhost", "HOST")
}

// temporary is the end of a temporary name.
var temporary = regexp.MustCompile(`\.[A-Za-z0-9]{6}\b`)

// TestParameters shows what each parameter of a module does.
func TestParameters(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root changes its identity")
	}
	all := corners(t)
	for i := range paramTests {
		p := &paramTests[i]
		t.Run(p.param.String(), func(t *testing.T) {
			got := make([]string, len(all))
			var wait sync.WaitGroup
			for j, c := range all {
				wait.Go(func() { got[j] = c.try(p) })
			}
			wait.Wait()
			if !strings.Contains(got[0], p.want) {
				t.Errorf("it shows nothing:\n%s", got[0])
			}
			for j, name := range []string{"", "our client with the real daemon", "the real client with our daemon", "our client and daemon"} {
				if got[j] != got[0] {
					t.Errorf("%s:\n%s\nthe real ones:\n%s", name, got[j], got[0])
				}
			}
		})
	}
}

// TestEveryParameterHasATest keeps the list whole.
func TestEveryParameterHasATest(t *testing.T) {
	for _, p := range conf.All() {
		ofModule := slices.ContainsFunc(paramTests, func(o paramTest) bool { return o.param == p })
		_, elsewhere := globalTests[p]
		if ofModule == elsewhere {
			t.Errorf("%s: %v and %v", p, ofModule, elsewhere)
		}
	}
}
