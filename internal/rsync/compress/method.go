package compress

import (
	"fmt"
	"strings"
)

// Method is how file data is compressed for the whole of a session.
type Method uint8

// The methods. Zlib adds matched blocks to the compressor's history, Zlibx and
// the others do not.
const (
	None Method = iota
	Zlib
	Zlibx
	Zstd
	LZ4
)

// methods is indexed by Method; the levels are those of the reference (3.7).
// The lowest level of zstd is that of its library.
var methods = [...]struct {
	name              string
	lowest, usual, up int
}{
	None:  {"none", 0, 0, 0},
	Zlib:  {"zlib", 1, 6, 9},
	Zlibx: {"zlibx", 1, 6, 9},
	Zstd:  {"zstd", -(1 << 17), 3, 22},
	LZ4:   {"lz4", 0, 0, 0},
}

// String returns the name used on the wire and on the command line.
func (m Method) String() string {
	if int(m) < len(methods) {
		return methods[m].name
	}
	return fmt.Sprintf("compress(%d)", uint8(m))
}

// Level returns the level that is in force when level is asked for: values out
// of range are clamped, and 0 is the method's default, as is -1 for zlib and
// zlibx. (A user's level 0 for zlib means no compression at all, which is for
// the caller to see to by choosing None.)
func (m Method) Level(level int) int {
	row := methods[m]
	if level == 0 || level == -1 && (m == Zlib || m == Zlibx) {
		return row.usual
	}
	return max(row.lowest, min(level, row.up))
}

// Parse returns the method of that name, which may be in any case.
func Parse(name string) (Method, error) {
	lower := strings.ToLower(name)
	for m, row := range methods {
		if row.name == lower {
			return Method(m), nil
		}
	}
	return None, fmt.Errorf("unknown compress name: %q", name)
}

// order is the reference's order of preference; see the same in checksum.
var order = [...]Method{Zstd, LZ4, Zlibx, Zlib}

// Names returns the list a client sends: all names, most preferred first.
func Names() string {
	names := make([]string, len(order))
	for i, m := range order {
		names[i] = m.String()
	}
	return strings.Join(names, " ")
}

// Negotiate returns what a client chooses after it sent own, a list as returned
// by Names or one name, and read peer: the name of the peer's list that ranks
// highest in its own. Names that we do not know are passed over.
//
// A session that negotiates nothing uses Zlib.
func Negotiate(own, peer string) (Method, error) {
	var offered [len(methods)]bool
	for _, name := range strings.Fields(peer) {
		if m, err := Parse(name); err == nil {
			offered[m] = true
		}
	}
	for _, name := range strings.Fields(own) {
		if m, err := Parse(name); err == nil && offered[m] {
			return m, nil
		}
	}
	return None, fmt.Errorf("negotiate a compression: no common name: ours %q, peer's %q", own, peer)
}
