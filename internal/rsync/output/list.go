package output

import (
	"fmt"
	"strings"
	"time"

	"lockstep/internal/fs/tree"
)

// Listed is one entry of --list-only (5.8).
type Listed struct {
	Name   string // as it was listed, "." for the root
	Meta   tree.Meta
	Target string    // of a symlink, shown with --links
	Atime  tree.Time // shown with --atimes, but not of directories
}

// ListStyle is how entries are listed.
type ListStyle struct {
	Human  int // the level of --human-readable
	Links  bool
	Atimes bool
	Zone   *time.Location // nil is the local one
}

const listTime = "2006/01/02 15:04:05"

// The width of sizes, with separators or without.
const (
	listWidth      = 14
	plainListWidth = 11
)

// Line is the line of an entry. One that is missing at the source has a name
// only.
func (s ListStyle) Line(l *Listed) string {
	zone := s.Zone
	if zone == nil {
		zone = time.Local
	}
	width := listWidth
	if s.Human == plainNumbers {
		width = plainListWidth
	}
	if l.Meta.Kind == tree.Missing {
		return fmt.Sprintf("%-*s %s", len(modeText(0))+1+width+1+len(listTime), "*missing", l.Name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %*s %s", modeText(l.Meta.Mode()), width, Human(l.Meta.Size, s.Human),
		unixTime(l.Meta.Mtime, zone).Format(listTime))
	if s.Atimes {
		atime := strings.Repeat(" ", len(listTime))
		if !l.Meta.IsDir() {
			atime = unixTime(l.Atime, zone).Format(listTime)
		}
		b.WriteString(" " + atime)
	}
	b.WriteString(" " + l.Name)
	if s.Links && l.Meta.Kind == tree.Symlink {
		b.WriteString(" -> " + l.Target)
	}
	return b.String()
}

// modeText writes a mode as ls does: the kind, and three letters for each class.
func modeText(mode uint32) string {
	b := []byte("?---------")
	letters := map[tree.Kind]byte{
		tree.File: '-', tree.Dir: 'd', tree.Symlink: 'l', tree.CharDevice: 'c',
		tree.BlockDevice: 'b', tree.Fifo: 'p', tree.Socket: 's',
	}
	if kind, ok := tree.KindOfMode(mode); ok {
		b[0] = letters[kind]
	}
	for i := range 9 {
		if mode>>(8-i)&1 != 0 {
			b[i+1] = "rwx"[i%3]
		}
	}
	special := func(bit uint32, at int, letter byte) {
		if mode&bit == 0 {
			return
		}
		if b[at] == '-' {
			letter -= 'a' - 'A'
		}
		b[at] = letter
	}
	special(0o4000, 3, 's')
	special(0o2000, 6, 's')
	special(0o1000, 9, 't')
	return string(b)
}
