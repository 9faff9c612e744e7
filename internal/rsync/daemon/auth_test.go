package daemon_test

import (
	"os"
	"path/filepath"
	"testing"

	"lockstep/internal/rsync/daemon"
)

// The answers were taken from sessions of rsync 3.5.0 (rsync-session 2.4).
func TestAnswersToChallenges(t *testing.T) {
	rows := []struct {
		name              string
		protocol          int
		digests           []string
		challenge, answer string
	}{
		{"md5", 31, []string{"md5"}, "p07wJob4B2mDr0htDdrdHQ", "8GLvcgy4fz1r/JA4wjJYhg"},
		{"md5 for who names none", 30, nil, "p07wJob4B2mDr0htDdrdHQ", "8GLvcgy4fz1r/JA4wjJYhg"},
		{"the old md4", 29, nil, "aDwiW8E6ASjf3FNYOhXJwA", "lBebsaVMwlDpkZS9JUddiw"},
		{"md4", 31, []string{"md4"}, "qTd1VwZ7u6sdSUjUjhj7IA", "F27UxJr0mUZoRIl0cx4Abg"},
		{"none in common", 31, []string{"md6"}, "x", ""},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if got := daemon.Respond(r.protocol, r.digests, "pw", r.challenge); got != r.answer {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestLogins(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good", "# comment\nliang:123456\n@staff:shared\njoe:a:b\nliang:second\nann:own\n", 0o600)
	loose := file("loose", "liang:123456\n", 0o644)
	groups := map[string][]string{"ann": {"staff", "web"}, "bob": {"guests"}, "liang": {"liang"}}
	const ok = ""
	rows := []struct {
		name, rules, file, user, secret, right, err string
	}{
		{"a user", "liang", good, "liang", "123456", "module", ok},
		{"a wrong password", "liang", good, "liang", "12345", "", "password mismatch"},
		{"a user's second line does not count", "liang", good, "liang", "second", "", "password mismatch"},
		{"another user", "liang", good, "ann", "own", "", "no matching rule"},
		{"a password with a colon", "joe", good, "joe", "a:b", "module", ok},
		{"wildcards", "l*", good, "liang", "123456", "module", ok},
		{"commas", "joe,liang", good, "liang", "123456", "module", ok},
		{"a list of commas only", ", some one, liang:rw", good, "liang", "123456", "read write", ok},
		{"denied", "liang:deny *", good, "liang", "123456", "", "denied by rule"},
		{"the first rule counts", "liang:ro liang:rw", good, "liang", "123456", "read only", ok},
		{"read and write", "liang:RW", good, "liang", "123456", "read write", ok},
		{"a group by its password", "@staff:rw", good, "ann", "shared", "read write", ok},
		{"a group by the user's password", "@staff", good, "ann", "own", "module", ok},
		{"a group, neither password", "@staff", good, "ann", "123456", "", "password mismatch"},
		{"no member of the group", "@staff", good, "bob", "shared", "", "no matching rule"},
		{"a group's password for a rule about users", "ann", good, "ann", "shared", "", "password mismatch"},
		{"a denied group", "@guests:deny *", good, "bob", "x", "", "denied by rule"},
		{"a user without a line", "nobody", good, "nobody", "x", "", "secret not found"},
		{"no user", "*", good, "", "", "", "invalid username"},
		{"a comment as the user", "*", good, "# comment", "", "", "invalid username"},
		{"no file", "liang", filepath.Join(dir, "none"), "liang", "123456", "", "no secrets file"},
		{"no file is named", "liang", "", "liang", "123456", "", "no secrets file"},
		{"a file that others may read", "liang", loose, "liang", "123456", "", "ignoring secrets file"},
		{"a directory", "liang", dir, "liang", "123456", "", "ignoring secrets file"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			right, err := daemon.Login(r.rules, r.file, r.user, r.secret, groups)
			text := ""
			if err != nil {
				text, right = err.Error(), ""
			}
			if text != r.err || right != r.right {
				t.Errorf("got %q, %q", right, text)
			}
		})
	}
}

// What a wrong password costs does not tell who is in the file.
func TestLoginsCostTheSame(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(file, []byte("joe:a\nliang:b\n@group:c\n#x:y\neve:d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := daemon.Compared(file, "nobody-knows")
	for _, user := range []string{"joe", "liang", "eve", "x"} {
		if got := daemon.Compared(file, user); got != want || got == 0 {
			t.Errorf("%s costs %d digests, somebody unknown %d", user, got, want)
		}
	}
}
