package dest

import (
	"bytes"
	"crypto/md5"
	"slices"
	"strings"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/flist"
)

// Names of attributes on the wire and here differ with --fake-super, and for
// users that are not root if xattr rules choose: what is outside of user. is
// then kept as user.rsync.NAME (rsync-filelist 6.2).

// ours is the name here of a listed attribute; ok is false for those that are
// not kept.
func (d *Dest) ours(name string) (local string, ok bool) {
	excluded, decided := d.p.XattrRules.Xattr(filter.Receiver, name)
	user := strings.HasPrefix(name, "user.")
	switch {
	case decided && excluded:
		return "", false
	case d.opt.Xattrs < 2 && fakeName(name):
		return "", false
	case user:
		return name, true
	case d.me.fake, !d.me.root() && decided:
		return walk.FakePrefix + name, true
	}
	return name, d.me.root()
}

// covers reports whether an attribute that is here is one that the listed set
// is compared with, so that it goes if it is not in there.
func (d *Dest) covers(local string) bool {
	name := local
	if d.me.fake {
		if fakeName(local) || !strings.HasPrefix(local, "user.") {
			return false
		}
		name = strings.TrimPrefix(local, walk.FakePrefix)
	}
	if local == accessACL || local == defaultACL {
		return false
	}
	if excluded, decided := d.p.XattrRules.Xattr(filter.Receiver, name); decided {
		return !excluded
	}
	if d.me.root() {
		return !strings.HasPrefix(local, "system.")
	}
	return strings.HasPrefix(local, "user.")
}

// wantedXattr is a listed attribute under its name here.
type wantedXattr struct {
	flist.Attr
	set   int32
	local string
}

// same reports whether a value is the wanted one.
func (w *wantedXattr) same(value []byte) bool {
	if w.Known || !w.Long {
		return bytes.Equal(value, w.Value)
	}
	return md5.Sum(value) == w.Digest
}

// wantedXattrs are the attributes that f is to have.
func (d *Dest) wantedXattrs(f *flist.File) []wantedXattr {
	if d.opt.Xattrs == 0 || d.p.Sets == nil || f.Xattrs == 0 {
		return nil
	}
	var want []wantedXattr
	for _, a := range d.p.Sets.Set(f.Xattrs) {
		if local, ok := d.ours(a.Name); ok {
			want = append(want, wantedXattr{a, f.Xattrs, local})
		}
	}
	return want
}

// diffXattrs compares the wanted attributes with those that are here: set are
// those to be written, gone the names of those to be removed. Long values that
// turn out to be the wanted ones are learned on the way.
func (d *Dest) diffXattrs(want []wantedXattr, have []walk.Xattr) (set []wantedXattr, gone []string) {
	for i := range want {
		w := &want[i]
		at := slices.IndexFunc(have, func(x walk.Xattr) bool { return x.Name == w.local })
		switch {
		case at < 0 || !w.same(have[at].Value):
			set = append(set, *w)
		case w.Long && !w.Known:
			d.p.Sets.Learn(w.set, w.Number, have[at].Value)
		}
	}
	for _, x := range have {
		if d.covers(x.Name) && !slices.ContainsFunc(want, func(w wantedXattr) bool { return w.local == x.Name }) {
			gone = append(gone, x.Name)
		}
	}
	return set, gone
}

// keepsXattrs reports whether attributes are kept at all for that kind.
func (d *Dest) keepsXattrs(k tree.Kind) bool {
	return d.opt.Xattrs > 0 && (k != tree.Symlink || !d.me.fake)
}

// NeedXattrs are the numbers of the long values of f's set that have to be
// asked for: they differ from what have has. Long values that have has are
// learned. have.Kind tree.Missing has none.
func (d *Dest) NeedXattrs(f *flist.File, have *Found) []int32 {
	if !d.keepsXattrs(f.Meta.Kind) {
		return nil
	}
	attrs, err := d.xattrs(d.Path(f), have)
	if err != nil || have.Kind != f.Meta.Kind {
		attrs = nil
	}
	var need []int32
	for _, w := range d.wantedXattrs(f) {
		if !w.Long || w.Known {
			continue
		}
		at := slices.IndexFunc(attrs, func(x walk.Xattr) bool { return x.Name == w.local })
		if at < 0 || !d.p.Sets.Learn(f.Xattrs, w.Number, attrs[at].Value) {
			need = append(need, w.Number)
		}
	}
	return need
}
