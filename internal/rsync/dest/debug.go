package dest

import (
	"fmt"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// debug says something for a word of --debug, if that has the level. Where a
// line is one of many who calls it asks first.
func (d *Dest) debug(word option.Debug, level uint8, format string, args ...any) {
	if d.opt.Debugs(word, level) {
		d.p.Talk.Text(wire.CodeInfo, fmt.Sprintf(format, args...))
	}
}

// Filters says which rules an entry was listed by, in the lines about listing.
type Filters uint8

// What rules there are.
const (
	NoFilters Filters = iota
	ServerFilters
	AllFilters
)

// TellListed says that something at the destination was listed. Who calls it for
// many has looked whether --debug=FLIST2 is on.
func (d *Dest) TellListed(p tree.Path, by Filters) {
	if d.opt.Debugs(option.DebugFlist, option.DebugListed) {
		d.debug(option.DebugFlist, option.DebugListed, "[%s] make_file(%s,*,%d)", d.role, p, by)
	}
}

// TellFilters says that the filters of a directory are in force.
func (d *Dest) TellFilters(dir tree.Path) {
	if d.opt.Debugs(option.DebugFilter, option.DebugMerged) {
		d.debug(option.DebugFilter, option.DebugMerged, "[%s] pushing local filters for %s", d.role, join(d.dir, ending(dir)))
	}
}

// ending is a directory with a slash, "" for the root.
func ending(dir tree.Path) string {
	if dir == tree.Root {
		return ""
	}
	return string(dir) + "/"
}

// Levels of --debug=DEL.
const (
	debugDeletes  = 2 // each item
	debugContents = 3 // each directory that is emptied
)

// Flags of the lines about deletion: what an item is removed for, and how.
const (
	deleteUnwritable = 1 << iota // it is a directory of ours that we may not write to
	deleteAll                    // with what is in it
	deleteEmptied                // what was in it is gone; or it was in what is removed
	deleteForFile                // a file is to stand there, and so on
	deleteForDir
	deleteForSymlink
	deleteForDevice
	deleteForSpecial
	deleteForBackup
)

var deleteFor = map[string]int{
	"regular file": deleteForFile, "directory": deleteForDir, "symlink": deleteForSymlink,
	"device file": deleteForDevice, "special file": deleteForSpecial, "backup": deleteForBackup,
}

// flags of an item of add, or of one in it.
func (r *remover) flags(p tree.Path, m tree.Meta, within bool) int {
	flags := deleteEmptied
	if !within {
		flags = deleteFor[r.how.MakeRoom]
		if r.all {
			flags |= deleteAll
		}
	}
	if me := r.d.me; m.IsDir() && !me.root() && m.UID == me.uid && m.Perm&ownerWrite == 0 {
		flags |= deleteUnwritable
	}
	return flags
}

// tellItem says that an item is removed.
func (r *remover) tellItem(p tree.Path, m tree.Meta, within bool) {
	if r.d.opt.Debugs(option.DebugDel, debugDeletes) {
		r.d.debug(option.DebugDel, debugDeletes, "delete_item(%s) mode=%o flags=%d", r.shown(p), m.Mode(), r.flags(p, m, within))
	}
}

// tellContents says what a directory has that is emptied.
func (r *remover) tellContents(p tree.Path, m tree.Meta, entries []tree.Entry, within bool) {
	if r.d.opt.Debugs(option.DebugDel, debugContents) {
		flags := r.flags(p, m, within)
		if within {
			flags |= deleteAll
		}
		r.d.debug(option.DebugDel, debugContents, "delete_dir_contents(%s) flags=%d", r.shown(p), flags)
	}
	r.d.TellFilters(p)
	if r.d.opt.Debugs(option.DebugFlist, option.DebugListed) {
		for _, e := range entries {
			if at := p.Join(e.Name); r.how.Keep == nil || !r.how.Keep(at, e.Meta.IsDir()) {
				r.d.TellListed(at, AllFilters)
			}
		}
	}
}

// renames says that the new file goes to a name.
func (o *Output) renames(to string) {
	if o.d.opt.Debugs(option.DebugRecv, 1) {
		o.d.renaming(o.temp().made(), to)
	}
}

func (d *Dest) renaming(from, to string) {
	if d.opt.Debugs(option.DebugRecv, 1) {
		d.debug(option.DebugRecv, 1, "renaming %s to %s", from, to)
	}
}

// made is short with a name that somebody who has to have a temporary name might
// have given it.
func (s subject) made() string {
	name := s.short()
	switch {
	case name == "":
		return "."
	case !s.temp:
		return name
	}
	const open = ".XXXXXX"
	return strings.TrimSuffix(name, open) + scratchTemp("")
}

// tellOwners says that the owner or the group of an object changes.
func (s *setter) tellOwners() {
	if !s.d.opt.Debugs(option.DebugOwn, 1) {
		return
	}
	tell := func(what string, from, to uint32) {
		if from != to {
			s.d.debug(option.DebugOwn, 1, "set %s of %s from %d to %d", what, s.named.made(), from, to)
		}
	}
	tell("uid", s.have.UID, s.want.UID)
	tell("gid", s.have.GID, s.want.GID)
}

// backedUp says how a backup was made.
func (d *Dest) backedUp(p tree.Path, way string) {
	if d.opt.Debugs(option.DebugBackup, 1) {
		d.debug(option.DebugBackup, 1, "make_backup: %s %s successful.", way, p)
	}
}

// tellEntered says what directory the destination is.
func (d *Dest) tellEntered(name string) {
	if name != "." {
		d.debug(option.DebugChdir, 1, "[%s] change_dir(%s)", opening, d.dir)
	}
}
