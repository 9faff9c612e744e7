package watch

import (
	"hash/maphash"
	"strings"
	"time"

	"lockstep/internal/fs/tree"
)

// snapshot is what polling remembers of one directory: a name, a NUL and 8
// bytes for each entry.
type snapshot struct {
	dev    uint64 // of the directory
	names  string // sorted, each with a NUL after it
	prints []uint64
}

// The low bits of a print; the others are a hash of what a change would touch.
const (
	printDir   = 1 << 0
	printFresh = 1 << 1 // so young that a second change could look the same
	printBits  = printDir | printFresh
)

var printSeed = maphash.MakeSeed()

// A change within the granularity of a file system's clock leaves the times as
// they are. Entries that are younger than that when they are looked at are
// taken to differ the next time.
const (
	fineClock   = 50 * time.Millisecond
	coarseClock = 2 * time.Second // a time without nanoseconds: FAT has 2 s, others 1 s
)

// fingerprint sums m up.
func fingerprint(m tree.Meta, now time.Time) uint64 {
	m.Nlink = 0 // changes with other names of the file, which are told themselves
	p := maphash.Comparable(printSeed, m) &^ printBits
	if m.IsDir() {
		p |= printDir
	}
	clock := fineClock
	if m.Ctime.Nsec == 0 {
		clock = coarseClock
	}
	if now.Sub(time.Unix(m.Ctime.Sec, int64(m.Ctime.Nsec))) < clock {
		p |= printFresh
	}
	return p
}

// difference is one entry that differs between two snapshots.
type difference struct {
	name string
	op   Op // Create|Found, Modify, Attrib (a directory) or Delete
	dir  bool
}

// cursor goes through a snapshot.
type cursor struct {
	names  string
	prints []uint64

	ok    bool // name and print are those of an entry
	name  string
	print uint64
}

func (s *snapshot) cursor() cursor {
	c := cursor{}
	if s != nil {
		c.names, c.prints = s.names, s.prints
	}
	c.next()
	return c
}

func (c *cursor) next() {
	if c.ok = len(c.prints) > 0; c.ok {
		c.name, c.names, _ = strings.Cut(c.names, "\x00")
		c.print, c.prints = c.prints[0], c.prints[1:]
	}
}

// compare makes a new snapshot from a sorted listing and reports how it
// differs from s, which may be nil. If the listing is not complete, entries it
// lacks are kept as they were.
func (s *snapshot) compare(dev uint64, listing []tree.Entry, complete bool, now time.Time, report func(difference)) *snapshot {
	var names strings.Builder
	size := 0
	for _, e := range listing {
		size += len(e.Name) + 1
	}
	names.Grow(size)
	fresh := &snapshot{dev: dev, prints: make([]uint64, 0, len(listing))}
	keep := func(name string, print uint64) {
		names.WriteString(name)
		names.WriteByte(0)
		fresh.prints = append(fresh.prints, print)
	}
	old := s.cursor()
	missing := func() {
		if complete {
			report(difference{old.name, Delete, old.print&printDir != 0})
		} else {
			keep(old.name, old.print)
		}
		old.next()
	}
	for _, e := range listing {
		for old.ok && old.name < e.Name {
			missing()
		}
		print := fingerprint(e.Meta, now)
		if old.ok && old.name == e.Name {
			reportChange(e.Name, old.print, print, report)
			old.next()
		} else {
			report(difference{e.Name, Create | Found, e.Meta.IsDir()})
		}
		keep(e.Name, print)
	}
	for old.ok {
		missing()
	}
	fresh.names = names.String()
	return fresh
}

// reportChange reports how an entry that both listings have differs.
func reportChange(name string, was, is uint64, report func(difference)) {
	isDir := is&printDir != 0
	switch {
	case (was^is)&printDir != 0: // another object took the name
		report(difference{name, Delete, !isDir})
		report(difference{name, Create | Found, isDir})
	case was == is&^printFresh:
	case isDir:
		report(difference{name, Attrib, true})
	default:
		report(difference{name, Modify, false})
	}
}

// recheck decides when polling asks for everything to be compared. Polling
// sees states, and whoever looks after it told of a change may see another one,
// which is gone before the next look and then is no change to polling. So after
// a look that finds all quiet, once, what the consumer has must be compared.
type recheck struct {
	busy int // looks that found changes since the last comparison
}

// maxBusy is how many looks may find changes before a comparison is due
// although it is not quiet yet.
const maxBusy = 12

// due takes what a look found.
func (r *recheck) due(changes bool) bool {
	if changes {
		r.busy++
	}
	if r.busy == 0 || changes && r.busy < maxBusy {
		return false
	}
	r.busy = 0
	return true
}
