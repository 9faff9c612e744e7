package watch_test

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// A file that is held open by a name that is gone may have other names.
func TestWritesThroughANameThatIsGone(t *testing.T) {
	t.Parallel()
	needRoot(t, "fanotify marks on file systems")
	for _, script := range []string{
		"rm -r d",                    // with its directory
		"rm -r d; mkdir -p d/f",      // and the path is a directory
		"echo new > new; mv new d/f", // and the path is another file
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, mkdir(t, dir, "d")+"/f", "x")
			must(t, os.Link(dir+"/d/f", dir+"/other"))
			o := observe(t, variants[0], dir)
			f, err := os.OpenFile(dir+"/d/f", os.O_WRONLY, 0)
			must(t, err)
			var st unix.Stat_t
			must(t, unix.Fstat(int(f.Fd()), &st))
			shell(t, dir, script)
			o.sync()
			o.forget()
			_, err = f.WriteString("late")
			must(t, err)
			must(t, f.Close())
			o.untilWritten("other", st.Ino)
		})
	}
}

// Whoever looks after this sees another file under the new name, and nothing
// that leads from it to the old one.
func TestWritesThroughALinkThatIsThenReplaced(t *testing.T) {
	t.Parallel()
	needRoot(t, "fanotify marks on file systems")
	for _, script := range []string{
		"ln other f; echo late > f; mv new f",
		"ln other g; echo late > g; mv g f; mv new f",
		"ln other f; echo late > f; mv ../outside f",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			base := t.TempDir()
			dir := mkdir(t, base, "src")
			write(t, dir+"/other", "x")
			write(t, dir+"/new", "new")
			write(t, base+"/outside", "outside")
			var st unix.Stat_t
			must(t, unix.Stat(dir+"/other", &st))
			o := observe(t, variants[0], dir)
			shell(t, dir, script)
			o.untilWritten("other", st.Ino)
		})
	}
}

func shell(t *testing.T, dir, script string) {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	must(t, cmd.Run())
}
