package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/rsync/session"
)

// optionRows are options as rsync's command line has them and as ours.
var optionRows = []struct {
	flags string
	opts  session.Options
}{
	{"-rlptgoD", session.Options{Recurse: true, Links: true, Perms: true, Times: true, Group: true, Owner: true, Devices: true, Specials: true, IncRecurse: true}},
	{"-r --no-inc-recursive", session.Options{Recurse: true}},
	{"-r --delete", session.Options{Recurse: true, Delete: true, IncRecurse: true}},
	{"-r --delete-after --force", session.Options{Recurse: true, Delete: true, DeleteWhen: "after", Force: true, IncRecurse: true}},
	{"-r --delete --delete-excluded --no-inc-recursive", session.Options{Recurse: true, Delete: true, DeleteExcluded: true}},
	{"-d --delete", session.Options{Dirs: true, Delete: true}},
	{"-d", session.Options{Dirs: true}},
	{"-lR --files-from=/dev/null --delete-missing-args", session.Options{Links: true, Relative: true, DeleteMissing: true}},
	{"-lR --no-implied-dirs", session.Options{Links: true, Relative: true, NoImplied: true}},
	{"-r --max-delete=0 --delete", session.Options{Recurse: true, Delete: true, IncRecurse: true}},
	{"-r --max-delete=7 --delete", session.Options{Recurse: true, Delete: true, IncRecurse: true, MaxDelete: 7}},
	{"-rl --devices", session.Options{Recurse: true, Links: true, Devices: true, IncRecurse: true}},
	{"-rl --specials", session.Options{Recurse: true, Links: true, Specials: true, IncRecurse: true}},
	{"-rHAX --numeric-ids -p -c -I -n", session.Options{Recurse: true, HardLinks: true, ACLs: true, Xattrs: true, NumericIDs: true, Perms: true,
		Checksum: true, IgnoreTimes: true, DryRun: true, IncRecurse: true}},
	{"-ru --size-only --existing --ignore-existing --ignore-errors --partial", session.Options{Recurse: true, Update: true, SizeOnly: true, Existing: true,
		IgnoreExisting: true, IgnoreErrors: true, Partial: true, IncRecurse: true}},
	{"-rKOJWS --fsync --mkpath", session.Options{Recurse: true, KeepDirlinks: true, OmitDirTimes: true, OmitLinkTimes: true, WholeFile: true,
		Sparse: true, Fsync: true, MkPath: true, IncRecurse: true}},
	{"-r --backup --backup-dir=.deleted", session.Options{Recurse: true, Backup: true, BackupDir: ".deleted", IncRecurse: true}},
	{"-r --timeout=30 --bwlimit=100", session.Options{Recurse: true, Timeout: 30, BwLimit: 100, IncRecurse: true}},
	{"-r --modify-window=2", session.Options{Recurse: true, ModifyWindow: 2, IncRecurse: true}},
	{"-ryy", session.Options{Recurse: true, Fuzzy: 2, IncRecurse: true}},
	{"-ryy --link-dest=old", session.Options{Recurse: true, Fuzzy: 2, LinkDest: []string{"old"}, IncRecurse: true}},
	{"-ry", session.Options{Recurse: true, Fuzzy: 1, IncRecurse: true}},
	{"-rz", session.Options{Recurse: true, Compress: "auto", IncRecurse: true}},
	{"-rz --compress-level=3", session.Options{Recurse: true, Compress: "auto", CompressLevel: 3, IncRecurse: true}},
	{"-r --zc=zlib", session.Options{Recurse: true, Compress: "zlib", IncRecurse: true}},
	{"-r --zc=zlibx", session.Options{Recurse: true, Compress: "zlibx", IncRecurse: true}},
	{"-r --zc=zstd", session.Options{Recurse: true, Compress: "zstd", IncRecurse: true}},
	{"-r --zc=lz4 --zl=1", session.Options{Recurse: true, Compress: "lz4", CompressLevel: 1, IncRecurse: true}},
	{"-r --temp-dir=/t?p/$x --link-dest=../old --link-dest=[a]\\*b'c", session.Options{Recurse: true, TempDir: "/t?p/$x",
		LinkDest: []string{"../old", "[a]\\*b'c"}, IncRecurse: true}},
	{"-r -M--fake-super -M--log-file=a*b", session.Options{Recurse: true, Remote: []string{"--fake-super", "--log-file=a*b"}, IncRecurse: true}},
}

// The real rsync is asked for its server's command line, over a remote shell
// that writes it down.
func TestShellArgumentsAreThoseOfRsync(t *testing.T) {
	t.Parallel()
	rsync := needRsync(t)
	dir := t.TempDir()
	shell := filepath.Join(dir, "shell")
	write(t, shell, "#!/bin/sh\nfor a in \"$@\"; do printf '%s\\0' \"$a\"; done > \"$OUT\"\nexit 1\n", 0o755)
	for _, row := range optionRows {
		for _, protocol := range []int{29, 32} {
			if protocol < 30 && (row.opts.ACLs || len(row.opts.LinkDest) > 1) {
				continue // rsync refuses these below protocol 30
			}
			out := filepath.Join(dir, "out")
			args := append(strings.Fields(row.flags), "-e", shell, fmt.Sprint("--protocol=", protocol), dir+"/", "host:dest/")
			cmd := exec.Command(rsync, args...)
			cmd.Env = append(os.Environ(), "OUT="+out)
			cmd.Run() // fails, since nobody answers
			want := strings.TrimPrefix(read(out), "host\x00rsync\x00")
			opts := row.opts
			if !strings.Contains(row.flags, "max-delete") {
				opts.MaxDelete = -1
			}
			got := strings.Join(append(opts.ServerArgs(protocol), ".", "dest/"), "\x00") + "\x00"
			if got != want {
				t.Errorf("%s at %d:\ngot  %q\nwant %q", row.flags, protocol, got, want)
			}
		}
	}
}

// The same for a daemon, which gets its arguments over the connection.
func TestDaemonArgumentsAreThoseOfRsync(t *testing.T) {
	t.Parallel()
	rsync := needRsync(t)
	for _, protocol := range []int{29, 30} {
		for _, row := range optionRows {
			if protocol < 30 && (row.opts.ACLs || len(row.opts.LinkDest) > 1 || row.opts.Fuzzy > 0) {
				continue // rsync refuses them, the last for the sake of protocol 28
			}
			t.Run(fmt.Sprintf("%s at %d", row.flags, protocol), func(t *testing.T) {
				t.Parallel()
				want := daemonArgumentsOf(t, rsync, protocol, row.flags)
				opts := row.opts
				if !strings.Contains(row.flags, "max-delete") {
					opts.MaxDelete = -1
				}
				path, err := session.DaemonPath("mod", "a b-é'/c")
				if err != nil {
					t.Fatal(err)
				}
				got, err := session.EncodeArgs(protocol, append(opts.ServerArgs(protocol), ".", path))
				if err != nil || string(got) != want {
					t.Errorf("%v\ngot  %q\nwant %q", err, got, want)
				}
			})
		}
	}
}

// daemonArgumentsOf runs rsync against a daemon of the given protocol and
// returns what it sends after "OK".
func daemonArgumentsOf(t *testing.T, rsync string, protocol int, flags string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	end := endArgs
	if protocol < 30 {
		end = "\n\n"
	}
	sent := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			sent <- err.Error()
			return
		}
		defer conn.Close()
		var all bytes.Buffer
		fmt.Fprintf(conn, "@RSYNCD: %d.0 md5 md4\n", protocol)
		readUntil(conn, "mod\n")
		fmt.Fprint(conn, ok)
		readUntil(io.TeeReader(conn, &all), end)
		sent <- all.String()
	}()
	args := append(strings.Fields(flags), t.TempDir()+"/", fmt.Sprintf("rsync://%s/mod/a b-é'/c/", l.Addr()))
	exec.Command(rsync, args...).Run() // fails, since nobody answers
	l.Close()
	return <-sent
}

func TestDaemonPaths(t *testing.T) {
	for path, want := range map[string]string{
		"": "mod/", "/": "mod/", "a": "mod/a/", "/a/b/": "mod/a/b/", "-x": "mod/./-x/", `back\slash $x`: `mod/back\slash $x/`,
	} {
		if got, err := session.DaemonPath("mod", path); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", path, got, err, want)
		}
	}
	if got, _ := session.DaemonPath("-mod", "a"); got != "./-mod/a/" {
		t.Errorf("module with a dash: %q", got)
	}
	for _, path := range []string{"a*", "a/b?", "[x]", "a mod/b", "a mod"} {
		if got, err := session.DaemonPath("mod", path); !errors.Is(err, session.ErrPath) {
			t.Errorf("%q: %q, %v", path, got, err)
		}
	}
}

func TestArgumentLists(t *testing.T) {
	for _, row := range []struct {
		protocol int
		args     []string
		want     string
	}{
		{32, []string{"--server", "-te.LsfxCIvu", ".", "mod/"}, "--server\x00-te.LsfxCIvu\x00.\x00mod/\x00\x00"},
		{29, []string{"--server", "-t", ".", "mod/"}, "--server\n-t\n.\nmod/\n\n"},
		{30, []string{"mod/a\nb/"}, "mod/a\nb/\x00\x00"},
	} {
		if got, err := session.EncodeArgs(row.protocol, row.args); err != nil || string(got) != row.want {
			t.Errorf("%q at %d: %q, %v", row.args, row.protocol, got, err)
		}
	}
	for _, row := range []struct {
		protocol int
		args     []string
	}{
		{29, []string{"mod/a\nb/"}}, {29, []string{"mod/a\rb/"}}, {32, []string{"a\x00b"}}, {32, []string{""}},
		{32, []string{strings.Repeat("x", 5120)}}, {32, make([]string, 16000)},
	} {
		if got, err := session.EncodeArgs(row.protocol, row.args); err == nil {
			t.Errorf("%.50q at %d became %.50q", row.args, row.protocol, got)
		}
	}
}

// A shell must give back exactly what was quoted.
func TestShellQuoting(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	var all strings.Builder
	for b := 1; b < 256; b++ {
		if b != '\n' {
			all.WriteByte(byte(b))
		}
	}
	for _, s := range []string{"plain", "two words", "*", "a\tb", "'\"`$x`", `\`, `\\*`, "x\\", all.String(), "#no comment", "a;b&c|d"} {
		out, err := exec.Command(shell, "-c", "printf %s "+session.QuoteValue(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q came back as %q, %v", s, out, err)
		}
	}
	for path, want := range map[string]string{"": ".", "a b": `a\ b/`, "-x": "./-x/", "~/x*": `~/x\*/`, "/": "/", "/srv/": "/srv/"} {
		if got := session.ShellPath(path); got != want {
			t.Errorf("path %q: %q, want %q", path, got, want)
		}
	}
}

func TestOptionsThatCannotBeSent(t *testing.T) {
	rows := []struct {
		name     string
		protocol int
		opts     session.Options
		path     string
		code     int
		words    string
	}{
		{"ACLs at protocol 29", 29, session.Options{ACLs: true}, "", 2, "requires protocol 30"},
		{"attributes at protocol 29", 29, session.Options{Xattrs: true}, "", 2, "requires protocol 30"},
		{"fuzzy at protocol 28", 28, session.Options{Fuzzy: 1}, "", 2, "requires protocol 29"},
		{"two link directories at protocol 28", 28, session.Options{LinkDest: []string{"a", "b"}}, "", 2, "requires protocol 29"},
		{"a wildcard", 32, session.Options{}, "a*b", 1, "wildcard"},
		{"a line end at protocol 29", 29, session.Options{}, "a\nb", 1, "cannot be sent"},
		{"deletion of nothing in particular", 32, session.Options{Delete: true}, "", 1, "Delete needs"},
		{"an unknown compression", 32, session.Options{Compress: "bzip2"}, "", 1, "Compress"},
		{"an unknown time of deletion", 32, session.Options{DeleteWhen: "never"}, "", 1, "DeleteWhen"},
		{"a limit below none", 32, session.Options{MaxDelete: -2}, "", 1, "MaxDelete"},
		{"a window below nanoseconds", 32, session.Options{ModifyWindow: -2}, "", 1, "ModifyWindow"},
		{"too fuzzy", 32, session.Options{Fuzzy: 3}, "", 1, "Fuzzy"},
		{"too many link directories", 32, session.Options{LinkDest: make([]string, 21)}, "", 1, "LinkDest"},
		{"a negative timeout", 32, session.Options{Timeout: -1}, "", 1, "Timeout"},
		{"a negative bandwidth", 32, session.Options{BwLimit: -1}, "", 1, "BwLimit"},
		{"a NUL byte", 32, session.Options{TempDir: "\x00"}, "", 1, "NUL"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			sent := make(chan bool, 1)
			ep := fakeServer(t, script(func(conn net.Conn) {
				n, _ := conn.Read(make([]byte, 1))
				sent <- n > 0
			}, toOK...))
			ep.Protocol = row.protocol
			c, err := session.Connect(context.Background(), ep)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Start(t.Context(), row.opts, row.path)
			e := asError(t, err)
			if e.Code != row.code || !e.Permanent || !strings.Contains(err.Error(), row.words) {
				t.Errorf("error %v", err)
			}
			if <-sent {
				t.Error("something was sent all the same")
			}
			if c.Alive() {
				t.Error("the connection was kept")
			}
		})
	}
}
