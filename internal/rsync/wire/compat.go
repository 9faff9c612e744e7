package wire

import "strings"

// Compat are the compatibility flags which a server sends from protocol 30 on
// (rsync-session 4.1). Before, all are off.
type Compat uint32

// The flags.
const (
	IncRecurse        Compat = 1 << iota // file lists come in pieces
	SymlinkTimes                         // the server can set times of symlinks
	SymlinkIconv                         // symlink targets are converted when --iconv is used
	SafeFlist                            // a file list may end with an io_error
	AvoidXattrOptim                      // no xattr shortcut for hard links
	ChecksumSeedFix                      // md5 hashes the seed before the data
	InplacePartialDir                    // files in a partial-dir may be updated in place
	VarintFlistFlags                     // entry flags are varints; checksum and compression names are negotiated
	ID0Names                             // id lists end with the names of id 0
)

var compatNames = [...]string{
	"INC_RECURSE", "SYMLINK_TIMES", "SYMLINK_ICONV", "SAFE_FLIST", "AVOID_XATTR_OPTIM",
	"CHKSUM_SEED_FIX", "INPLACE_PARTIAL_DIR", "VARINT_FLIST_FLAGS", "ID0_NAMES",
}

// Has reports whether all of flags are set.
func (c Compat) Has(flags Compat) bool { return c&flags == flags }

func (c Compat) String() string {
	var set []string
	for i, name := range compatNames {
		if c&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, "|")
}
