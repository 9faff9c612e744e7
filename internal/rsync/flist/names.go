package flist

import (
	"os/user"
	"strconv"
	"sync"
)

// maxIDName is the longest user or group name that fits the wire, in bytes.
const maxIDName = 255

// Names turns ids into names through the system's user and group databases,
// asking for each id once in its life. The zero value is ready; it may be used
// from any goroutine.
type Names struct {
	mu            sync.Mutex
	users, groups map[uint32]string
}

// User is the name of a uid, "" if it has none that can be sent.
func (n *Names) User(uid uint32) string {
	return n.lookup(&n.users, uid, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

// Group is the name of a gid, "" if it has none that can be sent.
func (n *Names) Group(gid uint32) string {
	return n.lookup(&n.groups, gid, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

// lookup answers from the table or asks. A failed look-up is an id without a
// name: the receiving side then keeps the number.
func (n *Names) lookup(table *map[uint32]string, id uint32, ask func(string) (string, error)) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name, ok := (*table)[id]; ok {
		return name
	}
	name, err := ask(strconv.FormatUint(uint64(id), 10))
	if err != nil || len(name) > maxIDName {
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
