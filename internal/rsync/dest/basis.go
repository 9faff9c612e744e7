package dest

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

func sortByIndex(files []*flist.File) {
	slices.SortFunc(files, func(a, b *flist.File) int { return cmp.Compare(a.Index, b.Index) })
}

// Basis opens what the blocks of a transfer belong to (rsync-transfer 1.3). An
// *Error says that the peer may not ask for it; any other that there is no
// such regular file. Trouble is not told.
func (d *Dest) Basis(f *flist.File, how Writing) (*os.File, error) {
	b := d.meant(f, how)
	p := d.Path(f)
	alt, fuzzy, inAlt := isAlt(b)
	switch {
	case inAlt && alt >= len(d.alts):
		return nil, invalid(fmt.Sprintf("invalid basis index %d: there are %d alternate directories", alt, len(d.alts)))
	case b >= wire.BasisFuzzy && d.opt.Fuzzy == 0, fuzzy && d.opt.Fuzzy < 2:
		return nil, invalid(fmt.Sprintf("fuzzy basis type %d without --fuzzy", b))
	case d.root == nil:
		return nil, syscall.ENOENT
	case b >= wire.BasisFuzzy:
		name := harmless(how.Xname)
		if name == "" {
			return nil, syscall.ENOENT
		}
		p = p.Parent().Join(name)
	}
	root := d.root
	switch {
	case inAlt:
		root, p = d.inAlt(alt, p)
	case b == wire.BasisPartial:
		root, p = d.partialPlace(f)
	case b == wire.BasisBackup:
		var err error
		if root, p, err = d.backupPlace(p); err != nil {
			return nil, err
		}
	}
	if root == nil {
		return nil, syscall.ENOENT
	}
	if d.opt.WriteDevices && b == wire.BasisFile {
		return openDevice(root, p)
	}
	return root.Reader().Open(p)
}

// BasisName is what Basis opens, from the destination directory.
func (d *Dest) BasisName(f *flist.File, how Writing) string {
	b, p := d.meant(f, how), d.Path(f)
	if b >= wire.BasisFuzzy {
		p = p.Parent().Join(harmless(how.Xname))
	}
	alt, _, inAlt := isAlt(b)
	switch {
	case inAlt && alt < len(d.alts):
		return join(d.alts[alt].name, string(p))
	case b == wire.BasisPartial:
		return d.partialName(f)
	case b == wire.BasisBackup:
		return d.backupName(p)
	}
	return string(p)
}

// itemsFrom is the protocol from which requests tell their basis.
const itemsFrom = 29

// meant is the basis that a request means: below itemsFrom it can't say so, and
// it is the backup of a file that is updated in place, else the partial file if
// there is one, else the file itself, else that in the alternate directory.
func (d *Dest) meant(f *flist.File, how Writing) wire.Basis {
	if d.p.Protocol >= itemsFrom || how.Basis != wire.BasisFile {
		return how.Basis
	}
	if d.inPlace() && d.opt.Backup && !how.Redo {
		return wire.BasisBackup
	}
	if d.holding != "" {
		if part, err := d.StatPartial(f); err == nil && part.Exists() {
			return wire.BasisPartial
		}
	}
	if len(d.alts) > 0 {
		if have, err := d.Stat(f); err == nil && !have.Exists() {
			return wire.Basis(0)
		}
	}
	return how.Basis
}

// basisFound is what the basis of a transfer is.
func (d *Dest) basisFound(f *flist.File, how Writing) Found {
	p := d.Path(f)
	alt, fuzzy, inAlt := isAlt(how.Basis)
	if how.Basis >= wire.BasisFuzzy {
		p = p.Parent().Join(harmless(how.Xname))
	}
	var found Found
	switch {
	case inAlt && alt < len(d.alts) && (!fuzzy || d.opt.Fuzzy > 1):
		found = d.statAlt(alt, p, false)
	case how.Basis == wire.BasisPartial:
		found, _ = d.StatPartial(f)
	default:
		found, _ = d.look(p, false)
	}
	if found.Kind != tree.File {
		return Found{}
	}
	return found
}

// openDevice opens a regular file or a device.
func openDevice(root *apply.Root, p tree.Path) (f *os.File, err error) {
	err = root.At(p, func(at apply.Place) error {
		m, err := at.Object().Stat()
		if err == nil && m.Kind != tree.File && !m.Kind.IsDevice() {
			err = syscall.EINVAL
		}
		if err != nil {
			return err
		}
		f, err = at.Object().Open(syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
		return err
	})
	return f, err
}

// harmless reduces a name from the peer to a relative one without ".."; "" if
// it can't be one.
func harmless(name string) string {
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		if part != "" && part != "." && part != ".." && strings.IndexByte(part, 0) < 0 {
			parts = append(parts, part)
		}
	}
	if p := tree.Path(strings.Join(parts, "/")); p.Valid() {
		return string(p)
	}
	return ""
}
