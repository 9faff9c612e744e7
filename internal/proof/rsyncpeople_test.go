package proof_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// A habit is a script as people have it around rsync. It is run with the real
// rsync and with lockstep under the name rsync, each in a world of its own;
// what is printed and what is left must be the same.
type habit struct {
	name   string
	world  string
	script string
	needs  []string
	root   bool
}

const office = `
home/letters/a.txt 3000
home/letters/b.txt 4000 mode=0600
home/pictures/one.jpg 70k
home/pictures/two.jpg 90k t=1500000000
home/pictures/again.jpg = home/pictures/one.jpg
home/latest -> letters/a.txt
home/cache/x 100
home/cache/y 200
home/empty/
`

// day changes the office a little. Times are set, so that worlds stay equal.
const day = `
day() { # number
	seq $(($1 * 1000)) | head -c $((3000 + $1)) >home/letters/day$1.txt
	seq $(($1 * 77)) >home/letters/a.txt
	rm -f home/letters/day$(($1 - 2)).txt
	[ $1 = 2 ] && mv home/pictures home/photos && chmod 700 home/empty
	[ $1 = 3 ] && chmod 755 home/empty && ln -sfn letters/b.txt home/latest
	find home -newermt 2021-01-01 -exec touch -h -d @160000000$1 {} +
}
`

var habits = []habit{
	{
		name: "backups that rotate and share unchanged files", world: office,
		script: day + `
mkdir backups
for n in 1 2 3 4 5; do
	day $n
	rm -rf backups/daily.3
	for i in 2 1 0; do [ -d backups/daily.$i ] && mv backups/daily.$i backups/daily.$((i + 1)); done
	rsync -aH --delete --numeric-ids --link-dest=../daily.1 --exclude=cache/ home/ backups/daily.0/ -i | sort
done
touch -d @0 backups
`},
	{
		name: "backups with a date and a link to the latest", world: office,
		script: day + `
mkdir backups
for n in 1 2 3; do
	day $n
	rsync -a --delete --link-dest="$PWD/backups/latest" home backups/2026-01-0$n 2>&1 | grep -v 'does not exist' || true
	ln -sfn 2026-01-0$n backups/latest
done
touch -h -d @0 backups backups/latest
`},
	{
		name: "hard-linked copies that are then brought up to date", world: office,
		script: day + `
for n in 1 2 3; do
	day $n
	rm -rf hourly.1; [ -d hourly.0 ] && cp -al hourly.0 hourly.1
	rsync -a --delete home/ hourly.0/
done
`},
	{
		name: "push with everything that people type", world: office,
		script: `rsync -avzP --delete -e ssh home/ user@host:copy/; rsync -avzP --delete -e ssh home/ host:copy`},
	{
		name: "pull with everything that people type", world: office,
		script: `rsync -avzhP --stats host:home/ copy/; rsync -avzhP --exclude='*.jpg' host:home/letters host:home/cache copy`},
	{
		name: "push with RSYNC_RSH and a path of its own", world: office,
		script: `export RSYNC_RSH='ssh -l someone'; unset RSYNC_X; rsync -a --rsync-path="mkdir -p deep/er && rsync" home/ host:deep/er/; rsync -ai host:deep/er/letters/ back/`},
	{
		name: "names from find", world: office,
		script: `(cd home && find . -name '*.jpg' -print0) | rsync -ai -0 --files-from=- home/ jpgs/; find home -type f -size -5k | rsync -ai --no-R --files-from=- . flat/`},
	{
		name: "what would change", world: office,
		script: day + `
rsync -a home/ copy/; day 1
rsync -ain --delete home/ copy/ | awk '{print $2, $1}' | sort
rsync -rvn --delete home/ copy/ | sed '/^$/d' | head -20 | grep -v ^sent
rsync -an --out-format='%o %n' home/ copy/
rsync -rn --info=name1,stats0 home/ copy/
rsync -nrc --out-format=%n home/ copy/`},
	{
		name: "a pipeline that removes what it has moved", world: "in/",
		script: `
mkdir out
for n in 1 2 3 4 5 6; do
	mkdir -p in/batch$n; seq $((n * 100)) >in/batch$n/job; seq $n >in/job$n
	find in -exec touch -h -d @1600000000 {} +
	rsync -a --remove-source-files in/ host:out/
	find in -type f
	find in -mindepth 1 -type d -empty -delete
done
find out in -exec touch -h -d @1600000000 {} +`},
	{
		name: "both ways, newest wins", world: "left/a 100 t=1600000001\nleft/b 200\nleft/only 1\nright/a 101\nright/b 201 t=1600000002\nright/other 2\n",
		script: `rsync -rtiu left/ right/; rsync -rtiu right/ left/; rsync -rtiun left/ right/`},
	{
		name: "a system's directory as root", world: office + "home/dev/null char=1:3 mode=0666\nhome/run/s socket\nhome/run/p fifo\nhome/u 1 uid=1000 gid=100\nhome/bin/su 100 mode=4755\nhome/acl 1 acl=u::rw-,u:1:r--,g::r--,m::r--,o::---\nhome/x 1 user.a=b\n",
		script: `rsync -aHAXSi --numeric-ids --one-file-system --delete --exclude={/cache/*,/proc/*} home/ host:root/; rsync -aHAXSi --numeric-ids host:root/ back/`, root: true},
	{
		name: "a mirror with a file of rules", world: office + "rules \"# what to keep\\n- cache/\\n+ *.txt\\n+ */\\nP kept\\n- *\\n\"\ncopy/kept 1\ncopy/gone.txt 2\ncopy/other 3\n",
		script: `rsync -ai --delete --delete-excluded --prune-empty-dirs --filter='merge rules' home/ copy/`},
	{
		name: "a move by hand", world: office,
		script: `rsync -a --remove-source-files home/letters other/ && find home -type d -empty -delete; ls -R home other`},
	{
		name: "copies of single files", world: office,
		script: `rsync home/letters/a.txt copy; rsync -p home/letters/b.txt copy2; rsync -t home/letters/*.txt dir/; rsync -r home/pictures/one.jpg dir/renamed.jpg; find copy* dir -newermt 2021-01-01 -exec touch -h -d @1600000000 {} +`},
	{
		name: "lists of what is there", world: office,
		script: `rsync home/; rsync -r home/ | awk '{print $5, $1, $2}'; rsync --list-only host:home/letters/; rsync host:home | cat`},
	{
		name: "a backup of what was overwritten", world: office,
		script: day + `
rsync -a home/ copy/
for n in 1 2 3; do day $n; rsync -ab --delete --backup-dir=../old/$n --suffix= home/ copy/; done
find copy old -type d -exec touch -d @1600000000 {} +`},
	{
		name: "an exit code that is asked about", world: office,
		script: `
rsync -a home/nothing copy/ 2>/dev/null; echo $?
rsync -a --nothing home/ copy/ 2>/dev/null; echo $?
rsync -a home/ nowhere/x/y/ 2>/dev/null; echo $?
rsync -a home/ host:nowhere/x/y/ 2>/dev/null; echo $?
rsync -a --max-delete=0 --delete home/letters/ home/pictures/ >/dev/null 2>&1; echo $?
rsync --version | head -c 6; echo; rsync --version | sed -n 's/.*protocol version/protocol/p'`},
}

// bins makes directories whose rsync is the real one or lockstep, and whose
// ssh is the stand-in. A path in which only they differ says who is tried.
func bins(t *testing.T) (real, ours string) {
	t.Helper()
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o755))
	for name, program := range map[string]string{"real": lab.real, "ours": lab.ours} {
		bin := filepath.Join(dir, name)
		check(t, os.Mkdir(bin, 0o755))
		check(t, os.Symlink(program, filepath.Join(bin, "rsync")))
		check(t, os.Symlink(lab.shell.Path, filepath.Join(bin, "ssh")))
	}
	return filepath.Join(dir, "real"), filepath.Join(dir, "ours")
}

// live runs a script in a world with the programs of bin first in its path.
func live(t *testing.T, world, bin, script string) (out, errs string) {
	t.Helper()
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = world
	cmd.Env = []string{
		"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + world, "LC_ALL=C.UTF-8", "TZ=UTC",
		harness.ShellHomeVar + "=" + world, "RSYNC=" + filepath.Join(bin, "rsync"),
	}
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	cmd.WaitDelay = time.Minute
	if err := cmd.Run(); err != nil {
		t.Logf("%s: %v", bin, err)
	}
	return harness.Plain(o.String(), world, bin), harness.Plain(e.String(), world, bin)
}

func TestRsyncHabits(t *testing.T) {
	needLab(t)
	var seen knownTally
	t.Cleanup(func() { seen.unused(t) })
	realBin, oursBin := bins(t)
	for _, h := range habits {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			need(t, h.needs...)
			if h.root {
				needRoot(t, "owners and devices")
			}
			span := harness.Span{From: time.Now().Add(-time.Second)}
			var worlds, outs, errs [2]string
			for i, bin := range []string{realBin, oursBin} {
				world, err := newWorld(h.world)
				check(t, err)
				t.Cleanup(func() { _ = os.RemoveAll(world) })
				worlds[i] = world
				outs[i], errs[i] = live(t, world, bin, h.script)
			}
			span.To = time.Now().Add(time.Second)
			found := []string{h.name}
			if d := harness.DiffLines(harness.Settled(outs[0]), harness.Settled(outs[1])); d != "" {
				found = append(found, "standard output:", d)
			}
			if d := harness.DiffLines(harness.SortedLines(errs[0]), harness.SortedLines(errs[1])); d != "" {
				found = append(found, "standard error:", d)
			}
			left, err := harness.Compare(worlds[0], worlds[1], harness.Comparison{HardLinks: true, Xattrs: true, AllXattrs: true, Now: span})
			check(t, err)
			if len(left) > 0 {
				found = append(append(found, "what is left (the source is the real one's):"), left...)
			}
			seen.report(t, "habit/"+h.name, found)
		})
	}
}
