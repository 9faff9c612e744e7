package harness_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/proof/harness"
)

const everything = `
# a comment
src/
src/empty
src/small 100 mode=0600
src/numbered 3k#7+"te xt\n"+100#8
src/holes z1m+10
src/late 5 t=1700000000.000000001 at=1500000000
"src/new\nline and \"quotes\"" 1
"src/\xff" 2
src/d/e/f 10
src/d/ mode=0711 t=1400000000
src/link -> "some where"
src/other = src/small
src/pipe fifo mode=0640
src/s socket
src/x 1 user.a=b user.c="d\x00e"
src/acl 1 acl=u::rw-,u:1:r--,g::r--,m::r--,o::---
src/dacl/ dacl=u::rwx,g::r-x,o::---
`

const forRoot = `
src/owned 1 uid=1000 gid=4
src/null char=1:3 mode=0666
src/disk block=7:200
`

func TestPlantAndScriptMakeTheSame(t *testing.T) {
	for _, program := range []string{"bash", "setfacl", "setfattr", "perl", "fallocate"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	// setfattr takes no value with a NUL in it.
	layout := strings.ReplaceAll(everything, `\x00`, "-")
	if os.Geteuid() == 0 {
		layout += forRoot
	}
	planted, scripted := t.TempDir(), t.TempDir()
	if err := harness.Plant(planted, layout); err != nil {
		t.Fatal(err)
	}
	script, err := harness.Script(layout)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-eu", "-c", script)
	cmd.Dir = scripted
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, script)
	}
	found, err := harness.Compare(planted+"/src", scripted+"/src", harness.Comparison{
		HardLinks: true, Xattrs: true, AllXattrs: true, Holes: true, Atimes: true,
	})
	if err != nil || len(found) > 0 {
		t.Error(err, strings.Join(found, "\n"), "\n", script)
	}
}

func TestPlantMakesWhatIsAskedFor(t *testing.T) {
	dir := t.TempDir()
	if err := harness.Plant(dir, everything); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "src/numbered"))
	if err != nil || len(text) != 3<<10+6+100 || !strings.HasPrefix(string(text), "70000000\n70000001\n") || !strings.Contains(string(text), "te xt\n80000000\n") {
		t.Errorf("%v, %.40q", err, text)
	}
	info, err := os.Lstat(filepath.Join(dir, "src/late"))
	if err != nil || info.ModTime().UnixNano() != 1700000000000000001 {
		t.Error(err, info.ModTime().UnixNano())
	}
	for _, bad := range []string{"a 10x", "a mode=9", `"a`, "a char=1", "a uid=x", "a 1#x", "a acl=u:r", "a t=x"} {
		if err := harness.Plant(t.TempDir(), bad); err == nil {
			t.Errorf("%q was planted", bad)
		}
	}
}

func TestEqualNamesHoldEqualBytesInAllTrees(t *testing.T) {
	dir := t.TempDir()
	if err := harness.Plant(dir, "src/a 5000\ndst/a 5000\nsrc/b 5000\n"); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if read("src/a") != read("dst/a") || read("src/a") == read("src/b") {
		t.Error("src/a and dst/a are to be equal, src/a and src/b not")
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{"-a  --b c", []string{"-a", "--b", "c"}},
		{`-f '- *.o' "x y"z \* ''`, []string{"-f", "- *.o", "x yz", "*", ""}},
	} {
		got, err := harness.Words(c.line)
		if err != nil || strings.Join(got, "|") != strings.Join(c.want, "|") || len(got) != len(c.want) {
			t.Errorf("%q: %q, %v", c.line, got, err)
		}
	}
	if _, err := harness.Words("'open"); err == nil {
		t.Error("a quote that is open was taken")
	}
}

func TestPlainLeavesOutWhatVaries(t *testing.T) {
	const text = "/tmp/x/w123/src/a and \"/w123/dst\" (in m)\n" +
		"sent 1,234 bytes  received 5 bytes  99.50 bytes/sec\ntotal size is 77  speedup is 1.05\n" +
		"rsync error: nothing (code 23) at main.c(1338) [sender=3.5.0]\n" +
		"\r    5 10%  1.00kB/s    0:00:01\r   50 100%   97.66kB/s    0:00:00 (xfr#1, to-chk=0/2)\n"
	const want = "$W/src/a and \"$W/dst\" (in m)\n" +
		"sent N bytes  received N bytes  N bytes/sec\ntotal size is 77  speedup is N\n" +
		"rsync error: nothing (code 23) at FILE(LINE) [sender=VERSION]\n" +
		"   50 100% N/s TIME (xfr#1, to-chk=0/2)\n"
	if d := harness.DiffLines(want, harness.Plain(text, "/tmp/x/w123")); d != "" {
		t.Error(d)
	}
}

func TestTrafficDiffers(t *testing.T) {
	const said = "sent 10,000 bytes  received 300 bytes  9 bytes/sec\n"
	for other, differs := range map[string]bool{
		"sent 10,100 bytes  received 350 bytes  9 bytes/sec\n": false,
		"sent 20,000 bytes  received 300 bytes  9 bytes/sec\n": true,
		"nothing": false, // which is for those who compare the lines
	} {
		if got := harness.TrafficDiffers(said, other) != ""; got != differs {
			t.Errorf("%q: %v", other, got)
		}
	}
}
