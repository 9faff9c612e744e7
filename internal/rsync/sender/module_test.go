package sender_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/wire"
)

// listener keeps what is said.
type listener struct {
	output.Talk
	said []string
}

func (l *listener) Text(_ wire.Code, text string) { l.said = append(l.said, text) }

func (l *listener) Item(*output.Event, bool) {}

// TestNothingLeavesAModule has symlinks of all sorts followed in a directory that
// a daemon serves. The words are those of rsync 3.5.0, which also looks at the
// kind of thing that is outside.
func TestNothingLeavesAModule(t *testing.T) {
	dir := tempDir(t)
	for name, content := range map[string]string{"mod/in/f": "f", "mod/in/sub/s": "s", "mod/real/r": "r", "secret/key": "key"} {
		path := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte(content), 0o644))
	}
	for link, target := range map[string]string{
		"in/relin": "../real", "in/relout": "../../secret", "in/absout": filepath.Join(dir, "secret"), "in/absfile": filepath.Join(dir, "secret/key"),
		"in/absin": filepath.Join(dir, "mod/real"), "in/dang": "nope", "l": "in", "real/rr": "r",
	} {
		check(t, os.Symlink(target, filepath.Join(dir, "mod", link)))
	}
	none := []string{""}
	const loop = "Too many levels of symbolic links (40)"
	for _, c := range []struct {
		name, letters string
		args          []string
		hidden        string // by the module's own list
		said          []string
		arrives       []string
	}{
		{
			"symlinks followed", "rlL", []string{"in/"}, "",
			[]string{
				`rsync: [sender] readlink_stat("/in/absfile" (in mod)) failed: ` + loop, `rsync: [sender] readlink_stat("/in/absin" (in mod)) failed: ` + loop,
				`rsync: [sender] readlink_stat("/in/absout" (in mod)) failed: ` + loop, `rsync: [sender] readlink_stat("/in/relout" (in mod)) failed: ` + loop,
				`symlink has no referent: "/in/dang" (in mod)`,
			},
			[]string{"", "/f", "/relin", "/relin/r", "/relin/rr", "/sub", "/sub/s"},
		},
		{"a way through a symlink inside", "rl", []string{"l/"}, "", nil, []string{"", "/absfile", "/absin", "/absout", "/dang", "/f", "/relin", "/relout", "/sub", "/sub/s"}},
		{"a way out by an absolute symlink", "rl", []string{"in/absout/"}, "", []string{`rsync: [sender] change_dir "in/absout" (in mod) failed: ` + loop}, none},
		{"a way out by a relative symlink", "rl", []string{"in/relout/key"}, "", []string{`rsync: [sender] change_dir "in/relout" (in mod) failed: ` + loop}, none},
		{"a way out with dots", "rl", []string{"../secret/"}, "", []string{`rsync: [sender] change_dir "../secret" (in mod) failed: ` + loop}, none},
		{"something that is not there", "rl", []string{"nope"}, "", []string{`rsync: [sender] link_stat "nope" (in mod) failed: No such file or directory (2)`}, none},
		{"a file named through a symlink that leads out", "rlR", []string{"in/absout/key"}, "", []string{`rsync: [sender] link_stat "in/absout/key" (in mod) failed: ` + loop}, none},
		{"what the module hides", "rl", []string{"real"}, "real/", []string{`rsync: [sender] link_stat "real" (in mod) failed: No such file or directory (2)`}, none},
		{"what is in a directory that the module hides", "rl", []string{"real/r"}, "real/", []string{`rsync: [sender] change_dir "real" (in mod) failed: No such file or directory (2)`}, none},
		{"hidden things in the tree", "r", []string{"in/"}, "/in/sub", nil, []string{"", "/f"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			place, err := walk.OpenModule(filepath.Join(dir, "mod"))
			check(t, err)
			defer place.Close()
			var b filter.Builder
			check(t, b.Exclude(c.hidden))
			rules, err := b.Rules(filter.Implied{})
			check(t, err)
			dest := filepath.Join(tempDir(t), "dest")
			p := startPeer(t, dest+"/", peerOptions{protocol: 32, letters: c.letters, incremental: true})
			p.params.Opt.Relative, p.params.Opt.CopyLinks = strings.Contains(c.letters, "R"), strings.Contains(c.letters, "L")
			heard := &listener{}
			p.params.Talk, p.params.Daemon, p.params.Module = heard, true, "mod"
			p.run(sender.Job{Sources: &sender.Sources{
				Place: place, Args: c.args,
				Guard: rules.Scope(func(tree.Path, string) ([]byte, error) { return nil, os.ErrNotExist }),
			}})
			p.wait()
			said := slices.DeleteFunc(heard.said, func(line string) bool { return line == "building file list" })
			slices.Sort(said)
			if !slices.Equal(said, c.said) {
				t.Errorf("said %q\nwant %q", said, c.said)
			}
			var arrived []string
			if _, err := os.Stat(dest); err == nil {
				arrived = names(t, dest)
			}
			if !slices.Equal(arrived, c.arrives) {
				t.Errorf("arrived: %q, want %q", arrived, c.arrives)
			}
		})
	}
}

// TestASymlinkSwappedInLeadsNowhere exchanges a directory for a symlink, between
// the list and the request for what was in it.
func TestASymlinkSwappedInLeadsNowhere(t *testing.T) {
	dir := tempDir(t)
	for _, name := range []string{"s/d/f", "outside/f"} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
	}
	place, err := walk.OpenPlace(dir)
	check(t, err)
	defer place.Close()
	dest := tempDir(t)
	p := startPeer(t, dest, peerOptions{protocol: 32, letters: "lr"})
	requests := &afterList{do: func() {
		check(t, os.Rename(filepath.Join(dir, "s/d"), filepath.Join(dir, "s/moved")))
		check(t, os.Symlink("../outside", filepath.Join(dir, "s/d")))
	}}
	p.params.Talk = requests
	p.params.Opt.Debug[option.DebugFlist] = 2
	res, err := p.run(sender.Job{Sources: &sender.Sources{Place: place, Name: dir, Args: []string{"s"}}})
	check(t, err)
	p.wait()
	if res.IOError == 0 {
		t.Errorf("%+v, said %q", res, requests.said)
	}
	if data, err := os.ReadFile(filepath.Join(dest, "s/d/f")); err == nil {
		t.Errorf("%q arrived", data)
	}
}

// afterList does something once the list is complete.
type afterList struct {
	listener
	do func()
}

func (l *afterList) Text(code wire.Code, text string) {
	if text == "send_file_list done" {
		l.do()
	}
	l.listener.Text(code, text)
}
