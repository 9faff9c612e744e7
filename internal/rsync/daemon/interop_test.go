package daemon_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// stuff makes the files that most tests serve.
const stuff = `
mkdir -p mod/sub/secret src/deep locked
echo hello > mod/a.txt; ln -s a.txt mod/link; echo deep > mod/sub/file; echo x > mod/sub/secret/x; echo o > mod/b.o
echo new > src/new; echo deep > src/deep/file; ln -s ../new src/deep/up; chmod 640 src/new; chmod 755 src src/deep mod mod/sub
echo 'liang:123456' > secrets; echo '#x:y' >> secrets; echo 'x;y:pw' >> secrets; chmod 600 secrets
cp secrets loose; chmod 644 loose
printf 123456 > password; printf wrong > wrong; printf pw > pw; chmod 600 password wrong pw
echo early > early; touch -h -d @1000000000 mod/* src/* src mod
`

// owner makes a module run as whoever runs the test.
func owner() string {
	return fmt.Sprintf("uid = %d\ngid = %d\nuse chroot = no\n", os.Getuid(), os.Getgid())
}

const modules = `
max verbosity = 2
[mod]
path = DIR/mod
read only = no
comment = a module
[hidden]
path = DIR/mod
list = no
[ro]
path = DIR/mod
[wo]
path = DIR/mod
write only = yes
read only = no
[deny]
path = DIR/mod
hosts deny = *
[denyhidden]
path = DIR/mod
hosts deny = *
list = no
[refuse]
path = DIR/mod
read only = no
refuse options = delete checksum
[nopath]
[gone]
path = DIR/gone
[baduid]
path = DIR/mod
uid = nosuch
[badgid]
path = DIR/mod
gid = nosuch
[off]
path = DIR/mod
max connections = -1
[auth]
path = DIR/mod
read only = no
auth users = liang
secrets file = DIR/secrets
[authro]
path = DIR/mod
read only = no
auth users = liang:ro
secrets file = DIR/secrets
[authrw]
path = DIR/mod
auth users = l*:rw
secrets file = DIR/secrets
[loose]
path = DIR/mod
auth users = liang
secrets file = DIR/loose
[anyhow]
path = DIR/mod
auth users = liang
strict modes = no
secrets file = DIR/loose
[denied]
path = DIR/mod
auth users = liang:deny
secrets file = DIR/secrets
[digest]
path = DIR/mod
auth users = liang
auth digest = sha256
secrets file = DIR/secrets
[filtered]
path = DIR/mod
read only = no
exclude = *.o /sub/secret/***
[rules]
path = DIR/mod
read only = no
filter = - /a.txt  - /sub/secret/
[plain]
path = DIR/mod
read only = no
munge symlinks = no
[chmod]
path = DIR/mod
read only = no
incoming chmod = D700,F600
outgoing chmod = D755,F444
[prefail]
path = DIR/mod
pre-xfer exec = echo out text; echo second; echo err >&2; exit 3
[earlyfail]
path = DIR/mod
early exec = exit 3
[hooks]
path = DIR/mod
read only = no
early exec = (cat; env) > DIR/early.out
pre-xfer exec = env > DIR/pre.out; echo unseen
post-xfer exec = env > DIR/post.tmp; mv DIR/post.tmp DIR/post.out
[timeout]
path = DIR/mod
timeout = 7
[fake]
path = DIR/mod
read only = no
fake super = yes
[quiet]
path = DIR/mod
max verbosity = 0
[iconv]
path = DIR/mod
charset = utf-8
refuse options = no-iconv
[readable]
path = DIR/mod
read only = no
ignore nonreadable = yes
uid = 4711
gid = 4711
[converter]
path = DIR/mod
name converter = DIR/none
numeric ids = no
`

// scenarios are commands of a client that must go the same way with both
// daemons, and leave the same behind.
var scenarios = []struct{ name, command string }{
	{"a list of modules", "rsync URL/"},
	{"a listing", "rsync --no-h URL/mod/"},
	{"a pull", "rsync -av URL/mod/ out/"},
	{"a pull of one file", "rsync -av URL/mod/a.txt out/"},
	{"a pull of a module that is not listed", "rsync -av URL/hidden/ out/"},
	{"a pull with compression", "rsync -avz URL/mod/ out/"},
	{"a pull with wildcards", "rsync -a 'URL/mod/*.txt' URL/mod/s* out/"},
	{"a pull with wildcards in secluded arguments", "rsync -as 'URL/mod/*.txt' out/"},
	{"a pull with relative names", "rsync -avR URL/mod/./sub/file out/"},
	{"a pull that leads out", "rsync -a URL/mod/../../ out/ && rsync -a URL/mod/sub/../../../a.txt out2/"},
	{"a pull of what is not there", "rsync -a URL/mod/none out/"},
	{"a push", "rsync -av src/ URL/mod/up/"},
	{"a push that deletes", "rsync -av --delete src/ URL/mod/"},
	{"a push that leads out", "rsync -a src/ URL/mod/../../x/"},
	{"a push of one file under another name", "rsync -a src/new URL/mod/other"},
	{"a push of old protocols", "for p in 27 28 29 30 31; do rsync -a --protocol=$p src/ URL/mod/p$p/ || exit; done"},
	{"a pull of old protocols", "for p in 27 28 29 30 31; do rsync -a --protocol=$p URL/mod/ out$p/ || exit; done"},
	{"secluded arguments of an old protocol", "rsync -as --protocol=29 src/ URL/mod/up/"},
	{"secluded arguments", "rsync -as src/ 'URL/mod/a dir/'"},
	{"a dry run", "rsync -avn --delete src/ URL/mod/"},
	{"itemized", "rsync -ai --delete src/ URL/mod/"},
	{"backups in a directory of the module", "rsync -a --backup --backup-dir=/bak --delete src/ URL/mod/sub/"},
	{"a link-dest in the module", "rsync -a src/ URL/mod/one/ && rsync -a --link-dest=../one src/ URL/mod/two/"},
	{"a temporary directory of the module", "mkdir mod/tmp; rsync -a --temp-dir=/tmp src/ URL/mod/sub/"},
	{"a list of files at the daemon", "printf 'a.txt\nsub/file\n' > mod/list; rsync -a --files-from=:/list URL/mod/ out/"},
	{"a list of files here", "printf 'a.txt\nsub/file\n' > list; rsync -a --files-from=list URL/mod/ out/"},
	{"a push to a module that is read only", "rsync -av src/ URL/ro/"},
	{"removing the sources of a module that is read only", "rsync -a --remove-source-files URL/ro/a.txt out/"},
	{"removing the sources", "rsync -a --remove-source-files URL/mod/a.txt out/"},
	{"a pull from a module that is write only", "rsync -a URL/wo/ out/"},
	{"a push to a module that is write only", "rsync -a src/ URL/wo/"},
	{"an unknown module", "rsync -a URL/none/ out/"},
	{"a module in another case", "rsync -a URL/MOD/ out/"},
	{"a denied host", "rsync -a URL/deny/ out/"},
	{"a denied host of a module that is not listed", "rsync -a URL/denyhidden/ out/"},
	{"a refused option", "rsync -a --delete src/ URL/refuse/"},
	{"a module without a path", "rsync -a URL/nopath/ out/"},
	{"a path that is not there", "rsync -a URL/gone/ out/"},
	{"an unknown user", "rsync -a URL/baduid/ out/"},
	{"an unknown group", "rsync -a URL/badgid/ out/"},
	{"a module that is turned off", "rsync -a URL/off/ out/"},
	{"a password", "rsync -a --password-file=password src/ rsync://liang@AT/auth/"},
	{"a wrong password", "rsync -a --password-file=wrong src/ rsync://liang@AT/auth/"},
	{"a wrong user", "rsync -a --password-file=password src/ rsync://joe@AT/auth/"},
	{"a password with old protocols", "for p in 27 29 30 31; do rsync -a --protocol=$p --password-file=password src/ rsync://liang@AT/auth/ || exit; done"},
	{"a user who may only read", "rsync -a --password-file=password src/ rsync://liang@AT/authro/"},
	{"a user who may write", "rsync -a --password-file=password src/ rsync://liang@AT/authrw/"},
	{"a denied user", "rsync -a --password-file=password rsync://liang@AT/denied/ out/"},
	{"a secrets file that others may read", "rsync -a --password-file=password rsync://liang@AT/loose/ out/"},
	{"the same where that does not matter", "rsync -a --password-file=password rsync://liang@AT/anyhow/ out/"},
	{"a digest that is demanded", "rsync -a --password-file=password rsync://liang@AT/digest/ out/"},
	{"a filter on pull", "rsync -av URL/filtered/ out/"},
	{"a filter on pull of a hidden file", "rsync -a URL/filtered/b.o out/"},
	{"a filter on push", "echo o > src/c.o; rsync -a src/ URL/filtered/"},
	{"a filter on push below its anchor", "mkdir src/secret; echo s > src/secret/s; rsync -a src/ URL/filtered/sub/"},
	{"a filter keeps files from being deleted", "rsync -a --delete src/ URL/filtered/"},
	{"a filter of rules", "rsync -av URL/rules/ out/"},
	{"symlinks that are munged", "ln -s /etc/passwd src/abs; rsync -a src/ URL/mod/ && rsync -a URL/mod/ out/"},
	{"symlinks that are not munged", "ln -s ../../../etc/passwd src/out; rsync -a src/ URL/plain/"},
	{"incoming modes", "rsync -a src/ URL/chmod/in/"},
	{"outgoing modes", "rsync -a URL/chmod/ out/"},
	{"an early exec that fails", "rsync -a URL/earlyfail/ out/"},
	{"a dialogue about time", "rsync -a URL/timeout/ out/"},
	{"another charset", "rsync -a --iconv=utf8 src/ URL/mod/"},
	{"a log file of the client's choice", "rsync -a -M--log-file=x src/ URL/mod/"},
	{"links that are insecure", "rsync -a -M--insecure-links src/ URL/mod/"},
	{"an option that nobody knows", "rsync -a -M--nonsense src/ URL/mod/"},
	{"a backup directory that the filter hides", "rsync -a --backup-dir=/sub/secret/x src/ URL/filtered/"},
	{"a temporary directory that the filter hides", "rsync -a --temp-dir=/sub/secret src/ URL/filtered/"},
	{"a partial directory that the filter hides", "rsync -a --partial-dir=/sub/secret src/ URL/filtered/"},
	{"a link-dest that the filter hides", "rsync -a --link-dest=/sub/secret src/ URL/filtered/up/"},
	{"a copy-dest that the filter hides", "rsync -a --copy-dest=/sub/secret src/ URL/filtered/up/"},
	{"an option that is refused with a list at the daemon", "echo new > mod/list; rsync -a --delete --protocol=30 --files-from=:/list src/ URL/refuse/ 2>&1 | grep refuse"},
	{"the same with an old protocol", "echo new > mod/list; rsync -a --delete --protocol=29 --files-from=:/list src/ URL/refuse/ 2>&1 | grep refuse"},
	{"names without a charset where one is demanded", "rsync -a URL/iconv/ out/ 2>&1 | grep refuse"},
	{"names with a charset where one is demanded", "rsync -a --iconv=utf8 URL/iconv/ out/"},
	{"what cannot be read is neither listed nor deleted", "chmod 755 .; chmod 777 mod; chmod 600 mod/b.o; rsync -rl --delete --exclude=/sub src/ URL/readable/; rsync -r --exclude=/link URL/readable/ out/"},
	{"a message of verbosity", "rsync -avvv URL/quiet/ out/ > /dev/null"},
}

func TestSameAsTheRealDaemon(t *testing.T) {
	rsync(t)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			real := build(t, stuff, owner()+modules).serveReal()
			ours := build(t, stuff, owner()+modules).serve()
			want, got := real.run(s.command), ours.run(s.command)
			if got != want {
				t.Errorf("the client says\n%s\nwith the real daemon\n%s", got, want)
			}
			for _, dir := range []string{"mod", "out", "out2", "src"} {
				if want, got := real.tree(dir), ours.tree(dir); got != want {
					t.Errorf("%s is\n%s\nwith the real daemon\n%s", dir, got, want)
				}
			}
			if t.Failed() {
				t.Logf("the log:\n%s", ours.read("log"))
			}
		})
	}
}

// TestTheClassicConfiguration serves what people have, with its misspelt line.
func TestTheClassicConfiguration(t *testing.T) {
	rsync(t)
	if os.Getuid() != 0 {
		t.Skip("it changes to root's identity")
	}
	const classic = `uid = nobody
gid = nobody
use chroot = no
max connections = 10
stric mode = yes
pid file = DIR/rsyncd.pid
[web1]
path = DIR/share
comment = web1 file
ignore errors
read only = no
write only = no
hosts allow = 127.0.0.1
hosts deny = *
list = false
uid = root
gid = root
auth users = liang
secrets file = DIR/secrets
`
	w := build(t, stuff+"mkdir share; echo old > share/old", classic).serve()
	if got := w.run("rsync -avzH --delete --progress --password-file=password src/ liang@127.0.0.1::web1 --port=$(echo AT | cut -d: -f2) >/dev/null"); got != "-> 0\n" {
		t.Fatalf("%s%s", got, w.read("log"))
	}
	want := "new"
	if got := w.tree("share"); !strings.Contains(got, want) || strings.Contains(got, "old") {
		t.Errorf("the share has\n%s", got)
	}
	if !strings.Contains(w.read("log"), `IGNORING unknown parameter "stric mode"`) {
		t.Errorf("the log does not tell of the misspelt line:\n%s", w.read("log"))
	}
	if got := w.run("rsync URL/"); got != "-> 0\n" {
		t.Errorf("the module is listed: %s", got)
	}
}

func TestHooksKnowWhatHappens(t *testing.T) {
	rsync(t)
	w := build(t, stuff, owner()+modules).serve()
	if got := w.run("rsync -a --early-input=early src/ URL/hooks/up/"); got != "-> 0\n" {
		t.Fatalf("%s%s", got, w.read("log"))
	}
	eventually(t, "a post-xfer exec", func() bool { return !strings.Contains(w.read("post.out"), "no such file") })
	for name, want := range map[string][]string{
		"early.out": {"early\n", "RSYNC_MODULE_NAME=hooks\n", "RSYNC_MODULE_PATH=" + w.dir + "/mod\n", "RSYNC_HOST_ADDR=127.0.0.1\n", "RSYNC_USER_NAME=\n", "RSYNC_REQUEST=(NONE)\n"},
		"pre.out":   {"RSYNC_REQUEST=hooks/up/\n", "RSYNC_ARG0=rsyncd\n", "RSYNC_ARG1=--server\n", "RSYNC_ARG3=.\n", "RSYNC_ARG4=up/\n", "RSYNC_PID="},
		"post.out":  {"RSYNC_EXIT_STATUS=0\n", "RSYNC_RAW_STATUS=0\n", "RSYNC_MODULE_NAME=hooks\n"},
	} {
		for _, line := range want {
			if got := w.read(name); !strings.Contains(got, line) {
				t.Errorf("%s has no %q:\n%s", name, line, got)
			}
		}
	}
	if got := w.run("rsync -a URL/prefail/ out/"); !strings.Contains(got, "pre-xfer exec returned failure (768):\nout text\nsecond\n") {
		t.Errorf("a pre-xfer exec that fails: %s", got)
	}
}
