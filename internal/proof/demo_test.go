package proof_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"lockstep/internal/proof/harness"
)

// TestTheDemoShowsThePage starts the demo with three daemons, looks at its page,
// and interrupts it.
func TestTheDemoShowsThePage(t *testing.T) {
	t.Parallel()
	binary, err := harness.Binary()
	check(t, err)
	dir := t.TempDir()
	cmd := exec.Command(binary, "demo", "--page", "--for=60s")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	check(t, err)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	check(t, cmd.Start())
	read := func() string {
		text, err := os.ReadFile(out.Name())
		check(t, err)
		return string(text)
	}
	address := ""
	check(t, harness.Poll(soon, "the demo to name its page", func() bool {
		address = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(read())
		return address != ""
	}))
	body := ""
	if err := harness.Poll(soon, "three daemons in step, and changes", func() bool {
		r, err := http.Get(address)
		if err != nil {
			return false
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		body = string(text)
		return err == nil && strings.Count(body, "rsync://127.0.0.1:") >= 2*3 && strings.Contains(body, "<code>index.html</code>")
	}); err != nil {
		t.Errorf("%v\n%s\n%s", err, read(), body)
	}
	check(t, cmd.Process.Signal(syscall.SIGINT))
	if err := cmd.Wait(); err != nil {
		t.Errorf("the demo ended with %v\n%s", err, read())
	}
	left, err := os.ReadDir(dir)
	check(t, err)
	if len(left) > 0 {
		t.Errorf("the demo left %v\n%s", left, read())
	}
}
