package checksum

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Algo is a checksum algorithm together with the way rsync seeds it.
type Algo uint8

// The algorithms. MD4Old is what protocols 27 to 29 use when nothing was
// chosen: it differs from MD4 in the whole-file digest alone, which it begins
// with the seed.
const (
	None Algo = iota
	MD4Old
	MD4
	MD5
	SHA1
	XXH64
	XXH3
	XXH128
)

// algos is indexed by Algo. Sizes are the bytes a digest has on the wire; None
// has one, always zero (2.5).
var algos = [...]struct {
	name string
	size int
}{
	None:   {"none", 1},
	MD4Old: {"md4", 16},
	MD4:    {"md4", 16},
	MD5:    {"md5", 16},
	SHA1:   {"sha1", 20},
	XXH64:  {"xxh64", 8},
	XXH3:   {"xxh3", 8},
	XXH128: {"xxh128", 16},
}

// MaxSize is the length of the longest digest.
const MaxSize = 20

// String returns the name used on the wire and on the command line.
func (a Algo) String() string {
	if int(a) < len(algos) {
		return algos[a].name
	}
	return fmt.Sprintf("checksum(%d)", uint8(a))
}

// Size returns the digest's length in bytes on the wire.
func (a Algo) Size() int { return algos[a].size }

// Default returns the algorithms of a session that negotiates nothing: for the
// transfer (blocks and whole-file check) and for the digests in the file list
// (2.7).
func Default(protocol int) (transfer, file Algo) {
	if protocol >= 30 {
		return MD5, MD5
	}
	return MD4Old, MD4
}

// Parse returns the algorithm of that name, which may be in any case. "xxhash"
// is another name of xxh64.
func Parse(name string) (Algo, error) {
	lower := strings.ToLower(name)
	if lower == "xxhash" {
		return XXH64, nil
	}
	for a, row := range algos {
		if row.name == lower && Algo(a) != MD4Old {
			return Algo(a), nil
		}
	}
	return None, fmt.Errorf("unknown checksum name: %q", name)
}

// order is the reference's order of preference. Releases up to 3.4 let a server
// take the first name of the client's list while the client goes by its own
// list: both agree only as long as everybody keeps to this order (2.7).
var order = [...]Algo{XXH128, XXH3, XXH64, MD5, MD4, SHA1}

// Names returns the list a client sends: all names, most preferred first.
func Names() string {
	names := make([]string, len(order))
	for i, a := range order {
		names[i] = a.String()
	}
	return strings.Join(names, " ")
}

// Negotiate returns what a client chooses after it sent own, a list as returned
// by Names or one name, and read peer: the name of the peer's list that ranks
// highest in its own. The winner serves the transfer and the file list.
// Names that we do not know are passed over.
func Negotiate(own, peer string) (Algo, error) {
	var offered [len(algos)]bool
	for _, name := range strings.Fields(peer) {
		if a, err := Parse(name); err == nil {
			offered[a] = true
		}
	}
	for _, name := range strings.Fields(own) {
		if a, err := Parse(name); err == nil && offered[a] {
			return a, nil
		}
	}
	return None, fmt.Errorf("negotiate a checksum: no common name: ours %q, peer's %q", own, peer)
}

// Hex returns a digest that is in the order of the wire in the form that people
// know: hexadecimal, and for the xxh family most significant byte first.
func (a Algo) Hex(digest []byte) string {
	if a.reversed() {
		digest = slices.Clone(digest)
		slices.Reverse(digest)
	}
	return hex.EncodeToString(digest)
}
