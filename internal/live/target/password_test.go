package target_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/live/target"
)

// What is accepted and refused is what rsync 3.5.0 accepts and refuses.
func TestPasswordFilesAreJudgedAsRsyncDoes(t *testing.T) {
	for _, c := range []struct {
		name  string
		perm  os.FileMode
		owner uint32
		root  bool
		hint  string // "" = accepted
	}{
		{"mode 600", 0o600, 0, true, ""},
		{"a group may read it", 0o640, 0, true, ""},
		{"a group may write it", 0o620, 0, true, ""},
		{"others may execute it", 0o601, 0, true, ""},
		{"others can read it", 0o604, 0, true, "chmod 600 'p w'"},
		{"others can write it", 0o602, 0, true, "chmod 600 'p w'"},
		{"root reads somebody's", 0o600, 1000, true, "chown root 'p w'"},
		{"a user reads root's", 0o640, 0, false, ""},
		{"a user reads his own", 0o600, 1000, false, ""},
		{"a user's that others can read", 0o644, 1000, false, "chmod 600 'p w'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := target.JudgePasswordFile("p w", c.perm, c.owner, c.root)
			if (err != nil) != (c.hint != "") || hintOf(err) != c.hint {
				t.Errorf("got %v with the hint %q, want the hint %q", err, hintOf(err), c.hint)
			}
		})
	}
}

func TestPasswordFilesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, []byte("secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(dir, "absent"), dir, open, empty} {
		if _, err := target.Password(name); err == nil {
			t.Errorf("%s is accepted", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error gives the password away: %v", err)
		}
	}
}

func TestThePasswordIsTheFirstLineThatIsNotEmpty(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(name, []byte("\n123456\r\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := target.Password(name); err != nil || got != "123456" {
		t.Errorf("Password = %q, %v", got, err)
	}
}

func hintOf(err error) string {
	var e *target.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}
