package target_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/change"
	"lockstep/internal/live/target"
)

// A hard-linked file whose content is in doubt may be met first under a name in
// a directory that is compared by size and time.
func TestContentIsComparedUnderWhicheverNameAFileIsMetFirst(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	stamp := time.Unix(1_700_000_000, 0)
	for dir, text := range map[string]string{src: "after!", dst: "before"} {
		must(os.Mkdir(filepath.Join(dir, "dir"), 0o755))
		must(os.WriteFile(filepath.Join(dir, "dir", "name"), []byte(text), 0o644))
		must(os.Link(filepath.Join(dir, "dir", "name"), filepath.Join(dir, "other")))
		must(os.Chtimes(filepath.Join(dir, "other"), stamp, stamp))
	}
	root, err := walk.OpenRoot(src)
	must(err)
	defer root.Close()
	d := target.NewDirectory(target.Spec{Text: dst, Path: dst}, target.Source{Dir: src, Pin: root.Inode()},
		target.Options{Delete: true, MaxDelete: change.NoLimit, HardLinks: true})
	defer d.Close()
	_, err = d.Full(t.Context(), func(target.Progress) {})
	must(err)
	if text, err := os.ReadFile(filepath.Join(dst, "other")); err != nil || string(text) != "before" {
		t.Fatalf("the full pass saw what only a comparison of content can see: %q, %v", text, err)
	}
	report, err := d.Apply(t.Context(), change.Batch{Items: []change.Item{
		{Path: "dir", Class: change.Tree}, {Path: "other", Class: change.Content},
	}})
	must(err)
	if len(report.Outcome.Failed) > 0 {
		t.Error(report.Outcome.Failed)
	}
	for _, name := range []string{"dir/name", "other"} {
		if text, err := os.ReadFile(filepath.Join(dst, name)); err != nil || string(text) != "after!" {
			t.Errorf("%s holds %q (%v)", name, text, err)
		}
	}
	one, err := os.Stat(filepath.Join(dst, "dir", "name"))
	must(err)
	two, err := os.Stat(filepath.Join(dst, "other"))
	must(err)
	if !os.SameFile(one, two) {
		t.Error("the two names are two files now")
	}
}

// A directory that is renamed in the source while a batch changes what it holds
// at the target has to get its times under its new name.
func TestADirectoryThatGoesAwayMeanwhileStaysDirty(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	for _, dir := range []string{"moves/sub", "goes"} {
		if err := os.MkdirAll(filepath.Join(src, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(src, dir, "file"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := walk.OpenRoot(src)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	d := target.NewDirectory(target.Spec{Text: dst, Path: dst}, target.Source{Dir: src, Pin: root.Inode()},
		target.Options{Delete: true, MaxDelete: change.NoLimit})
	defer d.Close()
	if _, err := d.Full(t.Context(), func(target.Progress) {}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(src, "moves"), filepath.Join(src, "moved")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(src, "goes")); err != nil {
		t.Fatal(err)
	}
	report, err := d.Apply(t.Context(), change.Batch{Items: []change.Item{
		{Path: "goes"}, {Path: "goes/file"}, {Path: "moves/sub/file"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []tree.Path{"moves/sub"}; !slices.Equal(report.Outcome.Vanished, want) {
		t.Errorf("dirty again are %q, want %q", report.Outcome.Vanished, want)
	}
}
