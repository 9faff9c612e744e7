package watch

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

func TestWritersAreTheFilesThatOthersHaveOpenForWriting(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"read", "write", "append", "both"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-c", "exec 3<read 4>write 5>>append 6<>both; echo ready; cat >&2")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	own, err := os.Create(filepath.Join(dir, "own"))
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	open := Writers()
	for name, want := range map[string]bool{"read": false, "write": true, "append": true, "both": true, "own": false} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, name), &st); err != nil {
			t.Fatal(err)
		}
		if got := open[tree.Inode{Dev: uint64(st.Dev), Ino: st.Ino}]; got != want {
			t.Errorf("%s: open for writing is %v, want %v", name, got, want)
		}
	}
	in.Close()
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
