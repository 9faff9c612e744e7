package sender

import (
	"errors"
	"slices"
	"strings"
	"syscall"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
)

// Arguments with --relative are listed with the directories that lead to them
// (section 3.5). If there is one list, those come right before the argument. If
// there is one for each directory, the argument waits at the first of them, and
// goes on with the list of that one.

// components are those of a path of the list; the first of an absolute one has
// the slash.
func components(p tree.Path) []string {
	if p == tree.Root {
		return nil
	}
	text := string(p)
	if text[0] == '/' {
		parts := strings.Split(text[1:], "/")
		parts[0] = "/" + parts[0]
		return parts
	}
	return strings.Split(text, "/")
}

// above is the directory in the list that holds p: Root for "/tmp".
func above(p tree.Path) tree.Path {
	if strings.LastIndexByte(string(p), '/') == 0 {
		return tree.Root
	}
	return p.Parent()
}

// lastPart is the name of p in that directory.
func lastPart(p tree.Path) string {
	if strings.LastIndexByte(string(p), '/') == 0 {
		return string(p)
	}
	return p.Base()
}

// through lists the directories that lead to an argument, and reports whether
// the argument itself has to wait for their lists.
func (l *lister) through(a *argument, p tree.Path, w where) (waits bool) {
	up := above(p)
	if !l.src.params.Opt.Relative || up == tree.Root {
		return false
	}
	if !l.incremental() {
		l.parents(up, w)
		return false
	}
	a.at, a.where = p, w
	l.wait(a, tree.Root, components(p)[0], &l.implied)
	return true
}

// parents lists the directories that the last argument with new ones did not
// have. That the last of those is listed again if it leads further now is what
// the reference does.
func (l *lister) parents(up tree.Path, w where) {
	now, before := components(up), components(l.last)
	shared := 0
	for shared < min(len(now), len(before)) && now[shared] == before[shared] {
		shared++
	}
	switch shared {
	case len(now):
		return
	case len(before):
		shared = max(shared-1, 0)
	}
	l.last = up
	p := tree.Path(strings.Join(now[:shared], "/"))
	for _, name := range now[shared:] {
		p = p.Join(name)
		l.parent(p, w)
	}
	l.ruled = ruled{w.origin.scope, w.origin.below(up)}
}

// parent lists one directory that leads to an argument, and reports whether it
// could.
func (l *lister) parent(p tree.Path, w where) bool {
	params := l.src.params
	if params.Protocol < 30 && !params.Opt.ImpliedDirs {
		return true
	}
	meta, x, err := l.src.directory(p, &w)
	switch {
	case errors.Is(err, syscall.ENOENT):
		l.ioError |= IOErrorVanished
		l.voice.gone("file", w.origin.full(p))
		return false
	case err != nil:
		l.ioError |= IOErrorGeneral
		l.voice.unstattable(w.origin.full(p), err)
		return false
	}
	ent := flist.Entry{Dir: above(p), Name: lastPart(p), Meta: meta, Top: params.Protocol >= 30, NoContent: true}
	x.fill(&ent)
	ent.Top, ent.NoContent = params.Protocol >= 30, true
	return l.add(&ent, w, false)
}

// wait has an argument go on with the list of the directory called name in dir,
// which is listed for it unless the argument before, at number last of kids,
// goes the same way.
func (l *lister) wait(a *argument, dir tree.Path, name string, last *int) {
	if i := *last; i >= 0 && l.kids[i].entry.Name == name && l.kids[i].own.origin == a.where.origin {
		p := &l.kids[i].parts[0]
		p.rest = append(p.rest, a)
		return
	}
	w := a.where
	if !l.parent(dir.Join(name), w) {
		return
	}
	*last = len(l.kids)
	l.kids = append(l.kids, kid{
		entry: tree.Entry{Name: name}, own: w,
		parts: []part{{where: w, rest: []*argument{a}}},
		at:    l.position(), set: l.enc.LastXattrSet(),
	})
}

// sublistOf sends the list of a directory of Sources, whose contents have been
// read.
func (l *lister) sublistOf(k *kid, s *scan) error {
	l.enc.BeginDir(k.number, s.path, k.set)
	parent := k.dir
	if len(k.parts) == 1 && k.parts[0].content && len(k.parts[0].rest) == 0 && !l.src.params.Iconv {
		d := &s.dirs[0]
		if err := l.complain(d); err != nil {
			return err
		}
		kids := l.children(d)
		l.end().dir = parent
		l.push(s.path, kids)
		l.endLists()
		return nil
	}
	l.kids = nil
	dirs, last := s.dirs, -1
	for _, p := range k.parts {
		if p.content {
			if err := l.complain(&dirs[0]); err != nil {
				return err
			}
			l.kids = append(l.kids, l.unnumbered(&dirs[0])...)
			dirs = dirs[1:]
		}
		for _, a := range p.rest {
			l.resume(a, s.path, &last)
		}
	}
	l.endNumbered(s.path).dir = parent
	return nil
}

// resume lists the next component of an argument that came to directory dir.
func (l *lister) resume(a *argument, dir tree.Path, last *int) {
	rest := components(a.at)[len(components(dir)):]
	if len(rest) > 1 {
		l.wait(a, dir, rest[0], last)
		return
	}
	f, err := l.look(a, a.where)
	l.ruled = ruled{a.where.origin.scope, a.where.origin.below(dir)}
	switch {
	case err == nil && l.excluded(f.path, f.where, f.entry.Meta.IsDir()):
	case err == nil:
		f.where.device = f.entry.Meta.Dev
		if err := l.emit(a, f); err != nil {
			l.onFault(a.at, err)
		}
	case errors.Is(err, syscall.ENOENT) && l.src.params.Opt.DeleteMissingArgs:
		l.add(&flist.Entry{Dir: dir, Name: rest[0]}, a.where, false)
	default:
		l.ioError |= l.voice.unlisted(a.at, a.where.origin.full(a.at), err)
	}
}

// unnumbered sends the entries of a directory, all of them, and gives the
// subdirectories.
func (l *lister) unnumbered(d *dirListing) []kid {
	var kids []kid
	from := []part{{where: d.where, content: true}}
	for i := range d.entries {
		d.fill(&l.ent, i)
		if l.add(&l.ent, d.where, d.extra(i).followed) && l.ent.Meta.IsDir() {
			k := kidOf(d, i, from)
			k.at, k.set = l.position(), l.enc.LastXattrSet()
			kids = append(kids, k)
		}
	}
	return kids
}

// endNumbered ends the list of a directory whose kids have no numbers yet: both
// sides number directories in the order in which they number entries. Those of
// one name become one, whose list has what is in all.
func (l *lister) endNumbered(path tree.Path) *openList {
	kids := l.kids
	l.kids = nil
	last := len(l.open)
	l.end()
	o := &l.open[last]
	if first := o.Start(); o.Contains(first) && o.Path(first) == tree.Root {
		o.dir = o.fact(first)
	}
	numbers := make(map[int32]int32)
	for index := range o.Directories {
		numbers[int32(o.Position(index))] = l.dirs
		l.dirs++
	}
	for i := range kids {
		k := &kids[i]
		k.number, k.dir = numbers[k.at], o.facts.at(int(k.at))
	}
	slices.SortStableFunc(kids, func(a, b kid) int {
		return flist.CompareSiblings(l.src.params.Protocol, a.entry.Name, true, b.entry.Name, true)
	})
	l.push(path, merged(kids))
	l.endLists()
	return &l.open[last]
}

// merged makes one of neighbours with the same name. What comes from the same
// place as the part before is not read twice.
func merged(kids []kid) []kid {
	out := kids[:0]
	for _, k := range kids {
		if n := len(out); n == 0 || out[n-1].entry.Name != k.entry.Name {
			out = append(out, k)
			continue
		}
		first := &out[len(out)-1]
		for _, p := range k.parts {
			before := &first.parts[len(first.parts)-1]
			if p.content && before.content && before.where.origin.label == p.where.origin.label {
				p.content = false
			}
			first.parts = append(slices.Clone(first.parts), p)
		}
	}
	return out
}
