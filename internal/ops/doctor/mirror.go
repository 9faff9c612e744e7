package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
	"lockstep/internal/live/watch"
	"lockstep/internal/ops/config"
)

// mirrorView is what was seen of one mirror.
type mirrorView struct {
	findings []Finding
	outlook  watch.Outlook
	count    census
	targets  int
}

// census is what a source holds, as far as it is mirrored.
type census struct{ dirs, entries, bytes, unread int64 }

// examineMirror looks at a source and at its targets.
func examineMirror(ctx context.Context, o *Options, m *config.Mirror) mirrorView {
	v := mirrorView{targets: len(m.Targets)}
	say := func(f Finding) {
		f.Mirror = m.Name
		v.findings = append(v.findings, f)
	}
	live, err := m.Live()
	if err != nil { // a Mirror has been validated
		say(Finding{Check: "source", Level: Problem, Text: err.Error(), Fix: "lockstep check"})
		return v
	}
	root, err := walk.OpenRoot(m.Source)
	if err != nil {
		say(sourceTrouble(m.Source, err))
		return v
	}
	defer root.Close()
	src := target.Source{Dir: m.Source, Pin: root.Inode()}
	src.Scope = live.Rules.Scope(func(dir tree.Path, name string) ([]byte, error) { return walk.ReadFile(root, dir.Join(name), maxTable) })
	if _, err := mirror.New(live); err != nil {
		say(Finding{Check: "source", Level: Problem, Text: err.Error(), Fix: fixOf(err, "lockstep check")})
	}
	v.count = take(ctx, root, src.Scope)
	say(v.count.finding(m.Source))
	v.outlook, err = watch.Probe(ctx, watch.Config{Root: m.Source, Backend: live.Watch, PollInterval: live.PollInterval})
	say(watchFinding(m.Source, v.outlook, err))

	all := make([][]Finding, len(m.Targets))
	var wg sync.WaitGroup
	for i, name := range m.Targets {
		wg.Go(func() { all[i] = examineTarget(ctx, o, m, &live, src, name, v.count) })
	}
	wg.Wait()
	for i, name := range m.Targets {
		for _, f := range all[i] {
			f.Target = name
			say(f)
		}
	}
	return v
}

// sourceTrouble says why a source cannot be opened.
func sourceTrouble(dir string, err error) Finding {
	f := Finding{Check: "source", Level: Problem, Text: tree.Quote(dir) + ": " + err.Error()}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Text, f.Fix = tree.Quote(dir)+" is not there", "mkdir -p "+tree.ShellWord(dir)
	case errors.Is(err, fs.ErrPermission):
		f.Fix = "sudo setfacl -m u:$USER:rx " + tree.ShellWord(dir)
	default:
		f.Fix = "ls -ld " + tree.ShellWord(dir)
	}
	return f
}

// take counts a source, leaving out what its rules hide.
func take(ctx context.Context, root *walk.Root, scope *filter.Scope) census {
	var dirs, entries, bytes, unread atomic.Int64
	err := root.Walk(ctx, tree.Root, walk.Visitor{
		Enter: func(dir tree.Path) bool { return !scope.Hidden(dir, true) },
		Dir: func(_ tree.Path, _ tree.Meta, list []tree.Entry, err error) {
			dirs.Add(1)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				unread.Add(1)
			}
			entries.Add(int64(len(list)))
			for i := range list {
				if list[i].Meta.Kind == tree.File {
					bytes.Add(list[i].Meta.Size)
				}
			}
		},
	})
	if err != nil {
		unread.Add(1)
	}
	return census{dirs.Load(), entries.Load(), bytes.Load(), unread.Load()}
}

func (c census) finding(dir string) Finding {
	f := Finding{Check: "source", Level: OK, Text: fmt.Sprintf("%s holds %s in %s, %s", tree.Quote(dir),
		count(c.entries, "entry", "entries"), count(c.dirs, "directory", "directories"), size(c.bytes))}
	if c.unread > 0 {
		f.Level = Problem
		f.Text += "; " + count(c.unread, "directory cannot", "directories cannot") + " be read, and are not mirrored"
		f.Fix = "find " + tree.ShellWord(dir) + " -type d ! -readable"
	}
	return f
}

// watchFinding judges how a source would be watched.
func watchFinding(dir string, o watch.Outlook, err error) Finding {
	f := Finding{Check: "watch", Level: OK, Text: o.Reason}
	switch {
	case err != nil:
		f.Level, f.Text, f.Fix = Problem, err.Error(), "lockstep check"
	case slices.Contains(o.Polled, tree.Root):
		f.Level = Warning
		f.Text = "changes are found by polling only: " + o.Reason
		f.Fix = "findmnt -T " + tree.ShellWord(dir) + " # run lockstep on the machine that holds it"
	case len(o.Polled) > 0:
		f.Level = Warning
		var at []string
		for _, p := range o.Polled {
			at = append(at, p.String())
		}
		f.Text = "polled mounts in it: " + strings.Join(at, ", ") + "; " + o.Reason
		f.Fix = "findmnt -R -T " + tree.ShellWord(dir) + " # run lockstep where they are, or exclude them"
	case o.Backend == watch.Inotify && os.Geteuid() != 0:
		f.Level, f.Fix = Note, "sudo lockstep service install"
	}
	return f
}
