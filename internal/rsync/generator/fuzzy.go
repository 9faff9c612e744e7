package generator

import (
	"slices"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// The distance of names is counted in units for what is inserted, removed or
// exchanged, and in fractions for how far the bytes are apart (rsync-transfer
// 4.4).
const (
	fuzzyUnit   = 1 << 16
	fuzzyLimit  = 25 * fuzzyUnit
	suffixValue = 10 // times the distance of the suffixes
)

// fuzzy is what --fuzzy knows of the directory at hand.
type fuzzy struct {
	dir   tree.Path
	ready bool
	// places has the candidates in the directory itself and then, with -yy, in
	// the same one of each alternate directory.
	places [][]candidate
	row    []int
}

// candidate is a file that may be a basis for one with a similar name.
type candidate struct {
	name   string
	size   int64
	mtime  tree.Time
	listed *flist.File // what the list has under that name
}

// fuzzyBasis makes b a file that is likely to be similar to f, if there is one.
func (g *run) fuzzyBasis(l *list, f *flist.File, b *basis) {
	dir := g.d.Path(f).Parent()
	if !g.fuzzy.ready || g.fuzzy.dir != dir {
		g.lookAround(l, f, dir)
	}
	place, c := g.closest(l, f)
	if c == nil {
		return
	}
	*b = basis{kind: wire.BasisFuzzy + wire.Basis(place), name: c.name, size: c.size}
	if g.opt.Debug[option.DebugFuzzy] > 0 {
		g.text(wire.CodeInfo, "fuzzy basis selected for "+g.name(f)+": "+c.name)
	}
}

// lookAround collects the candidates for files in dir.
func (g *run) lookAround(l *list, f *flist.File, dir tree.Path) {
	z := &g.fuzzy
	z.dir, z.ready, z.places = dir, true, z.places[:0]
	listed := make(map[string]*flist.File)
	add := func(f *flist.File) {
		if !f.Dup {
			listed[f.Path.Base()] = f
		}
	}
	switch holder := g.holder(l, f); {
	case g.inc:
		for _, f := range l.Files {
			add(f)
		}
	case holder != nil:
		g.kin.held(holder, add)
	}
	entries, _ := g.d.ReadDir(dir)
	g.tellEntries(dir, entries)
	z.places = append(z.places, g.candidates(entries, listed))
	for alt := range g.d.Alts() {
		if g.opt.Fuzzy < 2 || alt >= 0x100-int(wire.BasisFuzzyAlt) {
			break
		}
		entries, _ := g.d.AltDir(alt, dir)
		z.places = append(z.places, g.candidates(entries, nil))
	}
}

// candidates picks the files that may serve, in the order of a list. A name that
// is listed as something else is going to be removed.
func (g *run) candidates(entries []tree.Entry, listed map[string]*flist.File) []candidate {
	var all []candidate
	for _, e := range entries {
		if e.Meta.Kind != tree.File || e.Meta.Size == 0 {
			continue
		}
		if f := listed[e.Name]; f == nil || f.Meta.Kind == tree.File {
			all = append(all, candidate{e.Name, e.Meta.Size, e.Meta.Mtime, f})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return flist.CompareSiblings(g.p.Protocol, a.name, false, b.name, false)
	})
	return all
}

// closest is the best candidate for f: one of the same size and time, otherwise
// the one whose name is nearest, the last of several.
func (g *run) closest(l *list, f *flist.File) (place int, best *candidate) {
	for place, all := range g.fuzzy.places {
		for i := range all {
			if c := &all[i]; g.stands(l, c) && c.size == f.Meta.Size && g.d.SameTime(c.mtime, f.Meta.Mtime()) {
				return place, c
			}
		}
	}
	name, least := f.Path.Base(), fuzzyLimit
	suffix := significant(name)
	for at, all := range g.fuzzy.places {
		for i := range all {
			c := &all[i]
			apart := len(c.name) - len(name)
			if max(apart, -apart)*fuzzyUnit > least || !g.stands(l, c) {
				continue
			}
			d := g.fuzzy.distance(name, c.name)
			if d <= least {
				d += suffixValue * g.fuzzy.distance(suffix, significant(c.name))
			}
			if d <= least {
				place, best, least = at, c, d
			}
		}
	}
	return place, best
}

// stands reports whether a candidate is not being replaced in this run.
func (g *run) stands(l *list, c *candidate) bool {
	return c.listed == nil || *l.mark(c.listed)&sent == 0
}

// distance is the cost of turning a into b. What is added or removed at the
// front costs its units only, as with rsync, unless that is all there is.
func (z *fuzzy) distance(a, b string) int {
	if a == "" || b == "" {
		sum := 0
		for _, c := range []byte(a + b) {
			sum += fuzzyUnit + int(c)
		}
		return sum
	}
	if len(z.row) <= len(b) {
		z.row = make([]int, 2*len(b)+1)
	}
	row := z.row[:len(b)+1]
	for j := range row {
		row[j] = j * fuzzyUnit
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] += fuzzyUnit
		for j := range len(b) {
			far := int(a[i]) - int(b[j])
			change := diagonal
			if far != 0 {
				change += fuzzyUnit + max(far, -far)
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+fuzzyUnit+int(b[j]), diagonal+fuzzyUnit+int(a[i]))
		}
	}
	return row[len(b)]
}

// significant is the suffix of a name that tells what is in the file: its last
// extension, with the dot, after one that marks a backup. One of digits alone
// counts if there is no other.
func significant(name string) string {
	name = strings.TrimLeft(name, ".")
	tilde := len(name) > 1 && strings.HasSuffix(name, "~")
	if tilde {
		name = name[:len(name)-1]
	}
	digits := ""
	for last := true; ; last = false {
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			return digits
		}
		ext := name[dot:]
		name = name[:dot]
		switch {
		case last && marksBackup(ext, tilde):
		case isDigits(ext[1:]):
			digits = ext
		default:
			return ext
		}
	}
}

// marksBackup reports whether an extension, which a tilde followed or not, says
// that the file is an older version: .bak, .old, .orig, .~1~.
func marksBackup(ext string, tilde bool) bool {
	if tilde {
		return len(ext) == 3 && ext[1] == '~' && isDigits(ext[2:])
	}
	return ext == ".bak" || ext == ".old" || ext == ".orig"
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
