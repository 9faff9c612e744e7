package flist

import (
	"os/user"
	"strconv"
	"sync"
)

// maxIDName is the longest user or group name that fits the wire, in bytes.
const maxIDName = 255

// Directory knows users and groups. It may be asked from any goroutine.
type Directory interface {
	User(uid uint32) string  // the name, "" if it has none
	Group(gid uint32) string // the same of a group
	UserID(name string) (uid uint32, ok bool)
	GroupID(name string) (gid uint32, ok bool)
}

// Nameless is a Directory of nobody.
type Nameless struct{}

// User has no name.
func (Nameless) User(uint32) string { return "" }

// Group has no name.
func (Nameless) Group(uint32) string { return "" }

// UserID knows no name.
func (Nameless) UserID(string) (uid uint32, ok bool) { return 0, false }

// GroupID knows no name.
func (Nameless) GroupID(string) (gid uint32, ok bool) { return 0, false }

// system is the Directory of this machine.
type system struct{}

func (system) User(uid uint32) string {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return ""
	}
	return u.Username
}

func (system) Group(gid uint32) string {
	g, err := user.LookupGroupId(strconv.FormatUint(uint64(gid), 10))
	if err != nil {
		return ""
	}
	return g.Name
}

func (system) UserID(name string) (uint32, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, false
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(id), err == nil
}

func (system) GroupID(name string) (uint32, bool) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	id, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(id), err == nil
}

// Names turns ids into names, asking for each id once in its life. The zero
// value is ready and asks the system; it may be used from any goroutine.
type Names struct {
	From Directory // nil is the system

	mu            sync.Mutex
	users, groups map[uint32]string
}

// User is the name of a uid, "" if it has none that can be sent.
func (n *Names) User(uid uint32) string { return n.lookup(&n.users, uid, n.directory().User) }

// Group is the name of a gid, "" if it has none that can be sent.
func (n *Names) Group(gid uint32) string { return n.lookup(&n.groups, gid, n.directory().Group) }

func (n *Names) directory() Directory {
	if n.From == nil {
		return system{}
	}
	return n.From
}

// lookup answers from the table or asks. A failed look-up is an id without a
// name: the receiving side then keeps the number.
func (n *Names) lookup(table *map[uint32]string, id uint32, ask func(uint32) string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name, ok := (*table)[id]; ok {
		return name
	}
	name := ask(id)
	if len(name) > maxIDName {
		name = ""
	}
	if *table == nil {
		*table = make(map[uint32]string)
	}
	(*table)[id] = name
	return name
}

// idTable is what was already said about the ids of one kind: which ones
// travelled, and with inline names, that their name has been sent (section 4).
type idTable struct {
	name func(uint32) string
	seen map[uint32]struct{}
	last uint32 // the id asked for last, valid if any is true
	any  bool
}

// first reports whether id is used for the first time in the session.
func (t *idTable) first(id uint32) bool {
	if t.any && t.last == id {
		return false
	}
	t.last, t.any = id, true
	if _, ok := t.seen[id]; ok {
		return false
	}
	if t.seen == nil {
		t.seen = make(map[uint32]struct{})
	}
	t.seen[id] = struct{}{}
	return true
}

// inline notes the use of id; the result is the name to send along with it, ""
// for none.
func (e *Encoder) inline(t *idTable, id uint32) string {
	if e.opts.NumericIDs || !t.first(id) || !e.opts.inlineNames() {
		return ""
	}
	return t.name(id)
}
