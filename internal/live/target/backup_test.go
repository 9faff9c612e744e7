package target_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
	"lockstep/internal/live/target"
)

func TestNamesOfBackups(t *testing.T) {
	for dir, good := range map[string]bool{"": true, ".deleted": true, "a-b_c.d": true, "a/b": false, "a b": false, "*": false, "..": true, "ä": false} {
		if err := (target.Backups{Dir: dir}).Validate(); (err == nil) != good {
			t.Errorf("%q: %v", dir, err)
		}
	}
	if (target.Backups{Dir: "x", Days: -1}).Validate() == nil {
		t.Error("a time below 0 is taken")
	}
	if got := (target.Backups{Dir: ".d"}).Pattern(); got != "/.d-[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]/" {
		t.Errorf("the pattern is %s", got)
	}
}

// keeping is a directory target that keeps what it deletes and replaces for two
// days.
type keeping struct {
	*target.Directory
	t        *testing.T
	src, dst string
}

func newKeeping(t *testing.T) *keeping {
	t.Helper()
	k := &keeping{t: t, src: t.TempDir(), dst: t.TempDir()}
	b := target.Backups{Dir: ".old", Days: 2}
	var rules filter.Builder
	k.must(rules.Exclude(b.Pattern()))
	all, err := rules.Rules(filter.Implied{})
	k.must(err)
	root, err := walk.OpenRoot(k.src)
	k.must(err)
	defer root.Close()
	k.Directory = target.NewDirectory(target.Spec{Text: k.dst, Path: k.dst},
		target.Source{Dir: k.src, Pin: root.Inode(), Scope: all.Scope(nil)},
		target.Options{Delete: true, MaxDelete: change.NoLimit, Backups: b, HardLinks: true})
	t.Cleanup(func() { k.Close() })
	_, err = k.Full(t.Context(), func(target.Progress) {})
	k.must(err)
	return k
}

func (k *keeping) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeping) write(name, text string) {
	k.t.Helper()
	k.must(os.WriteFile(filepath.Join(k.src, name), []byte(text), 0o644))
}

// batch brings names in step.
func (k *keeping) batch(names ...string) {
	k.t.Helper()
	slices.Sort(names)
	var b change.Batch
	for _, n := range names {
		b.Items = append(b.Items, change.Item{Path: tree.Path(n), Class: change.Content})
	}
	report, err := k.Apply(k.t.Context(), b)
	k.must(err)
	if len(report.Outcome.Failed)+len(report.Outcome.Vanished) > 0 {
		k.t.Fatalf("%+v", report.Outcome)
	}
}

// kept is what the backups of today have under name.
func (k *keeping) kept(name string) string {
	k.t.Helper()
	text, err := os.ReadFile(filepath.Join(k.dst, ".old-"+time.Now().Format("2006-01-02"), name))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func TestWhatIsReplacedIsKept(t *testing.T) {
	k := newKeeping(t)
	for _, name := range []string{"rewritten", "touched", "now a link", "now a directory", "over", "linked", "moved"} {
		k.write(name, "the old "+name)
	}
	k.batch("rewritten", "touched", "now a link", "now a directory", "over", "linked", "moved")
	k.write("rewritten", "new")
	k.must(os.Chmod(filepath.Join(k.src, "touched"), 0o600))
	k.must(os.Remove(filepath.Join(k.src, "now a link")))
	k.must(os.Symlink("there", filepath.Join(k.src, "now a link")))
	k.must(os.Remove(filepath.Join(k.src, "now a directory")))
	k.must(os.Mkdir(filepath.Join(k.src, "now a directory"), 0o755))
	k.must(os.Remove(filepath.Join(k.src, "linked")))
	k.must(os.Link(filepath.Join(k.src, "rewritten"), filepath.Join(k.src, "linked")))
	k.batch("rewritten", "touched", "now a link", "now a directory", "linked")
	k.must(os.Rename(filepath.Join(k.src, "moved"), filepath.Join(k.src, "over")))
	report, err := k.Apply(t.Context(), change.Batch{Renames: []change.Rename{{From: "moved", To: "over"}}})
	k.must(err)
	if len(report.Outcome.Renames) > 0 {
		t.Fatalf("the rename was not carried out: %+v", report.Outcome)
	}
	for _, name := range []string{"rewritten", "now a link", "now a directory", "over", "linked"} {
		if got := k.kept(name); got != "the old "+name {
			t.Errorf("%s: kept is %q", name, got)
		}
	}
	for _, name := range []string{"touched", "moved"} {
		if _, err := os.Lstat(filepath.Join(k.dst, ".old-"+time.Now().Format("2006-01-02"), name)); !os.IsNotExist(err) {
			t.Errorf("%s was not replaced, and is kept: %v", name, err)
		}
	}
}

func TestADayKeepsTheFirstVersionsAndTheLast(t *testing.T) {
	k := newKeeping(t)
	for n := range 15 {
		k.write("file", fmt.Sprint("version ", n))
		k.batch("file")
	}
	for name, want := range map[string]string{"file": "version 0", "file~1": "version 1", "file~8": "version 8", "file~9": "version 13"} {
		if got := k.kept(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	k.must(os.Remove(filepath.Join(k.src, "file")))
	k.batch("file")
	if got := k.kept("file~9"); got != "version 14" {
		t.Errorf("what was deleted: %q", got)
	}
	if _, err := os.Lstat(filepath.Join(k.dst, ".old-"+time.Now().Format("2006-01-02"), "file~10")); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// A file system may refuse another name for a file: then it is copied.
func TestWhatCannotBeLinkedIsCopied(t *testing.T) {
	k := newKeeping(t)
	other := t.TempDir()
	k.must(os.WriteFile(filepath.Join(other, "file"), []byte("text"), 0o640))
	k.must(os.Symlink("text", filepath.Join(other, "link")))
	k.must(syscall.Mkfifo(filepath.Join(other, "fifo"), 0o600))
	for _, name := range []string{"file", "link", "fifo"} {
		k.must(target.CopyToShelf(other, tree.Path(name), tree.Path("copy of "+name)))
		had, err := os.Lstat(filepath.Join(other, name))
		k.must(err)
		got, err := os.Lstat(filepath.Join(other, "copy of "+name))
		k.must(err)
		if got.Mode() != had.Mode() || got.Size() != had.Size() {
			t.Errorf("%s: %v, want %v", name, got, had)
		}
	}
}

// A service has its full pass once, when it starts: old backups go with a batch
// of each day as well.
func TestOldBackupsGoWithABatchOfTheDay(t *testing.T) {
	k := newKeeping(t)
	old, young := filepath.Join(k.dst, ".old-2020-01-01"), filepath.Join(k.dst, ".old-"+time.Now().AddDate(0, 0, -2).Format("2006-01-02"))
	for _, dir := range []string{old, young} {
		k.must(os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
	}
	k.batch()
	if _, err := os.Lstat(old); err != nil {
		t.Errorf("they are looked for twice a day: %v", err)
	}
	k.NextDay()
	k.batch()
	if _, err := os.Lstat(old); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", old, err)
	}
	if _, err := os.Lstat(young); err != nil {
		t.Error(err)
	}
}
