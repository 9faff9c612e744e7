package dest

import (
	"math/rand/v2"
	"strings"
)

// Temporary names have the form of rsync's (rsync-transfer 4.6): ".BASE.XXXXXX",
// or "BASE.XXXXXX" in a directory of --temp-dir.
const (
	tempSuffix = 7   // ".XXXXXX"
	tempBase   = 246 // bytes of BASE at most
	tempChars  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// hiddenTemp is a temporary name beside base.
func hiddenTemp(base string) string { return "." + scratchTemp(strings.TrimPrefix(base, ".")) }

// scratchTemp is a temporary name in a directory for these.
func scratchTemp(base string) string {
	var b [tempSuffix]byte
	b[0] = '.'
	for i := 1; i < len(b); i++ {
		b[i] = tempChars[rand.IntN(len(tempChars))]
	}
	return cutBase(base) + string(b[:])
}

// tempPattern is a temporary name as it stands in messages about the making of
// one.
func (d *Dest) tempPattern(base string) string {
	if d.scratch.name != "" {
		return cutBase(base) + ".XXXXXX"
	}
	return "." + cutBase(strings.TrimPrefix(base, ".")) + ".XXXXXX"
}

// cutBase shortens a name so that the temporary one is no longer than a file
// system allows, and does not end within a character.
func cutBase(base string) string {
	if len(base) <= tempBase {
		return base
	}
	cut := base[:tempBase]
	if base[tempBase] >= 0x80 {
		cut = strings.TrimRightFunc(cut, func(r rune) bool { return r >= 0x80 })
	}
	return strings.TrimSuffix(cut, ".")
}
