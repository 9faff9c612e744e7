package proof_test

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maker makes up worlds and options from the numbers of one generator.
type maker struct {
	rng  *rand.Rand
	root bool
}

// one is true once in n times.
func (g *maker) one(n int) bool { return g.rng.IntN(n) == 0 }

func pick[T any](g *maker, from ...T) T { return from[g.rng.IntN(len(from))] }

// thing is one object of a made-up tree.
type thing struct {
	name   string // below its tree's root
	kind   byte   // as in a layout: f, d, l, h, p
	what   string // content, or target
	mode   string
	mtime  string
	owner  string
	xattrs string
}

func (o thing) line(tree string) string {
	name := tree
	if o.name != "" {
		name += "/" + o.name
	}
	words := []string{""}
	switch o.kind {
	case 'd':
		name += "/"
	case 'l':
		words = append(words, "->", strconv.Quote(o.what))
	case 'h':
		return quoteName(name) + " = " + quoteName(tree+"/"+o.what)
	case 'p':
		words = append(words, "fifo")
		o.xattrs = ""
	default:
		words = append(words, o.what)
	}
	for _, w := range []string{o.mode, o.mtime, o.owner, o.xattrs} {
		if w != "" && (o.kind != 'l' || w != o.mode && w != o.xattrs) {
			words = append(words, w)
		}
	}
	return quoteName(name) + strings.Join(words, " ")
}

func quoteName(name string) string {
	if strings.ContainsAny(name, " \n\"\\") {
		return strconv.Quote(name)
	}
	return name
}

var madeNames = []string{"a", "b", "c.o", "d", "e.c", "f", "g~", "x y", "core", "ü"}

// madeRules are what files with filter rules may hold.
var madeRules = []string{`"- *.o\n"`, `"- e.c\n+ b\n- [ab]\n"`, `"- /a\nP b\n"`, `"!\n- core\n"`}

// tree makes up the objects of a tree, parents before children.
func (g *maker) tree() []thing {
	var all []thing
	g.directory("", 0, &all)
	return all
}

func (g *maker) directory(dir string, depth int, all *[]thing) {
	for _, base := range madeNames {
		if g.rng.IntN(100) >= 52-depth*8 {
			continue
		}
		o := g.thing(path.Join(dir, base), *all)
		if o.kind == 'd' && depth >= 3 {
			continue
		}
		*all = append(*all, o)
		if o.kind == 'd' {
			g.directory(o.name, depth+1, all)
		}
	}
	if g.one(8) {
		rules := pick(g, madeRules...)
		*all = append(*all, thing{name: path.Join(dir, ".rsync-filter"), kind: 'f', what: rules})
	}
}

func (g *maker) thing(name string, before []thing) thing {
	o := thing{name: name, kind: 'f', what: g.content(), mode: g.mode(), mtime: g.time(), owner: g.owner(), xattrs: g.xattrs()}
	switch n := g.rng.IntN(100); {
	case n < 24:
		o.kind = 'd'
		if o.mode != "" {
			o.mode = pick(g, "mode=0700", "mode=0755", "mode=2775", "mode=0711")
		}
	case n < 33:
		o.kind, o.what = 'l', pick(g, "a", "b", "d", "nowhere", "../a", "../../out", "/etc/hostname", "d/a")
	case n < 40:
		var files []thing
		for _, b := range before {
			if b.kind == 'f' || b.kind == 'p' {
				files = append(files, b)
			}
		}
		if len(files) > 0 {
			o.kind, o.what = 'h', files[g.rng.IntN(len(files))].name
		}
	case n < 42:
		o.kind = 'p'
	}
	return o
}

func (g *maker) content() string {
	switch g.rng.IntN(12) {
	case 0:
		return "0"
	case 1:
		return fmt.Sprintf("%dk#%d+%dk#%d", 1+g.rng.IntN(30), g.rng.IntN(3), 1+g.rng.IntN(30), g.rng.IntN(3))
	case 2:
		return fmt.Sprintf("%dk#%d+\"edit\"+%dk#%d", 1+g.rng.IntN(30), g.rng.IntN(3), 1+g.rng.IntN(30), g.rng.IntN(3))
	case 3:
		return fmt.Sprintf("%d#%d+z%dk", g.rng.IntN(2000), g.rng.IntN(3), 1+g.rng.IntN(40))
	case 4:
		return fmt.Sprint(pick(g, 699, 700, 701, 1399, 1400, 32768, 65536))
	}
	return fmt.Sprint(1 + g.rng.IntN(3000))
}

func (g *maker) mode() string {
	if !g.one(4) {
		return ""
	}
	return pick(g, "mode=0600", "mode=0755", "mode=0444", "mode=4755", "mode=0664", "mode=0711")
}

func (g *maker) time() string {
	if !g.one(3) {
		return ""
	}
	return pick(g, "t=1600000000", "t=1600000001", "t=1500000000", "t=1600000100.5", "t=0", "t=1700000000.999999999")
}

func (g *maker) owner() string {
	if !g.root || !g.one(6) {
		return ""
	}
	return pick(g, "uid=1000", "gid=4", "uid=65534 gid=65534", "uid=1000 gid=12345")
}

func (g *maker) xattrs() string {
	if !g.one(8) {
		return ""
	}
	return pick(g, "user.k=v", "user.k=w", "user.long="+strings.Repeat("x", 40), "user.k=v user.other=2",
		"acl=u::rw-,u:1:r--,g::r--,m::r--,o::---")
}

// madeWorld is what there is before a transfer.
type madeWorld struct {
	source, alt []thing
	dest        []thing // nil if there is none
}

// world makes up a source, and a destination that has much in common with it.
func (g *maker) world() madeWorld {
	w := madeWorld{source: g.tree()}
	if !g.one(6) {
		w.dest = append([]thing{{kind: 'd'}}, g.older(w.source)...)
	}
	w.alt = g.older(w.source)
	return w
}

// lines is the world as a layout.
func (w *madeWorld) lines() []string {
	lines := []string{"src/"}
	for _, o := range w.source {
		lines = append(lines, o.line("src"))
	}
	for _, o := range w.dest {
		lines = append(lines, o.line("dst"))
	}
	for _, o := range w.alt {
		if o.kind != 'h' {
			lines = append(lines, o.line("alt"))
		}
	}
	return append(lines, "tmp/")
}

// clearWay leaves out of the destination what is no directory and has the last
// name of a directory in the source, with its other names.
func (w *madeWorld) clearWay() {
	dirs := map[string]bool{"src": true}
	for _, o := range w.source {
		dirs[path.Base(o.name)] = dirs[path.Base(o.name)] || o.kind == 'd'
	}
	gone := map[string]bool{}
	w.dest = slices.DeleteFunc(w.dest, func(o thing) bool {
		gone[o.name] = o.kind != 'd' && dirs[path.Base(o.name)] || o.kind == 'h' && gone[o.what]
		return gone[o.name]
	})
}

// clearLinks leaves out of the destination directories that have the last name of
// a file with several names.
func (w *madeWorld) clearLinks() {
	shared := w.linkedNames()
	gone := map[string]bool{}
	w.dest = slices.DeleteFunc(w.dest, func(o thing) bool {
		gone[o.name] = gone[path.Dir(o.name)] || o.kind == 'd' && shared[path.Base(o.name)] || o.kind == 'h' && gone[o.what]
		return gone[o.name]
	})
}

// clearPipes leaves named pipes, and their other names, out of the destination.
func (w *madeWorld) clearPipes() {
	gone := map[string]bool{}
	w.dest = slices.DeleteFunc(w.dest, func(o thing) bool {
		gone[o.name] = o.kind == 'p' || o.kind == 'h' && gone[o.what]
		return gone[o.name]
	})
}

// linkedNames are the last names of files with several names.
func (w *madeWorld) linkedNames() map[string]bool {
	shared := map[string]bool{}
	for _, o := range w.source {
		if o.kind == 'h' {
			shared[path.Base(o.name)], shared[path.Base(o.what)] = true, true
		}
	}
	return shared
}

// uniqueAlts leaves out of the alternate directory what has the last name of a
// file with several names.
func (w *madeWorld) uniqueAlts() {
	shared := w.linkedNames()
	w.alt = slices.DeleteFunc(w.alt, func(o thing) bool { return o.kind != 'd' && shared[path.Base(o.name)] })
}

// ownLinks makes all symlinks those of the user: rsync looks for merge files
// below them before and after a transfer, and says that it does not follow others.
func (w *madeWorld) ownLinks() {
	for _, things := range [][]thing{w.source, w.dest} {
		for i := range things {
			if things[i].kind == 'l' {
				things[i].owner = ""
			}
		}
	}
}

// older makes up what the tree may have been before.
func (g *maker) older(source []thing) []thing {
	var all []thing
	gone := map[string]bool{}
	has := map[string]byte{}
	add := func(o thing) {
		if dir := path.Dir(o.name); dir != "." && has[dir] != 'd' {
			return
		}
		if o.kind == 'h' && has[o.what] != 'f' {
			o.kind, o.what = 'f', g.content()
		}
		if path.Base(o.name) == ".rsync-filter" && !slices.Contains(madeRules, o.what) {
			o = thing{name: o.name, kind: 'f', what: madeRules[len(all)%len(madeRules)]} // others are refused
		}
		has[o.name] = o.kind
		all = append(all, o)
	}
	for _, o := range source {
		if dir := path.Dir(o.name); gone[dir] {
			gone[o.name] = true
			continue
		}
		switch n := g.rng.IntN(100); {
		case n < 45: // as it is
		case n < 62:
			gone[o.name] = true
			continue
		case n < 70:
			o.what = map[byte]string{'f': g.content(), 'l': "elsewhere"}[o.kind] + map[byte]string{'h': o.what}[o.kind]
		case n < 78:
			o.mtime = g.time()
		case n < 84:
			o.mode, o.owner, o.xattrs = g.mode(), g.owner(), g.xattrs()
		case n < 90 && o.kind == 'f':
			// The same data with something more or less, and older.
			o.what, o.mtime = pick(g, o.what+"+50#9", "10#9", "3k#1"), "t=1400000000"
		default:
			name := o.name
			o = g.thing(name, all)
			if o.kind == 'd' {
				gone[name] = false
			}
		}
		add(o)
	}
	for range g.rng.IntN(6) { // what the source does not have
		dirs := []string{""}
		for name, kind := range has {
			if kind == 'd' {
				dirs = append(dirs, name)
			}
		}
		slices.Sort(dirs)
		name := path.Join(dirs[g.rng.IntN(len(dirs))], pick(g, "extra", "old.o", "zz", "b~", "0"))
		if has[name] == 0 && !slices.ContainsFunc(source, func(o thing) bool { return o.name == name }) {
			add(g.thing(name, all))
			if has[name] == 'd' && g.one(2) {
				add(thing{name: name + "/inner", kind: 'f', what: "5"})
			}
		}
	}
	return all
}

// plainDirs takes from directories the attributes that begin so.
func (w *madeWorld) plainDirs(prefix string) {
	for _, things := range [][]thing{w.source, w.dest} {
		for i, o := range things {
			if o.kind == 'd' && strings.HasPrefix(o.xattrs, prefix) {
				things[i].xattrs = ""
			}
		}
	}
}

func (g *maker) operands() (from, to string) {
	from = pick(g, "src/", "src/", "src/", "src/", "src", "src/a src/b src/d", "src/d/ src/", "src/d", "src/./d", "src/nothing src/")
	to = pick(g, "dst/", "dst/", "dst/", "dst/", "dst", "fresh/", "dst/d/", "fresh")
	return from, to
}

// list is a file of names, for --files-from.
func (g *maker) list() string {
	var names []string
	for range 1 + g.rng.IntN(6) {
		names = append(names, pick(g, "a", "b", "d", "d/a", "d/d/b", "./e.c", "/f", "nothing", "d/", "x y", "d/./d"))
	}
	return "list " + strconv.Quote(strings.Join(names, "\n")+"\n")
}
