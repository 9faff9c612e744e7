package doctor_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/ops/config"
	"lockstep/internal/ops/doctor"
)

// healthy is a machine that allows everything.
func healthy() map[string]string {
	return map[string]string{
		"proc/sys/kernel/osrelease":              "6.1.0-1-amd64\n",
		"proc/self/status":                       "Name:\tlockstep\nUid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n",
		"proc/self/limits":                       "Limit                     Soft Limit           Hard Limit           Units\nMax open files            65536                65536                files\n",
		"proc/sys/fs/file-nr":                    "1024\t0\t100000\n",
		"proc/sys/fs/inotify/max_user_watches":   "8192\n",
		"proc/sys/fs/inotify/max_user_instances": "128\n",
		"proc/sys/fs/inotify/max_queued_events":  "16384\n",
		"proc/sys/user/max_inotify_watches":      "8192\n",
		"proc/sys/user/max_inotify_instances":    "128\n",
		"etc/sysctl.d/99-other.conf":             "vm.swappiness = 1\n",
		"proc/4711/fdinfo/3":                     "pos:\t0\ninotify wd:2 ino:1\ninotify wd:1 ino:2\n",
		"proc/4711/fdinfo/4":                     "pos:\t0\n",
		"proc/4712/fdinfo/5":                     "inotify wd:1 ino:9\n",
		"proc/not-a-process/fdinfo/1":            "inotify wd:1 ino:9\n",
	}
}

// plant makes the machine, with what is to be different.
func plant(t *testing.T, different map[string]string) string {
	t.Helper()
	root := t.TempDir()
	files := healthy()
	for name, text := range different {
		files[name] = text
	}
	for name, text := range files {
		at := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for fd, to := range map[string]string{"4711/fd/3": "anon_inode:inotify", "4711/fd/4": "/dev/null", "4712/fd/5": "anon_inode:inotify"} {
		at := filepath.Join(root, "proc", fd)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// watched is a mirror of a source of 40 directories that takes inotify watches.
func watched(t *testing.T, extra string) []config.Mirror {
	t.Helper()
	dir := t.TempDir()
	for i := range 39 {
		if err := os.MkdirAll(filepath.Join(dir, "source", fmt.Sprintf("d%02d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf("[mirror.www]\nwatch = 'inotify'\nsource = %q\n", filepath.Join(dir, "source"))
	if !strings.Contains(extra, "targets") {
		text += fmt.Sprintf("targets = [%q]\n", filepath.Join(dir, "copy"))
	}
	c, err := config.Decode([]byte(text+extra), config.ReadRules)
	if err != nil {
		t.Fatal(err)
	}
	return c.Mirrors
}

// find gives the findings of a check that hold a text.
func find(r *doctor.Report, check, text string) []doctor.Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f doctor.Finding) bool {
		return f.Check != check || !strings.Contains(f.Text, text)
	})
}

func TestFindingsOfTheMachine(t *testing.T) {
	for name, c := range map[string]struct {
		different   map[string]string
		check, text string
		level       doctor.Level
		fix         string
	}{
		"a kernel that has everything":      {nil, "kernel", "Linux 6.1.0", doctor.OK, ""},
		"a kernel without openat2":          {map[string]string{"proc/sys/kernel/osrelease": "5.4.0"}, "kernel", "older than 5.6", doctor.Warning, "apt-get"},
		"a kernel without paired renames":   {map[string]string{"proc/sys/kernel/osrelease": "5.10.0"}, "kernel", "older than 5.17", doctor.Note, "apt-get"},
		"a kernel that is far too old":      {map[string]string{"proc/sys/kernel/osrelease": "3.10.0"}, "kernel", "statx is missing", doctor.Problem, "apt-get"},
		"a kernel that says nothing":        {map[string]string{"proc/sys/kernel/osrelease": "?"}, "kernel", "does not tell", doctor.Note, "uname -r"},
		"root with everything":              {nil, "privileges", "every capability", doctor.OK, ""},
		"root without CAP_MKNOD":            {map[string]string{"proc/self/status": "Uid:\t0\t0\t0\t0\nCapEff:\t000001fff7ffffff\n"}, "privileges", "without CAP_MKNOD devices are not made", doctor.Note, "sudo lockstep"},
		"an ordinary user":                  {map[string]string{"proc/self/status": "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\n"}, "privileges", "uid 1000: without CAP_SYS_ADMIN", doctor.Note, "sudo lockstep"},
		"few open files":                    {map[string]string{"proc/self/limits": "Max open files            64                65536                files\n"}, "files", "a process may open 64 files", doctor.Problem, "ulimit -n 512"},
		"a machine that is short of files":  {map[string]string{"proc/sys/fs/file-nr": "90001\t0\t100000\n"}, "files", "90,001 of the machine's 100,000", doctor.Warning, "sysctl -w fs.file-max=200000"},
		"enough watches":                    {nil, "inotify", "max_user_watches is 8,192; the sources have 40 directories to watch, 3 watches are in use elsewhere", doctor.OK, ""},
		"too few watches":                   {map[string]string{"proc/sys/fs/inotify/max_user_watches": "42"}, "inotify", "fs.inotify.max_user_watches is 42", doctor.Problem, "sysctl -w fs.inotify.max_user_watches=64"},
		"too few watches in this namespace": {map[string]string{"proc/sys/user/max_inotify_watches": "10"}, "inotify", "user.max_inotify_watches is 10", doctor.Problem, "sysctl -w user.max_inotify_watches=64"},
		"too few instances":                 {map[string]string{"proc/sys/fs/inotify/max_user_instances": "2"}, "inotify", "max_user_instances is 2; the mirrors take 1, 2 are in use elsewhere", doctor.Problem, "sysctl -w fs.inotify.max_user_instances=64"},
	} {
		t.Run(name, func(t *testing.T) {
			r := doctor.Examine(t.Context(), doctor.Options{Root: plant(t, c.different), Mirrors: watched(t, "")})
			got := find(r, c.check, c.text)
			if len(got) != 1 || got[0].Level != c.level || !strings.HasPrefix(got[0].Fix, c.fix) || (c.fix == "") != (got[0].Fix == "") {
				t.Errorf("got %+v of %+v, want %s %q", got, r.Findings, c.level, c.fix)
			}
		})
	}
}

func TestWhatIsNotWellNamesACommand(t *testing.T) {
	r := doctor.Examine(t.Context(), doctor.Options{Root: plant(t, map[string]string{
		"proc/sys/kernel/osrelease": "4.1.0", "proc/self/status": "Uid:\t1\t1\t1\t1\nCapEff:\t0\n", "proc/self/limits": "Max open files 1 1 files\n",
		"proc/sys/fs/inotify/max_user_watches": "1", "proc/sys/fs/inotify/max_user_instances": "0",
	}), Mirrors: watched(t, "targets = ['/nowhere/at/all', '/dev/null', 'host.invalid::x']"), Timeout: 5 * time.Second})
	for _, f := range r.Findings {
		if (f.Level == doctor.Warning || f.Level == doctor.Problem) && f.Fix == "" {
			t.Errorf("no command mends %+v", f)
		}
	}
	if r.Worst() != doctor.Problem || r.Count(doctor.Problem) < 6 {
		t.Errorf("%d problems, worst %s: %+v", r.Count(doctor.Problem), r.Worst(), r.Findings)
	}
}

func TestTheWatchesOfTheRunningServiceAreNotCountedTwice(t *testing.T) {
	r := doctor.Examine(t.Context(), doctor.Options{Root: plant(t, nil), Mirrors: watched(t, ""), Running: 4711})
	if got := find(r, "inotify", "1 watch is in use elsewhere"); len(got) != 2 { // of fs and of user
		t.Errorf("got %+v", r.Findings)
	}
}

func TestFixRaisesWhatIsTooLowAndNothingElse(t *testing.T) {
	root := plant(t, map[string]string{"proc/sys/fs/inotify/max_user_watches": "42\n", "etc/sysctl.d/60-lockstep.conf": "# Written by lockstep doctor --fix.\nfs.inotify.max_user_instances = 512\nfs.inotify.max_user_watches = 43\n"})
	look := doctor.Options{Root: root, Mirrors: watched(t, "")}
	r := doctor.Examine(t.Context(), look)
	path, err := r.Fix(root)
	if err != nil || path != filepath.Join(root, "etc/sysctl.d/60-lockstep.conf") {
		t.Fatalf("got %q, %v", path, err)
	}
	want := "# Written by lockstep doctor --fix.\nfs.inotify.max_user_watches = 64\nfs.inotify.max_user_instances = 512\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v, want %q", path, got, err, want)
	}
	for name, want := range map[string]string{"proc/sys/fs/inotify/max_user_watches": "64\n", "proc/sys/fs/inotify/max_user_instances": "128\n"} {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v, want %q", name, got, err, want)
		}
	}
	again := doctor.Examine(t.Context(), look)
	if len(again.Sysctls) != 0 || again.Count(doctor.Problem) != 0 {
		t.Errorf("after the fix: %+v", again.Findings)
	}
	if path, err := again.Fix(root); path != "" || err != nil {
		t.Errorf("nothing to fix, got %q, %v", path, err)
	}
}

func TestFixLeavesAFileOfSomebodyElseAlone(t *testing.T) {
	root := plant(t, map[string]string{"proc/sys/fs/inotify/max_user_watches": "42\n", "etc/sysctl.d/60-lockstep.conf": "# mine\n"})
	r := doctor.Examine(t.Context(), doctor.Options{Root: root, Mirrors: watched(t, "")})
	if _, err := r.Fix(root); err == nil || !strings.Contains(err.Error(), "was not written by lockstep") {
		t.Errorf("got %v", err)
	}
	if got, _ := os.ReadFile(filepath.Join(root, "proc/sys/fs/inotify/max_user_watches")); string(got) != "42\n" {
		t.Errorf("the limit became %q", got)
	}
}

func TestFindingsOfTargets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := l.Addr().(*net.TCPAddr).Port // accepts and never says a word
	t.Cleanup(func() { l.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		extra, check, text string
		level              doctor.Level
		fix                string
	}{
		"a directory to be made":            {"", "target", "nothing is in it yet", doctor.OK, ""},
		"a directory whose parent is gone":  {"targets = ['/nowhere/at/all']", "target", "neither it nor", doctor.Problem, "mkdir -p /nowhere/at/all"},
		"a file":                            {fmt.Sprintf("targets = [%q]", file), "target", "not a directory", doctor.Problem, "mv "},
		"its free space":                    {"", "space", " free", doctor.OK, ""},
		"a daemon that refuses to connect":  {"targets = ['rsync://127.0.0.1:1/m']", "target", "connection refused", doctor.Problem, "ssh 127.0.0.1 systemctl"},
		"a daemon that says nothing":        {fmt.Sprintf("targets = ['rsync://127.0.0.1:%d/m']", silent), "target", "rsync session", doctor.Problem, "ping -c 3"},
		"a password file for all to read":   {fmt.Sprintf("targets = ['127.0.0.1::m']\npassword_file = %q", file), "target", "others must not", doctor.Problem, "chmod 600 "},
		"a remote shell that is not there":  {"targets = ['host:/x']\nshell = '/nowhere/ssh'", "target", "/nowhere/ssh", doctor.Problem, "/nowhere/ssh host rsync --version"},
		"a file system shown by its source": {"", "watch", "inotify: one watch for each directory", doctor.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.check == "watch" && os.Geteuid() != 0 {
				c.level, c.fix = doctor.Note, "sudo lockstep"
			}
			r := doctor.Examine(t.Context(), doctor.Options{Root: plant(t, nil), Mirrors: watched(t, c.extra), Timeout: 200 * time.Millisecond})
			got := find(r, c.check, c.text)
			if len(got) != 1 || got[0].Level != c.level || !strings.HasPrefix(got[0].Fix, c.fix) {
				t.Errorf("got %+v of %+v, want %s %q", got, r.Findings, c.level, c.fix)
			}
		})
	}
}

func TestFindingsOfSources(t *testing.T) {
	mirrors := watched(t, "exclude = ['d0*/']")
	r := doctor.Examine(t.Context(), doctor.Options{Root: plant(t, nil), Mirrors: mirrors})
	if len(find(r, "source", "holds 39 entries in 30 directories")) != 1 { // d00 to d09 are not entered
		t.Errorf("got %+v", r.Findings)
	}
	if err := os.RemoveAll(mirrors[0].Source); err != nil {
		t.Fatal(err)
	}
	r = doctor.Examine(t.Context(), doctor.Options{Root: plant(t, nil), Mirrors: mirrors})
	if got := find(r, "source", "is not there"); len(got) != 1 || got[0].Level != doctor.Problem || !strings.HasPrefix(got[0].Fix, "mkdir -p /") {
		t.Errorf("got %+v", r.Findings)
	}
}

func TestALoopIsFound(t *testing.T) {
	mirrors := watched(t, "")
	mirrors[0].Targets = []string{filepath.Join(mirrors[0].Source, "d01", "copy")}
	r := doctor.Examine(t.Context(), doctor.Options{Root: plant(t, nil), Mirrors: mirrors})
	if got := find(r, "source", "overlap"); len(got) != 1 || got[0].Level != doctor.Problem {
		t.Errorf("got %+v", r.Findings)
	}
}

func TestNothingIsAskedOffline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r := doctor.Examine(ctx, doctor.Options{Root: plant(t, nil), Mirrors: watched(t, "targets = ['192.0.2.1::x']"), Offline: true})
	if got := find(r, "target", "not asked"); len(got) != 1 || ctx.Err() != nil {
		t.Errorf("got %+v", r.Findings)
	}
}

func FuzzParseShellAnswer(f *testing.F) {
	f.Add([]byte("1700000000\nFilesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 1000 1 999 1% /\n"))
	f.Add([]byte("welcome\n-1\nx\ny 9223372036854775807 1 9223372036854775807 1% /\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		now, free, all, ok := doctor.ParseShellAnswer(out)
		if ok && (free < 0 || all < 0 || now.Unix() < 0) {
			t.Errorf("%q gives %v, %d, %d", out, now, free, all)
		}
	})
}
