package proof_test

import (
	"os/exec"
	"strings"
	"testing"

	"lockstep/internal/proof/harness"
)

// realWork is what people do in a source tree, as shell scripts that run in
// it one after the other. needs names the programs.
var realWork = []struct{ name, needs, script string }{
	{"git init and commits", "git", `
		git init -q -b main repo && cd repo && git config user.email a@b.c && git config user.name n
		for i in $(seq 12); do
			mkdir -p pkg$((i % 4)); echo "line $i" >> pkg$((i % 4))/file$i.go; date +%N > always
			git add -A && git commit -q -m "commit $i"
		done`},
	{"git branch switches", "git", `
		cd repo && git checkout -q -b feature HEAD~5 && echo x > only-here && git add -A && git commit -q -m feature
		for i in 1 2 3 4; do git checkout -q main; git checkout -q feature; done
		git merge -q -m merge main -X theirs && git stash list && git tag v1`},
	{"git gc", "git", `cd repo && git gc -q --prune=now && git repack -q -ad && git reset -q --hard HEAD~1`},
	{"git clone", "git", `git clone -q repo clone && cd clone && echo y >> always && git config user.email a@b.c && git config user.name n && git commit -qam y`},
	{"cp -a of Go source", "cp", `mkdir gosrc && cp -a "$GOSRC"/net "$GOSRC"/crypto "$GOSRC"/go gosrc/`},
	{"tar extraction", "tar", `tar -C gosrc -cf ../archive.tar net && mkdir untarred && tar -C untarred -xpf ../archive.tar && rm ../archive.tar`},
	{"rename of large trees", "mv", `mv gosrc/crypto gosrc/krypto && mv gosrc renamed && mkdir deeper && mv renamed/krypto deeper/ && mv deeper/krypto deeper/krypto2 && mv untarred/net renamed/net/net2`},
	{"sed -i over many files", "sed", `find renamed/net -name '*.go' -maxdepth 2 -print0 | xargs -0 sed -i 's/package/packet /'`},
	{"sqlite commits", "sqlite3", `
		for i in $(seq 8); do
			sqlite3 app.db "create table if not exists t(a,b); begin; with recursive c(x) as (select 1 union all select x+1 from c where x<300) insert into t select x, randomblob(100) from c; commit;"
		done`},
	{"sqlite in WAL mode and vacuum", "sqlite3", `
		sqlite3 app.db "pragma journal_mode=wal; delete from t where a % 2; insert into t values(1, zeroblob(50000));" > /dev/null
		sqlite3 app.db "vacuum; pragma journal_mode=delete;" > /dev/null`},
	{"release symlinks flipped", "mv", `
		for i in 1 2 3 4 5 6; do
			mkdir -p releases/$i && echo "release $i" > releases/$i/index.html && ln -s releases/$i next && mv -T next current
		done; rm -r releases/1 releases/2`},
	{"log appends", "bash", `for i in $(seq 300); do echo "$i $(date +%N)" >> app.log; [ $((i % 100)) != 0 ] || mv app.log app.log.$((i / 100)); done`},
	{"sparse files", "truncate", `truncate -s 20M sparse && echo end >> sparse && dd if=/dev/urandom of=sparse bs=4k count=2 seek=700 conv=notrunc status=none && cp --sparse=always sparse sparse2`},
	// Two pieces: with inotify, what was written through a link that is replaced at
	// once cannot be found (README, Limits).
	{"hard-linked files", "cp", `cp -al renamed/net/http linked && echo more >> linked/server.go`},
	{"links replaced and removed", "cp", `ln -f linked/client.go linked/server.go && rm renamed/net/http/request.go && cp -al linked linked2`},
	{"editors that write beside and rename", "mv", `for i in 1 2 3; do for f in renamed/net/*.go; do cp -p "$f" "$f~" && echo "// $i" >> "$f.tmp" && mv "$f.tmp" "$f"; done; done`},
	{"chmod and touch of a tree", "chmod", `chmod -R g+w,o-r deeper && find deeper -name '*_test.go' -exec touch -d '2003-04-05 06:07:08.123456789' {} + && find deeper -type d -exec touch -d '2004-05-06 07:08:09.987654321' {} +`},
	{"find -delete", "find", `find renamed -name '*_test.go' -delete && find deeper -type f -newermt 2020-01-01 -delete && find . -depth -type d -empty -delete`},
	{"rm -rf and the same names again", "rm", `rm -rf clone && git clone -q repo clone && rm -rf linked && mkdir linked && echo new > linked/server.go`},
}

// Real work in a source with a directory, a daemon and a remote shell as
// targets: after each piece all are identical, content and nanosecond times.
func TestRealWork(t *testing.T) {
	need(t, "rsync", "git")
	out, err := exec.Command("go", "env", "GOROOT").Output()
	check(t, err)
	goSource := strings.TrimSpace(string(out)) + "/src"
	for _, backend := range []string{"fanotify", "inotify"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			if backend == "fanotify" {
				needRoot(t, "fanotify")
			}
			source, directory, remote := t.TempDir(), t.TempDir(), t.TempDir()
			d := startDaemon(t, harness.DaemonConfig{})
			m := startMirror(t, "--watch", backend, "-H", "--rsh", newShell(t).Path, "--password-file", d.PasswordFile,
				source, directory, d.URL(), "host:"+remote)
			check(t, m.WaitInStep(soon, 3))
			want := harness.Comparison{HardLinks: true}
			wantMunged := harness.Comparison{HardLinks: true, Munged: true}
			for _, piece := range realWork {
				done := t.Run(piece.name, func(t *testing.T) {
					need(t, piece.needs)
					sh(t, source, "GOSRC="+goSource+"\n"+piece.script)
					converge(t, source, directory, want)
					converge(t, source, d.Path, wantMunged)
					converge(t, source, remote, want)
				})
				if !done {
					t.FailNow()
				}
			}
			stopMirror(t, m)
		})
	}
}

// All of it at once, without waiting in between.
func TestRealWorkInOneGo(t *testing.T) {
	need(t, "rsync", "git", "sqlite3")
	t.Parallel()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	check(t, err)
	goSource := strings.TrimSpace(string(out)) + "/src"
	source, directory := t.TempDir(), t.TempDir()
	d := startDaemon(t, harness.DaemonConfig{})
	m := startMirror(t, "--password-file", d.PasswordFile, source, directory, d.URL())
	for _, piece := range realWork {
		sh(t, source, "GOSRC="+goSource+"\n"+piece.script)
	}
	if heavy() {
		sh(t, source, "cp -a "+goSource+" all-of-go && mv all-of-go go && find go -name '*.go' -size -4k -delete")
	}
	converge(t, source, directory, plain)
	converge(t, source, d.Path, munged)
	stopMirror(t, m)
}
