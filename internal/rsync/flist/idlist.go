package flist

import (
	"maps"
	"slices"

	"lockstep/internal/rsync/wire"
)

// idLists writes the names of the ids that travelled (section 4.2):
//
//	{ id:v30 (not 0) len:byte name }*  0:v30  [len:byte name-of-id-0]
func (e *Encoder) idLists() {
	if e.opts.Owner || e.opts.ACLs {
		e.idList(&e.users)
	}
	if e.opts.Group || e.opts.ACLs {
		e.idList(&e.groups)
	}
}

func (e *Encoder) idList(t *idTable) {
	for _, id := range slices.Sorted(maps.Keys(t.seen)) {
		if name := t.name(id); id != 0 && name != "" {
			e.int30(id)
			e.shortName(name)
		}
	}
	e.int30(0)
	if e.opts.Compat&wire.ID0Names != 0 {
		name := t.name(0)
		e.w.Byte(byte(len(name)))
		e.w.Write([]byte(name))
	}
}
