package rsync

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// place makes a file in a directory of its own, with that owner.
func place(t *testing.T, dir, content string, uid, gid int) string {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(name, uid, gid); err != nil {
		t.Fatal(err)
	}
	when := time.Unix(1_600_000_000, 0)
	if err := os.Chtimes(name, when, when); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestCopiesForBackupsHaveTheOwnerOfTheOriginal expects what rsync 3.5.0 does.
func TestCopiesForBackupsHaveTheOwnerOfTheOriginal(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others")
	}
	for _, test := range []struct {
		option   string
		uid, gid uint32
		fake     string
	}{
		{"--super", 1000, 12345, ""},
		{"--no-super", 0, 12345, ""},
		{"--fake-super", 0, 0, "100644 0,0 1000:12345"},
	} {
		t.Run(strings.TrimLeft(test.option, "-"), func(t *testing.T) {
			dir := t.TempDir()
			src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
			place(t, src, "new", 1000, 12345)
			backup := place(t, dst, "older", 1000, 12345) + "~"
			var out bytes.Buffer
			if code := Main("rsync", []string{"-a", "-b", "--inplace", test.option, src + "/", dst}, strings.NewReader(""), &out, &out); code != 0 {
				t.Fatalf("exit code %d: %s", code, &out)
			}
			info, err := os.Stat(backup)
			if err != nil {
				t.Fatal(err)
			}
			if st := info.Sys().(*syscall.Stat_t); st.Uid != test.uid || st.Gid != test.gid {
				t.Errorf("the backup belongs to %d:%d, want %d:%d", st.Uid, st.Gid, test.uid, test.gid)
			}
			value := make([]byte, 100)
			n, err := unix.Getxattr(backup, "user.rsync.%stat", value)
			if got := string(value[:max(n, 0)]); got != test.fake {
				t.Errorf("the backup pretends %q (%v), want %q", got, err, test.fake)
			}
		})
	}
}

// TestDeletionsShowNoGroupThatIsNotPreserved holds for each way in which clients
// are told of deletions.
func TestDeletionsShowNoGroupThatIsNotPreserved(t *testing.T) {
	for _, test := range []struct{ protocol, options, want string }{
		{"28", "-r", "DEFAULT\n"}, {"28", "-rg", "0\n"},
		{"29", "-r", "DEFAULT\n"}, {"29", "-rg", "0\n"},
		{"32", "-r", "DEFAULT\n"}, {"32", "-rg", "0\n"},
	} {
		dir := t.TempDir()
		src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
		if err := os.Mkdir(src, 0o755); err != nil {
			t.Fatal(err)
		}
		place(t, dst, "", os.Geteuid(), os.Getegid())
		var out bytes.Buffer
		args := []string{test.options, "--delete", "--out-format=%o %G", "--protocol=" + test.protocol, src + "/", dst}
		if code := Main("rsync", args, strings.NewReader(""), &out, &out); code != 0 {
			t.Fatalf("exit code %d: %s", code, &out)
		}
		if !strings.Contains(out.String(), test.want) {
			t.Errorf("protocol %s, %s: %q, want %q in it", test.protocol, test.options, out.String(), test.want)
		}
	}
}
