package option

import (
	"strconv"
	"strings"
)

// Chmod is what --chmod does to permissions (rsync-transfer 4.9). A nil Chmod
// leaves them.
type Chmod struct {
	items []chmodItem
}

// chmodItem is one comma-separated item.
type chmodItem struct {
	dirs, files bool   // what it is for
	absolute    bool   // an octal number: bits replaces all
	op          byte   // '+', '-' or '='
	who         uint32 // the permission bits of the classes that are named
	masked      bool   // no class was named: the umask says which bits
	bits        uint32 // those to set or take away, for every class
	execIf      bool   // X: execute for directories and what somebody may execute
	from        byte   // copies from this class: 'u', 'g' or 'o'
}

const (
	modeType   = 0o170000
	modeDir    = 0o040000
	modeBits   = 0o7777
	setUID     = 0o4000
	setGID     = 0o2000
	sticky     = 0o1000
	allClasses = 0o777
	anyExec    = 0o111
)

var classBits = map[byte]uint32{'u': 0o700, 'g': 0o070, 'o': 0o007, 'a': allClasses}

// ParseChmod reads the values of one or more --chmod.
func ParseChmod(texts []string, umask uint32) (*Chmod, error) {
	c := &Chmod{}
	for _, text := range texts {
		for item := range strings.SplitSeq(text, ",") {
			parsed, ok := parseChmodItem(item, umask)
			if !ok {
				return nil, usage("Invalid argument passed to --chmod (%s)", text)
			}
			c.items = append(c.items, parsed)
		}
	}
	return c, nil
}

func parseChmodItem(text string, umask uint32) (chmodItem, bool) {
	it := chmodItem{dirs: true, files: true}
	if text != "" && (text[0] == 'D' || text[0] == 'F') {
		it.dirs, it.files = text[0] == 'D', text[0] == 'F'
		text = text[1:]
	}
	if text != "" && text[0] >= '0' && text[0] <= '7' {
		n, err := strconv.ParseUint(text, 8, 32)
		it.absolute, it.bits = true, uint32(n)
		return it, err == nil && n <= modeBits
	}
	for text != "" && classBits[text[0]] != 0 {
		it.who |= classBits[text[0]]
		text = text[1:]
	}
	if text == "" || strings.IndexByte("+-=", text[0]) < 0 {
		return it, false
	}
	it.op, text = text[0], text[1:]
	if it.who == 0 {
		it.who, it.masked = allClasses&^umask, true
	}
	if len(text) == 1 && strings.IndexByte("ugo", text[0]) >= 0 {
		it.from = text[0]
		return it, true
	}
	return it, it.letters(text)
}

// letters reads the permissions behind the operator.
func (it *chmodItem) letters(text string) bool {
	for i := range len(text) {
		switch text[i] {
		case 'r':
			it.bits |= 0o444
		case 'w':
			it.bits |= 0o222
		case 'x':
			it.bits |= anyExec
		case 'X':
			it.execIf = true
		case 's':
			it.bits |= setUID
		case 't':
			it.bits |= sticky
		default:
			return false
		}
	}
	return true
}

// Apply returns a mode, with the type of the file in it, as it is to be.
func (c *Chmod) Apply(mode uint32) uint32 {
	if c == nil {
		return mode
	}
	for _, it := range c.items {
		dir := mode&modeType == modeDir
		if dir && it.dirs || !dir && it.files {
			mode = it.apply(mode, dir)
		}
	}
	return mode
}

func (it *chmodItem) apply(mode uint32, dir bool) uint32 {
	if it.absolute {
		return mode&^modeBits | it.bits
	}
	bits := it.bits & (it.who | sticky)
	if it.bits&setUID != 0 {
		bits |= it.special()
	}
	if it.execIf && (dir || mode&anyExec != 0) {
		bits |= it.who & anyExec
	}
	if it.from != 0 {
		bits = it.copied(mode)
	}
	switch it.op {
	case '+':
		return mode | bits
	case '-':
		return mode &^ bits
	}
	return mode&^it.cleared() | bits
}

// special are the special bits that "s" means: setuid for the user, setgid for
// the group, setuid if neither is named.
func (it *chmodItem) special() uint32 {
	var bits uint32
	if it.who&classBits['g'] != 0 && !it.masked {
		bits |= setGID
	}
	if it.who&classBits['u'] != 0 || it.masked || bits == 0 {
		bits |= setUID
	}
	return bits
}

// cleared are the bits that '=' replaces: the permissions of the classes, with
// "s" or "t" their setuid and setgid bits too if they were named, and all their
// special bits where a class is copied.
func (it *chmodItem) cleared() uint32 {
	who := it.who
	if it.masked {
		who = allClasses
	}
	bits := who
	if it.from != 0 || it.bits&(setUID|sticky) != 0 && !it.masked {
		if who&classBits['u'] != 0 {
			bits |= setUID
		}
		if who&classBits['g'] != 0 {
			bits |= setGID
		}
	}
	if it.from != 0 && who&classBits['o'] != 0 {
		bits |= sticky
	}
	return bits
}

// copied are the permissions of one class, for all that were named.
func (it *chmodItem) copied(mode uint32) uint32 {
	shift := map[byte]uint{'u': 6, 'g': 3, 'o': 0}[it.from]
	class := mode >> shift & 7
	return class * anyExec & it.who
}
