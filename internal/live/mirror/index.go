package mirror

import (
	"encoding/binary"
	"iter"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/cespare/xxhash/v2"

	"lockstep/internal/fs/tree"
)

// index is what was last seen of the source: for every entry a stamp of its
// metadata, so that a rescan after lost events finds what differs. It costs
// about its name and twenty bytes for each file. It belongs to the mirror's
// owner goroutine.
type index struct {
	root  *dirNode
	links map[tree.Inode]map[tree.Path]bool // names of files that have several
	inode map[tree.Path]tree.Inode          // the same the other way
	where places                            // of files with one name
	ghost map[tree.Path]tree.Inode          // removed names of files that had others: who has one open may still write
	files int                               // entries that are not directories
	dirs  int
}

// stamp is a digest of an entry's metadata, change time and inode number
// included: equal stamps mean that nothing has touched the entry in between.
type stamp uint64

const noStamp stamp = 0 // nothing there

// dirNode is one directory. Its files are in base, sorted by name and packed,
// except for those in over, which came later; noStamp there marks a deletion.
type dirNode struct {
	up    *dirNode // nil for the root, and for what is no longer in the tree
	label string   // its own name
	stamp stamp
	subs  map[string]*dirNode
	names string   // the names of base, end to end
	ends  []uint32 // where each of them ends
	base  []seen
	over  map[string]seen
}

// seen is what is kept of a file.
type seen struct {
	stamp stamp
	ino   uint64
}

func newIndex() *index {
	return &index{root: &dirNode{}, links: map[tree.Inode]map[tree.Path]bool{}, inode: map[tree.Path]tree.Inode{}, ghost: map[tree.Path]tree.Inode{}}
}

// stampOf digests m.
func stampOf(m tree.Meta) stamp {
	if !m.Exists() {
		return noStamp
	}
	var b [64]byte
	le := binary.LittleEndian
	le.PutUint32(b[0:], m.Mode())
	le.PutUint32(b[4:], m.UID)
	le.PutUint32(b[8:], m.GID)
	le.PutUint32(b[12:], m.Major)
	le.PutUint32(b[16:], m.Minor)
	le.PutUint32(b[20:], m.Mtime.Nsec)
	le.PutUint64(b[24:], uint64(m.Mtime.Sec))
	le.PutUint64(b[32:], uint64(m.Ctime.Sec))
	le.PutUint64(b[40:], m.Ino)
	le.PutUint32(b[48:], m.Ctime.Nsec)
	if !m.IsDir() { // a directory's size says nothing
		le.PutUint64(b[52:], uint64(m.Size))
	}
	return stamp(max(xxhash.Sum64(b[:]), 1))
}

// node finds the directory at p.
func (x *index) node(p tree.Path) *dirNode {
	d := x.root
	if p.IsRoot() {
		return d
	}
	for name := range strings.SplitSeq(string(p), "/") {
		if d = d.subs[name]; d == nil {
			return nil
		}
	}
	return d
}

// ensure finds or makes the directory at p.
func (x *index) ensure(p tree.Path) *dirNode {
	if p.IsRoot() {
		return x.root
	}
	if d := x.node(p); d != nil {
		return d
	}
	up, name := x.ensure(p.Parent()), p.Base()
	if up.get(name).stamp != noStamp {
		x.remove(p)
	}
	d := &dirNode{}
	up.adopt(name, d)
	x.dirs++
	return d
}

// adopt makes sub the directory called name in d.
func (d *dirNode) adopt(name string, sub *dirNode) {
	if d.subs == nil {
		d.subs = map[string]*dirNode{}
	}
	sub.up, sub.label = d, strings.Clone(name)
	d.subs[sub.label] = sub
}

// put notes what was seen at p. A name with nothing there is removed; the
// number of entries that went is returned.
func (x *index) put(p tree.Path, m tree.Meta) (removed int) {
	if !m.Exists() {
		return x.remove(p)
	}
	if m.IsDir() {
		x.ensure(p).stamp = stampOf(m)
		return 0
	}
	x.complete(p, m)
	up, name := x.ensure(p.Parent()), p.Base()
	if up.subs[name] != nil {
		removed = x.remove(p)
	}
	if up.set(name, seen{stampOf(m), m.Ino}) {
		x.files++
	}
	if !m.Linked() {
		x.where.add(m.Ino, up)
	}
	x.unlink(p)
	delete(x.ghost, p)
	if m.Linked() {
		x.link(p, m.Inode())
	}
	return removed
}

func (x *index) link(p tree.Path, i tree.Inode) {
	if x.links[i] == nil {
		x.links[i] = map[tree.Path]bool{}
	}
	x.links[i][p] = true
	x.inode[p] = i
	delete(x.ghost, p)
}

func (x *index) unlink(p tree.Path) {
	if i, ok := x.inode[p]; ok {
		delete(x.inode, p)
		if delete(x.links[i], p); len(x.links[i]) == 0 {
			delete(x.links, i)
		} else if len(x.ghost) < maxGhosts {
			x.ghost[p] = i
		}
	}
}

// maxGhosts bounds the removed names that are remembered.
const maxGhosts = 10_000

// haunted are the names left of the file that had the name p, which is gone:
// what is written through it goes to them.
func (x *index) haunted(p tree.Path) []tree.Path {
	i, ok := x.ghost[p]
	if !ok {
		return nil
	}
	return x.named(i)
}

// named are the known names of a file.
func (x *index) named(i tree.Inode) []tree.Path {
	if len(x.links[i]) == 0 {
		x.find(tree.Meta{Dev: i.Dev, Ino: i.Ino})
	}
	return slices.Sorted(maps.Keys(x.links[i]))
}

// siblings are the other names known of the file behind m.
func (x *index) siblings(p tree.Path, m tree.Meta) []tree.Path {
	var out []tree.Path
	for q := range x.links[m.Inode()] {
		if q != p {
			out = append(out, q)
		}
	}
	slices.Sort(out)
	return out
}

// others are the known names of the linked file at p, but for those that skip
// says.
func (x *index) others(p tree.Path, skip func(tree.Path) bool) []tree.Path {
	i, ok := x.inode[p]
	if !ok {
		return nil
	}
	var names []tree.Path
	for q := range x.links[i] {
		if !skip(q) {
			names = append(names, q)
		}
	}
	return names
}

// complete looks for names of the linked file at p that are not known as such.
func (x *index) complete(p tree.Path, m tree.Meta) {
	names := x.links[m.Inode()]
	others := len(names)
	if names[p] {
		others--
	}
	if m.Linked() && others < int(m.Nlink)-1 {
		x.find(m)
	}
}

// find notes the name of the file behind m that was its only one until now. An
// inode number may stand at several places: at one of them the file is gone, and
// that has not been noticed yet.
func (x *index) find(m tree.Meta) {
	x.where.fill(x.root)
	for _, d := range x.where.of(m.Ino) {
		dir, ok := d.path()
		if !ok {
			continue
		}
		for name, s := range d.all() {
			if p := dir.Join(name); s.ino == m.Ino && x.inode[p] == (tree.Inode{}) {
				x.link(p, m.Inode())
			}
		}
	}
}

// path is where d is; ok is false if it is not in the tree any more.
func (d *dirNode) path() (p tree.Path, ok bool) {
	if d == nil {
		return "", false
	}
	for ; d.up != nil; d = d.up {
		p = tree.Path(d.label).Join(string(p))
		if p[len(p)-1] == '/' {
			p = p[:len(p)-1]
		}
		if d.up.subs[d.label] != d {
			return "", false
		}
	}
	return p, d.label == ""
}

// has reports whether anything is known at p, and whether it is a directory.
func (x *index) has(p tree.Path) (known, dir bool) {
	if p.IsRoot() {
		return true, true
	}
	up := x.node(p.Parent())
	if up == nil {
		return false, false
	}
	if up.subs[p.Base()] != nil {
		return true, true
	}
	return up.get(p.Base()).stamp != noStamp, false
}

// remove forgets p and everything below it, and returns how many entries that
// were.
func (x *index) remove(p tree.Path) int {
	up := x.node(p.Parent())
	if up == nil || p.IsRoot() {
		return 0
	}
	name := p.Base()
	if d := up.subs[name]; d != nil {
		delete(up.subs, name)
		d.up = nil
		files, dirs := d.count()
		x.files -= files
		x.dirs -= dirs + 1
		x.unlinkBelow(p)
		return files + dirs + 1
	}
	if up.get(name).stamp == noStamp {
		return 0
	}
	up.set(name, seen{})
	x.files--
	x.unlink(p)
	return 1
}

func (x *index) unlinkBelow(dir tree.Path) {
	for p := range x.inode {
		if p.Below(dir) {
			x.unlink(p)
		}
	}
}

// forgetBelow forgets what is below dir, but not dir itself.
func (x *index) forgetBelow(dir tree.Path) {
	d := x.node(dir)
	if d == nil {
		return
	}
	files, dirs := d.count()
	x.files -= files
	x.dirs -= dirs
	x.unlinkBelow(dir)
	*d = dirNode{up: d.up, label: d.label, stamp: d.stamp}
}

// rename moves what is known at from to to, over what was there.
func (x *index) rename(from, to tree.Path) {
	up := x.node(from.Parent())
	if up == nil || from.IsRoot() || to.Within(from) {
		return
	}
	x.remove(to)
	if d := up.subs[from.Base()]; d != nil {
		delete(up.subs, from.Base())
		x.ensure(to.Parent()).adopt(to.Base(), d)
	} else if f := up.get(from.Base()); f.stamp != noStamp {
		up.set(from.Base(), seen{})
		dst := x.ensure(to.Parent())
		dst.set(to.Base(), f)
		x.where.move(f.ino, up, dst)
	}
	var moved []tree.Path
	for p := range x.inode {
		if p.Within(from) {
			moved = append(moved, p)
		}
	}
	for _, p := range moved {
		i := x.inode[p]
		x.unlink(p)
		delete(x.ghost, p)
		x.link(p.Rebase(from, to), i)
	}
	for p, i := range x.ghost {
		if p.Below(from) {
			delete(x.ghost, p)
			x.ghost[p.Rebase(from, to)] = i
		}
	}
}

// fill notes a whole directory as a scan saw it, entries sorted by name.
func (x *index) fill(dir tree.Path, m tree.Meta, entries []tree.Entry) {
	d := x.ensure(dir)
	d.stamp = stampOf(m)
	if len(d.base) > 0 || len(d.over) > 0 || len(d.subs) > 0 {
		for _, e := range entries {
			x.put(dir.Join(e.Name), e.Meta)
		}
		return
	}
	var names strings.Builder
	var ends []uint32
	var base []seen
	for _, e := range entries {
		if e.Meta.IsDir() {
			x.ensure(dir.Join(e.Name)).stamp = stampOf(e.Meta)
			continue
		}
		names.WriteString(e.Name)
		ends = append(ends, uint32(names.Len()))
		base = append(base, seen{stampOf(e.Meta), e.Meta.Ino})
		if !e.Meta.Linked() {
			x.where.add(e.Meta.Ino, d)
		}
		if e.Meta.Linked() {
			x.link(dir.Join(e.Name), e.Meta.Inode())
		}
	}
	d.names, d.ends, d.base = names.String(), slices.Clip(ends), slices.Clip(base)
	x.files += len(d.base)
}

// differs lists the names in dir for which entries, sorted by name, tell
// something else than what was last seen.
func (x *index) differs(dir tree.Path, entries []tree.Entry) []string {
	d := x.node(dir)
	if d == nil {
		d = &dirNode{}
	}
	var out []string
	seen := make(map[string]bool, len(entries))
	for _, e := range entries {
		seen[e.Name] = true
		was := d.get(e.Name).stamp
		if sub := d.subs[e.Name]; sub != nil {
			was = sub.stamp
			if !e.Meta.IsDir() {
				was = noStamp
			}
		}
		if was != stampOf(e.Meta) {
			out = append(out, e.Name)
		}
	}
	for name := range d.all() {
		if !seen[name] {
			out = append(out, name)
		}
	}
	for name := range d.subs {
		if !seen[name] {
			out = append(out, name)
		}
	}
	return out
}

// count is the number of files and directories below d.
func (d *dirNode) count() (files, dirs int) {
	for range d.all() {
		files++
	}
	for _, s := range d.subs {
		f, n := s.count()
		files, dirs = files+f, dirs+n+1
	}
	return files, dirs
}

func (d *dirNode) name(i int) string {
	start := uint32(0)
	if i > 0 {
		start = d.ends[i-1]
	}
	return d.names[start:d.ends[i]]
}

func (d *dirNode) search(name string) (int, bool) {
	i := sort.Search(len(d.base), func(i int) bool { return d.name(i) >= name })
	return i, i < len(d.base) && d.name(i) == name
}

// get is what was seen of a file in d.
func (d *dirNode) get(name string) seen {
	if f, ok := d.over[name]; ok {
		return f
	}
	if i, ok := d.search(name); ok {
		return d.base[i]
	}
	return seen{}
}

// set notes what was seen of a file in d and reports whether the name is new.
func (d *dirNode) set(name string, f seen) bool {
	if _, ok := d.over[name]; !ok {
		if i, ok := d.search(name); ok && f.stamp != noStamp {
			d.base[i] = f
			return false
		}
	}
	isNew := d.get(name).stamp == noStamp
	if d.over == nil {
		d.over = map[string]seen{}
	}
	d.over[strings.Clone(name)] = f
	if len(d.over) > 64+len(d.base)/8 {
		d.pack()
	}
	return isNew
}

// all yields the files in d in no particular order.
func (d *dirNode) all() iter.Seq2[string, seen] {
	return func(yield func(string, seen) bool) {
		for i, f := range d.base {
			name := d.name(i)
			if _, ok := d.over[name]; !ok && !yield(name, f) {
				return
			}
		}
		for name, f := range d.over {
			if f.stamp != noStamp && !yield(name, f) {
				return
			}
		}
	}
}

// pack folds over into base.
func (d *dirNode) pack() {
	files := maps.Collect(d.all())
	var names strings.Builder
	ends, base := make([]uint32, 0, len(files)), make([]seen, 0, len(files))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		names.WriteString(name)
		ends = append(ends, uint32(names.Len()))
		base = append(base, files[name])
	}
	d.names, d.ends, d.base, d.over = names.String(), ends, base, nil
}
