package sender_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/sender"
)

// sinceModern are the ways that know of per-directory filters and of pruning.
var sinceModern = [][]string{{}, {"--no-inc-recursive"}, {"--protocol=29"}}

func TestFiltersOfEachDirectory(t *testing.T) {
	for i, c := range []struct{ name, words string }{
		{"inherited and excluded themselves", "-aivv -F -F s t"},
		{"of the parents, too", "-ai -F s/d/sub"},
		{"not inherited", "-ai --filter=:n_.rsync-filter s"},
		{"bare patterns", "-ai --filter=:-_.names s"},
		{"of CVS", "-aivv -C s"},
		{"hidden from the list, and protected", "-ai --delete --filter=:s_.rsync-filter s/"},
		{"pruned", "-aim --include=*/ --include=*.o --exclude=* s"},
		{"broken", "-ai --filter=:_.broken s"},
		{"with a file that is not there", "-ai --filter=:_.missing s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := forest(t)
			for name, text := range map[string]string{
				"s/.rsync-filter": "- *.o\n", "s/d/.rsync-filter": "# a comment\n+ x.o\n- /b\n", "s/.names": "a\ng\n", "s/e/.cvsignore": "g\n",
				"s/d/sub/.broken": "what is this\n", "s/d/.missing": ". nope\n", ".rsync-filter": "- deep\n",
			} {
				check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
			}
			past := time.Unix(1_400_000_000, 0)
			for _, name := range []string{"s/d/sub", "s/d", "s/e", "s"} {
				check(t, os.Chtimes(filepath.Join(dir, name), past, past))
			}
			w := twin{dir: dir, words: strings.Fields(c.words), prepare: func(dest string) {
				check(t, os.MkdirAll(filepath.Join(dest, "d"), 0o755))
				check(t, os.WriteFile(filepath.Join(dest, "d", "b"), []byte("old"), 0o644))
				past := time.Unix(1_500_000_000, 0)
				for _, path := range []string{"d/b", "d", "."} {
					check(t, os.Chtimes(filepath.Join(dest, path), past, past))
				}
			}}
			w.broken = strings.Contains(c.words, ".broken") || strings.Contains(c.words, ".missing")
			eachWay(t, sinceModern[i%len(sinceModern):][:1], w)
		})
	}
}

func TestOtherFileSystems(t *testing.T) {
	dir := forest(t)
	mount := filepath.Join(dir, "s/mount")
	check(t, os.Mkdir(mount, 0o755))
	if err := unix.Mount("none", mount, "tmpfs", 0, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(mount, unix.MNT_DETACH) })
	check(t, os.WriteFile(filepath.Join(mount, "there"), nil, 0o644))
	check(t, os.Symlink("mount", filepath.Join(dir, "s/tomount")))
	for i, words := range []string{"-aix s", "-aixxvv s/", "-aixkvv s", "-aixxk s", "-aix s/mount s/d", "-aixxR s/./mount s/./d"} {
		w := twin{t: t, dir: dir, words: append(ways[i%len(ways)], strings.Fields(words)...)}
		w.dest = [2]string{"dest-rsync", "dest-ours"}
		w.same.AnyTime = true
		w.run()
		for _, d := range w.dest {
			check(t, os.RemoveAll(filepath.Join(dir, d)))
		}
	}
}

func TestDevicesAsFiles(t *testing.T) {
	dir := forest(t)
	for name, minor := range map[string]uint32{"null": 3, "zero": 5} {
		if err := unix.Mknod(filepath.Join(dir, "s", name), unix.S_IFCHR|0o644, int(unix.Mkdev(1, minor))); err != nil {
			t.Skipf("mknod: %v", err)
		}
	}
	eachWay(t, ways[1:2], twin{dir: dir, words: []string{"-ai", "--copy-devices", "s/null", "s/d"}})
}

func TestNamesInAnotherCharset(t *testing.T) {
	latin := func(p []byte) ([]byte, error) {
		var out []rune
		for _, c := range p {
			out = append(out, rune(c))
		}
		return []byte(string(out)), nil
	}
	for i, words := range []string{"-ai s", "-aiH s t/", "-aiR s/./d", "-ai --delete s/"} {
		t.Run(words, func(t *testing.T) {
			dir := forest(t)
			check(t, os.WriteFile(filepath.Join(dir, "s/caf\xe9"), []byte("coffee"), 0o644))
			check(t, os.MkdirAll(filepath.Join(dir, "s/d/\xe9t\xe9/sub"), 0o755))
			check(t, os.WriteFile(filepath.Join(dir, "s/d/\xe9t\xe9/\xfc"), []byte("u"), 0o644))
			check(t, os.Symlink("\xe9t\xe9", filepath.Join(dir, "s/d/l\xe9")))
			eachWay(t, [][]string{{}, {"--no-inc-recursive"}}[i%2:][:1], twin{
				dir: dir, words: append([]string{"--iconv=ISO-8859-1,UTF-8", "-8"}, strings.Fields(words)...),
				params: func(p *sender.Params) { p.Iconv, p.Convert = true, latin },
			})
		})
	}
}

func TestARunStopsWhenItIsTime(t *testing.T) {
	place, err := walk.OpenPlace(forest(t))
	check(t, err)
	defer place.Close()
	p := startPeer(t, tempDir(t), peerOptions{protocol: 32, letters: "logDtpr"})
	p.params.Opt.StopAt = time.Now().Add(-time.Second)
	_, err = p.run(sender.Job{Sources: &sender.Sources{Place: place, Name: "/x", Args: []string{"s"}}})
	var said *sender.Error
	if !errors.As(err, &said) || said.ExitCode() != 30 {
		t.Errorf("error %v", err)
	}
}
