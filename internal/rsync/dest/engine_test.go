package dest_test

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// talk collects what is said.
type talk struct {
	mu    sync.Mutex
	lines []string
}

func (k *talk) add(line string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lines = append(k.lines, line)
}

func (k *talk) Text(_ wire.Code, text string)  { k.add(text) }
func (k *talk) Item(*output.Event, bool)       {}
func (k *talk) Progress(output.Progress, bool) {}
func (k *talk) Deleted(name tree.Path, m tree.Meta) {
	k.add("*deleting   " + slashed(string(name), m.IsDir()))
}

func slashed(name string, isDir bool) string {
	if isDir {
		name += "/"
	}
	return name
}

// engine copies a tree by means of a Dest, as the generator and the receiver
// together do, in the plainest way.
type engine struct {
	t    *testing.T
	opt  *option.Set
	talk talk
	src  string
	list *flist.Received
	d    *dest.Dest
}

// rulesOf are the filter options, of which the xattr rules are used.
func rulesOf(t *testing.T, opt *option.Set) *filter.Rules {
	t.Helper()
	var b filter.Builder
	for _, f := range opt.Filters {
		must(t, b.Filter(f.Value))
	}
	rules, err := b.Rules(filter.Implied{})
	must(t, err)
	return rules
}

// options are those of a local rsync without any.
func options() *option.Set {
	o := &option.Set{ImpliedDirs: true, MaxDelete: -1, MaxSize: -1, MinSize: -1, Suffix: "~"}
	o.Info[option.InfoNonreg] = 1
	return o
}

// archive adds -a.
func archive(o *option.Set) {
	o.Recurse, o.Links, o.Perms, o.Times, o.Group, o.Owner, o.Devices, o.Specials = true, true, true, true, true, true, true, true
}

// listOf reads a tree and passes it through the wire form of file lists.
func listOf(t *testing.T, src string, opt *option.Set, single string) *flist.Received {
	t.Helper()
	var buf bytes.Buffer
	w := wire.NewWriter(&buf)
	o := flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags | wire.SafeFlist, Owner: opt.Owner, Group: opt.Group, Links: opt.Links,
		Devices: opt.Devices, Specials: opt.Specials, ACLs: opt.ACLs, Xattrs: opt.Xattrs > 0, NumericIDs: true, Atimes: opt.Atimes > 0, AnyXattr: opt.Xattrs > 1}
	if opt.Checksum {
		o.SumLen = checksum.MD5.Size()
	}
	enc, err := flist.NewEncoder(w, o, nil)
	must(t, err)
	enc.Begin()
	rules := rulesOf(t, opt)
	root, err := walk.OpenRoot(src)
	must(t, err)
	defer root.Close()
	var add func(dir tree.Path, name string)
	add = func(dir tree.Path, name string) {
		p := dir
		if name != "" {
			p = dir.Join(name)
		}
		e := entry(t, root, p, opt)
		e.Dir, e.Name = dir, name
		e.Xattrs = slices.DeleteFunc(e.Xattrs, func(x flist.Xattr) bool {
			excluded, decided := rules.Xattr(filter.Sender, x.Name)
			return decided && excluded
		})
		if e.Meta.Kind == tree.Symlink && !opt.Links || e.Meta.Kind.IsDevice() && !opt.Devices || e.Meta.Kind.IsSpecial() && !opt.Specials {
			return
		}
		must(t, enc.Add(&e))
		if !e.Meta.IsDir() || single != "" {
			return
		}
		entries, err := root.ReadDir(p)
		must(t, err)
		for _, c := range entries {
			add(p, c.Name)
		}
	}
	add("", single)
	enc.End(0)
	must(t, w.Flush())
	dec, err := flist.NewDecoder(wire.NewReader(&buf), o, flist.Receive{})
	must(t, err)
	got, err := dec.First()
	must(t, err)
	return got
}

func entry(t *testing.T, root *walk.Root, p tree.Path, opt *option.Set) (e flist.Entry) {
	t.Helper()
	var err error
	e.Meta, err = root.Lstat(p)
	must(t, err)
	if e.Meta.Kind == tree.Symlink {
		e.Target, err = root.Readlink(p)
		must(t, err)
	}
	e.Top = p == tree.Root
	if p != tree.Root && opt.Atimes > 0 {
		dir, err := root.Dir(p.Parent())
		must(t, err)
		times, err := dir.Times(p.Base(), false)
		must(t, err)
		e.Atime = times.Access
		_ = dir.Close()
	}
	if opt.ACLs || opt.Xattrs > 0 {
		attrs, err := root.Xattrs(p)
		must(t, err)
		for _, x := range attrs {
			switch x.Name {
			case "system.posix_acl_access":
				e.Access = x.Value
			case "system.posix_acl_default":
				e.Default = x.Value
			default:
				e.Xattrs = append(e.Xattrs, flist.Xattr(x))
			}
		}
	}
	if opt.Checksum && e.Meta.Kind == tree.File {
		f, err := root.Open(p)
		must(t, err)
		h := md5.New()
		_, err = io.Copy(h, f)
		must(t, err)
		_ = f.Close()
		e.Sum = h.Sum(nil)
	}
	return e
}

// newEngine opens the destination. Names start at dir.
func newEngine(t *testing.T, opt *option.Set, dir, src, dst, single string) (*engine, error) {
	t.Helper()
	src = filepath.Join(dir, src)
	e := &engine{t: t, opt: opt, src: src, list: listOf(t, src, opt, single)}
	var first *flist.File
	if len(e.list.Order) > 0 {
		first = e.list.Order[0]
	}
	d, err := dest.Open(dest.Params{Opt: opt, Protocol: 32, Dir: dir, Talk: &e.talk, Sets: e.list.Xattrs, XattrRules: rulesOf(t, opt), File: checksum.MD5},
		dst, dest.List{Entries: len(e.list.Order), First: first})
	if err != nil {
		return e, err
	}
	t.Cleanup(func() { _ = d.Close() })
	e.d = d
	return e, nil
}

// run does everything.
func (e *engine) run() error {
	g, r := e.d.As("generator"), e.d.As("receiver")
	for _, f := range e.list.Order {
		if f.Dup {
			continue
		}
		var err error
		switch {
		case f.Meta.IsDir():
			err = e.directory(g, f)
		case f.Meta.Kind == tree.File:
			err = e.file(g, r, f)
		default:
			err = e.node(g, f)
		}
		if fatal := new(dest.Error); errors.As(err, &fatal) {
			return err
		}
	}
	r.PlaceDelayed(func(*flist.File, error) {})
	for _, f := range slices.Backward(e.list.Order) {
		if f.Meta.IsDir() && !f.Dup {
			_ = g.TouchUp(f)
		}
	}
	return nil
}

func (e *engine) item(f *flist.File, bits wire.Item) {
	if bits != 0 {
		e.talk.add(fmt.Sprintf("%#x %s", uint32(bits), slashed(string(f.Path), f.Meta.IsDir())))
	}
}

func (e *engine) directory(g *dest.Dest, f *flist.File) error {
	have, err := g.Stat(f)
	if err != nil {
		return err
	}
	if have.Exists() && !have.IsDir() {
		if err := g.Delete(g.Path(f), have.Meta, dest.Removal{MakeRoom: "directory"}); err != nil {
			return err
		}
		have = dest.Found{}
	}
	e.learn(g, f, &have)
	e.item(f, g.Differs(f, &have, 0, false))
	if !have.Exists() {
		if err := g.Mkdir(f); err != nil {
			return err
		}
	}
	_, _ = g.SetAttrs(f, &have)
	if e.opt.Delete {
		return e.sweep(g, f)
	}
	return nil
}

// sweep deletes what is not listed in a directory.
func (e *engine) sweep(g *dest.Dest, dir *flist.File) error {
	entries, err := g.ReadDir(g.Path(dir))
	if err != nil {
		return err
	}
	listed := map[tree.Path]bool{}
	for _, f := range e.list.Order {
		listed[f.Path] = true
	}
	for _, c := range slices.Backward(entries) {
		p := dir.Path.Join(c.Name)
		if listed[p] || c.Name == ".pp" || e.opt.Backup && e.opt.BackupDir == "" && strings.HasSuffix(c.Name, "~") {
			continue
		}
		have, err := g.StatPath(p)
		if err != nil {
			return err
		}
		if err := g.Delete(p, have.Meta, dest.Removal{}); err != nil {
			continue
		}
	}
	return nil
}

func (e *engine) node(g *dest.Dest, f *flist.File) error {
	have, err := g.Stat(f)
	if err != nil {
		return err
	}
	if have.IsDir() {
		what := map[bool]string{true: "symlink", false: "special file"}[f.Meta.Kind == tree.Symlink]
		if f.Meta.Kind.IsDevice() {
			what = "device file"
		}
		if err := g.Delete(g.Path(f), have.Meta, dest.Removal{MakeRoom: what}); err != nil {
			return err
		}
		have = dest.Found{}
	}
	e.learn(g, f, &have)
	if g.SameNode(f, &have) {
		_, err = g.SetAttrs(f, &have)
		e.item(f, g.Differs(f, &have, 0, false))
		return err
	}
	if m := g.BestAlt(f); !have.Exists() && m.Level == dest.SameAll {
		if len(e.opt.CompareDest) > 0 || len(e.opt.LinkDest) > 0 && g.LinkAlt(f, m.Alt, &have) == nil {
			return nil
		}
	}
	e.item(f, wire.ItemLocalChange|g.Differs(f, &have, wire.ItemLocalChange, false))
	if f.Meta.Kind == tree.Symlink {
		return g.Symlink(f, &have)
	}
	return g.Mknod(f, &have)
}

func (e *engine) file(g, r *dest.Dest, f *flist.File) error {
	have, err := g.Stat(f)
	if err != nil {
		return err
	}
	if have.Exists() && have.Kind != tree.File {
		if err := g.Delete(g.Path(f), have.Meta, dest.Removal{MakeRoom: "regular file"}); err != nil {
			return err
		}
		have = dest.Found{}
	}
	e.learn(g, f, &have)
	if same, err := g.QuickCheck(f, &have); err == nil && same {
		g.RemovePartial(f)
		_, err = g.SetAttrs(f, &have)
		e.item(f, g.Differs(f, &have, 0, false))
		return err
	}
	switch m := g.BestAlt(f); {
	case m.Level == dest.SameAll && len(e.opt.LinkDest) > 0 && g.LinkAlt(f, m.Alt, &have) == nil:
		return nil
	case m.Level == dest.SameAll && len(e.opt.CompareDest) > 0 && !have.Exists():
		return nil
	case m.Level >= dest.SameContent && !have.Exists():
		e.learn(g, f, &m.Found)
		return g.CopyAlt(f, m.Alt, &have)
	}
	e.item(f, wire.ItemTransfer|g.Differs(f, &have, wire.ItemTransfer, false))
	how := dest.Writing{Basis: wire.BasisFile, Whole: true}
	if part, err := g.StatPartial(f); err == nil && part.Exists() {
		how.Basis, how.Partial = wire.BasisPartial, true
	}
	if e.opt.Inplace && have.Exists() && e.opt.Backup {
		if _, err := g.BackupCopy(g.Path(f), have.Meta); err != nil {
			return err
		}
		how.Basis = wire.BasisBackup
	}
	if e.opt.DryRun {
		return nil
	}
	content, err := os.ReadFile(filepath.Join(e.src, string(f.Path)))
	must(e.t, err)
	if len(content) < 1000 && how.Basis == wire.BasisFile {
		_, err := r.Store(f, content, false, false)
		return err
	}
	out, err := r.Create(f, how)
	if err != nil {
		return err
	}
	for rest := content; len(rest) > 0; {
		n := min(len(rest), 32<<10)
		if _, err := out.Write(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	_, err = out.Finish(dest.Good)
	return err
}

// learn hands over the long attributes that have to be asked for.
func (e *engine) learn(g *dest.Dest, f *flist.File, have *dest.Found) {
	for _, n := range g.NeedXattrs(f, have) {
		for _, a := range e.list.Xattrs.Set(f.Xattrs) {
			if a.Number != n {
				continue
			}
			root, err := walk.OpenRoot(e.src)
			must(e.t, err)
			attrs, err := root.Xattrs(f.Path)
			must(e.t, err)
			_ = root.Close()
			at := slices.IndexFunc(attrs, func(x walk.Xattr) bool { return x.Name == a.Name })
			e.list.Xattrs.Learn(f.Xattrs, n, attrs[at].Value)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
