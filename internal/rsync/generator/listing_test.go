package generator_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/flist"
)

// listing lists src.
func (r *rig) listing() []*flist.Received {
	root, err := walk.OpenRoot(r.src)
	check(r.t, err)
	defer root.Close()
	b := &lister{r: r, root: root, groups: map[tree.Inode]*flist.LinkGroup{}}
	meta, err := root.Lstat(tree.Root)
	check(r.t, err)
	top := b.file(tree.Root, meta)
	top.Top = true
	if !r.inc {
		l := &flist.Received{Number: 1, Files: []*flist.File{top}, IOError: r.ioError}
		b.all(tree.Root, &l.Files)
		if r.protocol < 29 {
			slices.SortFunc(l.Files[1:], func(a, b *flist.File) int { return strings.Compare(string(a.Path), string(b.Path)) })
		}
		number(l, 0)
		return []*flist.Received{l}
	}
	first := &flist.Received{Number: 1, Dir: top, Files: append([]*flist.File{top}, b.children(tree.Root)...)}
	number(first, 1)
	b.lists = []*flist.Received{first}
	b.below(first)
	b.lists[len(b.lists)-1].IOError = r.ioError
	return b.lists
}

func number(l *flist.Received, start int32) {
	l.Start, l.Order = start, l.Files
	for i, f := range l.Files {
		f.Index = start + int32(i)
	}
}

type lister struct {
	r      *rig
	root   *walk.Root
	groups map[tree.Inode]*flist.LinkGroup
	lists  []*flist.Received
}

func (b *lister) file(p tree.Path, m tree.Meta) *flist.File {
	f := &flist.File{Path: p, Meta: flist.MetaOf(m), Content: m.Kind == tree.Dir}
	if m.Kind.IsDevice() {
		f.Own().Major, f.Own().Minor = m.Major, m.Minor
	}
	t := b.r.t
	switch m.Kind {
	case tree.Symlink:
		var err error
		f.Own().Target, err = b.root.Readlink(p)
		check(t, err)
	case tree.File:
		if b.r.opt.Checksum {
			content, err := os.ReadFile(filepath.Join(b.r.src, string(p)))
			check(t, err)
			h := checksum.MD5.New(0)
			h.Write(content)
			f.Own().Sum = h.Sum(nil)
		}
	}
	if b.r.opt.HardLinks && m.Nlink > 1 && m.Kind != tree.Dir {
		if b.groups[m.Inode()] == nil {
			b.groups[m.Inode()] = &flist.LinkGroup{}
		}
		f.Own().Group = b.groups[m.Inode()]
	}
	return f
}

func (b *lister) children(dir tree.Path) []*flist.File {
	entries, err := b.root.ReadDir(dir)
	check(b.r.t, err)
	slices.SortFunc(entries, func(x, y tree.Entry) int {
		return flist.CompareSiblings(max(b.r.protocol, 29), x.Name, x.Meta.Kind == tree.Dir, y.Name, y.Meta.Kind == tree.Dir)
	})
	var all []*flist.File
	for _, e := range entries {
		all = append(all, b.file(dir.Join(e.Name), e.Meta))
	}
	return all
}

func (b *lister) all(dir tree.Path, into *[]*flist.File) {
	for _, f := range b.children(dir) {
		*into = append(*into, f)
		if f.Meta.Kind == tree.Dir {
			b.all(f.Path, into)
		}
	}
}

func (b *lister) below(parent *flist.Received) {
	for _, f := range parent.Files {
		if f.Meta.Kind != tree.Dir || f.Path == tree.Root {
			continue
		}
		last := b.lists[len(b.lists)-1]
		l := &flist.Received{Number: last.Number + 1, Dir: f, Files: b.children(f.Path)}
		number(l, last.Start+int32(len(last.Files))+1)
		b.lists = append(b.lists, l)
		b.below(l)
	}
}
