package daemon_test

import (
	"strings"
	"testing"

	"lockstep/internal/rsync/daemon"
	"lockstep/internal/rsync/daemon/conf"
)

func TestPathsStayInTheModule(t *testing.T) {
	rows := []struct{ path, want string }{
		{"mod", "."}, {"mod/", "."}, {"mod/a", "a"}, {"mod/a/", "a/"}, {"mod//a", "a"}, {"mod/../..", "."}, {"mod/../../etc/passwd", "etc/passwd"},
		{"mod/a/../b", "b"}, {"mod/a/./b", "a/./b"}, {"mod/a/./../b", "b"}, {"mod/a/..", "."}, {"mod/a/b/..", "a/"}, {"mod/./", "./"}, {"mod/a b", "a b"},
		{"other/a", "other/a"}, {"module/a", "module/a"}, {"/etc/passwd", "etc/passwd"}, {"../x", "x"}, {"mod/..a", "..a"}, {"mod/a/...", "a/..."},
	}
	for _, r := range rows {
		if got := daemon.Clean(daemon.InModule(r.path, "mod")); got != r.want {
			t.Errorf("%q becomes %q, not %q", r.path, got, r.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("mod/a/../../b/./c/")
	f.Fuzz(func(t *testing.T, path string) {
		got := daemon.Clean(path)
		if strings.HasPrefix(got, "/") || strings.HasPrefix(got, "../") || got == ".." || strings.Contains(got, "/../") || strings.HasSuffix(got, "/..") {
			t.Errorf("%q becomes %q", path, got)
		}
		if again := daemon.Clean(got); again != got {
			t.Errorf("%q becomes %q, then %q", path, got, again)
		}
	})
}

func TestRequests(t *testing.T) {
	rows := []struct {
		name     string
		protocol int
		sent     string
		words    string // joined by |
		secluded bool
	}{
		{"words that end in NUL", 31, "--server\x00-te.L\x00.\x00mod/\x00\x00", "--server|-te.L|.|mod/", false},
		{"lines of old clients", 29, "--server\n-t\n.\nmod/\n\n", "--server|-t|.|mod/", false},
		{"line ends of old clients", 29, "--server\r\r", "--server", false},
		{"options without their backslashes", 31, "--suffix=\\*a\\ b\x00.\x00mod/a\\*\x00\x00", `--suffix=*a b|.|mod/a\*`, false},
		{"secluded", 32, "--server\x00--sender\x00-ste.LsfxCIvu\x00\x00rsync\x00.\x00exec/a.txt\x00\x00", "--server|--sender|-ste.LsfxCIvu|.|exec/a.txt", true},
		{"secluded of old clients", 29, "--server\n-slHogDtpr\n(null)\n--delete\n.\nmod/\n\nrsync\x00--delete\x00.\x00mod/\x00\x00",
			"--server|-slHogDtpr|--delete|.|mod/", true},
		{"an s in what the client can do", 31, "--server\x00-te.Lsf\x00.\x00mod/\x00\x00", "--server|-te.Lsf|.|mod/", false},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			words, secluded, err := daemon.ReadRequest(strings.NewReader(r.sent), r.protocol)
			if got := strings.Join(words, "|"); err != nil || got != r.words || secluded != r.secluded {
				t.Errorf("got %q, %v, %v", got, secluded, err)
			}
		})
	}
}

func TestRequestsAreBounded(t *testing.T) {
	long := strings.Repeat("x", 6000) + "\x00\x00"
	words, _, err := daemon.ReadRequest(strings.NewReader(long), 31)
	if err != nil || len(words) != 1 || len(words[0]) != 5119 {
		t.Errorf("a long word: %d words, %v", len(words), err)
	}
	if _, _, err := daemon.ReadRequest(strings.NewReader(strings.Repeat("a\x00", 20_000)+"\x00"), 31); err == nil {
		t.Error("20,000 words are taken")
	}
	if _, _, err := daemon.ReadRequest(strings.NewReader(strings.Repeat("a", 10<<20)), 31); err == nil {
		t.Error("10 MiB of words are taken")
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte("--server\x00-te.L\x00.\x00mod/\x00\x00"), 31)
	f.Add([]byte("--server\n-slHogDtpr\n(null)\n\nrsync\x00\x00"), 29)
	f.Fuzz(func(t *testing.T, data []byte, protocol int) {
		words, _, err := daemon.ReadRequest(strings.NewReader(string(data)), protocol)
		if err == nil && len(words) > len(data) {
			t.Errorf("%d words of %d bytes", len(words), len(data))
		}
		daemon.Refuses("* !a", strings.Join(words, " "))
	})
}

func TestGreetings(t *testing.T) {
	rows := []struct {
		line     string
		protocol int
		told     string
	}{
		{"@RSYNCD: 32.0 sha512 md5", 32, ""},
		{"@RSYNCD: 31.0", 31, ""},
		{"@RSYNCD: 29", 29, ""},
		{"@RSYNCD: 33.0 md5", 32, ""},
		{"@RSYNCD: 32.5 md5", 31, ""},
		{"@RSYNCD: 19.0", 0, ""},
		{"@RSYNCD: 99.0 md5", 0, ""},
		{"@RSYNCD: 30", 30, "your client omitted the subprotocol value: @RSYNCD: 30"},
		{"@RSYNCD: 32.0", 32, "your client omitted the digest name list: @RSYNCD: 32.0"},
		{"hello", 0, "protocol startup error"},
		{"@RSYNCD: ", 0, "protocol startup error"},
		{"@RSYNCD: x", 0, "protocol startup error"},
		{"@RSYNCD: -1.0", 0, "protocol startup error"},
		{"@RSYNCD: 31.99999999999999999999", 0, "protocol startup error"},
	}
	for _, r := range rows {
		g, err := daemon.ParseGreeting(r.line)
		told := ""
		if err != nil {
			told = err.Error()
		}
		if told != r.told || g.Protocol() != r.protocol {
			t.Errorf("%q: protocol %d, %q", r.line, g.Protocol(), told)
		}
	}
}

func TestRefusals(t *testing.T) {
	rows := []struct{ name, list, words, refused string }{
		{"nothing", "", "--server -logDtpre.LsfxCIvu . x", ""},
		{"a long name for a letter", "checksum", "--server -cte.L . x", "--checksum (-c)"},
		{"a letter", "c", "--server -cte.L . x", "--checksum (-c)"},
		{"delete and all that implies it", "delete", "--server -r --delete-during . x", "--delete-during"},
		{"delete itself", "c delete", "--server -r --delete . x", "--delete"},
		{"missing arguments that delete", "delete", "--server --delete-missing-args . x", "--delete-missing-args"},
		{"removing sources from a daemon", "delete", "--server --sender --remove-source-files . x", "--remove-source-files"},
		{"removing sources of a client", "delete", "--server --remove-source-files . x", ""},
		{"a wildcard", "delete-*", "--server --delete-after . x", "--delete-after"},
		{"a wildcard with an exception", "delete-* !delete-during", "--server --delete-during . x", ""},
		{"everything but what is named", "* !a !v !compress*", "--server -vlogDtprze.iLsfxCIvu . x", ""},
		{"everything, and one more", "* !a !v", "--server -vlogDtprze.iLsfxCIvu . x", "--compress (-z)"},
		{"everything leaves a dry run", "*", "--server -ne.L . x", ""},
		{"what is behind the options", "checksum", "--server -te.L . --checksum", ""},
		{"letters behind -e are none", "u", "--server -te.LsfxCIvu . x", ""},
		{"devices by default", "", "--server --write-devices . x", "--write-devices"},
		{"devices if they are accepted", "!write-devices", "--server --write-devices . x", ""},
		{"log files always", "!log-file", "--server --log-file=x . x", "--log-file"},
		{"conversion without a charset", "", "--server --iconv=utf8 . x", "--iconv"},
		{"inplace refuses appending", "inplace", "--server --append . x", "--append"},
		{"partial directories", "partial", "--server --partial-dir p . x", "--partial-dir"},
		{"the value of an option is none", "checksum", "--server --backup-dir -c . x", ""},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if got := daemon.Refuses(r.list, r.words); got != r.refused {
				t.Errorf("refuses %q", got)
			}
		})
	}
}

func TestTheModulesFilter(t *testing.T) {
	m := &daemon.Module{
		Rules: []daemon.Rule{
			{Kind: daemon.FilterRules, Value: "- /a  - /b c+ "}, {Kind: daemon.IncludeFrom, Value: "in"},
			{Kind: daemon.ExcludeRules, Value: "*.o - /x + /y /secret/***"},
		},
		Files: map[string][]byte{"in": []byte("# comment\nkept.o\n")},
	}
	m.Rules[0].Value = "- /a  - /b"
	for name, want := range map[string]bool{
		"a": true, "b": true, "c": false, "kept.o": false, "d/other.o": true, "x": true, "secret/s": true, "secrets": false,
	} {
		if got, err := daemon.Hides(m, name); got != want || err != nil {
			t.Errorf("%s: hidden %v, %v", name, got, err)
		}
	}
}

func TestHooksRefuseWhatAShellWouldTouch(t *testing.T) {
	env := func(value string) conf.Env {
		return func(name string) (string, bool) {
			switch name {
			case "RSYNC_USER_NAME":
				return value, true
			case "HOME":
				return "/home/a b", true
			}
			return "", false
		}
	}
	if got, err := daemon.HookCommand("echo %RSYNC_USER_NAME% %HOME% %NONE%", env("liang")); got != "echo liang /home/a b %NONE%" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, value := range []string{"a b", "a;b", "$(x)", "a`b", "a\nb", "~", "a*", "!", "{a}", "a#", "a\\b", "a'b", "a\x01", "a\x7f"} {
		if got, err := daemon.HookCommand("echo %RSYNC_USER_NAME%", env(value)); err == nil {
			t.Errorf("%q becomes %q", value, got)
		}
		if _, err := daemon.HookCommand("echo", env(value)); err != nil {
			t.Errorf("a command without it: %v", err)
		}
	}
}

// What a module's filter hides cannot be named by an option, wherever a relative
// name begins.
func TestHiddenDirectoriesCannotBeNamed(t *testing.T) {
	t.Parallel()
	rsync(t)
	w := build(t, stuff+"mkdir -p mod/sub/deep/hid mod/hid", owner()+"munge symlinks = no\n[mod]\npath = DIR/mod\nread only = no\nexclude = /hid /sub/deep/hid\n").serve()
	before := w.tree("mod/hid") + w.tree("mod/sub/deep/hid")
	for _, o := range []string{"--backup-dir", "--temp-dir", "--partial-dir", "--link-dest", "--copy-dest", "--compare-dest"} {
		for command, refused := range map[string]bool{
			"../hid src/ URL/mod/sub/":     true,
			"hid src/ URL/mod/":            true,
			"deep/hid/x src/ URL/mod/sub/": true,
			"../deep src/ URL/mod/deep/":   false,
		} {
			if got := w.run("rsync -a " + o + "=" + command); strings.Contains(got, "rejected by the server") != refused {
				t.Errorf("%s=%s: %s", o, command, got)
			}
		}
	}
	for name, got := range map[string]string{"a list": w.run("echo one > mod/hid/list; rsync -a --files-from=:/hid/list URL/mod/ out/; rm mod/hid/list; ls out"),
		"a partial directory below": w.run("head -c 2000000 /dev/urandom > src/deep/big; rsync -r --bwlimit=500 --partial-dir=hid src/ URL/mod/sub/ & sleep 0.5; kill $!; rm src/deep/big")} {
		if strings.Contains(got, "\none\n") || name == "a list" && !strings.Contains(got, "failed to open files-from") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if after := w.tree("mod/hid") + w.tree("mod/sub/deep/hid"); after != before {
		t.Errorf("what is hidden was\n%s\nand is\n%s", before, after)
	}
}

func FuzzGreeting(f *testing.F) {
	for _, line := range []string{"@RSYNCD: 32.0 sha512 md5", "@RSYNCD: 29", "@RSYNCD: 99999999999.-1 x", "@RSYNCD: ", "HTTP/1.0"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		g, err := daemon.ParseGreeting(line)
		if p := g.Protocol(); err == nil && p != 0 && (p < 19 || p > 32) {
			t.Errorf("%q settles protocol %d", line, p)
		}
	})
}
