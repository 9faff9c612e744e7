package flist

import (
	"bytes"
	"cmp"
	"strings"
)

// modernOrder is the first protocol that sorts directories by name plus slash
// and behind the files beside them (section 3.1); below it paths are plain
// strings (3.2).
const modernOrder = 29

// CompareSiblings orders two entries of one directory as both sides number
// them. Sending the children of each directory in this order, each directory
// followed by its contents, is sending a list in its sorted order from
// protocol 29 on.
func CompareSiblings(protocol int, a string, aDir bool, b string, bDir bool) int {
	switch {
	case protocol < modernOrder || !aDir && !bDir:
		return strings.Compare(a, b)
	case aDir != bDir:
		if bDir {
			return -1
		}
		return 1
	}
	n := min(len(a), len(b))
	if c := strings.Compare(a[:n], b[:n]); c != 0 {
		return c
	}
	return slashOrder(a, b, n)
}

// slashOrder compares a and b, of which the shorter one, of n bytes, begins the
// other one, as if both ended in a slash.
func slashOrder[T string | []byte](a, b T, n int) int {
	switch {
	case len(a) > n:
		return cmp.Compare(a[n], '/')
	case len(b) > n:
		return cmp.Compare('/', b[n])
	}
	return 0
}

// comparePaths orders two full names; the root is ".".
func comparePaths(protocol int, a []byte, aDir bool, b []byte, bDir bool) int {
	if protocol < modernOrder {
		return bytes.Compare(a, b)
	}
	aRoot, bRoot := isRoot(a, aDir), isRoot(b, bDir)
	if aRoot || bRoot {
		return cmp.Compare(rank(!aRoot), rank(!bRoot))
	}
	i := componentStart(a, b)
	a, b = a[i:], b[i:]
	ca, aItem := component(a, aDir)
	cb, bItem := component(b, bDir)
	switch {
	case aItem && bItem:
		return bytes.Compare(ca, cb)
	case aItem != bItem:
		return cmp.Compare(rank(!aItem), rank(!bItem))
	}
	n := min(len(ca), len(cb))
	if c := bytes.Compare(ca[:n], cb[:n]); c != 0 {
		return c
	}
	if c := slashOrder(ca, cb, n); c != 0 {
		return c
	}
	return cmp.Compare(len(a), len(b)) // one of the two ends here, the other lies below it
}

func isRoot(name []byte, dir bool) bool { return dir && len(name) == 1 && name[0] == '.' }

func rank(second bool) int {
	if second {
		return 1
	}
	return 0
}

// componentStart is the offset of the first component in which a and b differ,
// or of the last one of the name that the other one continues.
func componentStart(a, b []byte) int {
	start := 0
	for i := 0; i < len(a) && i < len(b) && a[i] == b[i]; i++ {
		if a[i] == '/' {
			start = i + 1
		}
	}
	return start
}

// component is the first component of rest and whether it is an item: the last
// component of a non-directory.
func component(rest []byte, dir bool) (name []byte, item bool) {
	if i := bytes.IndexByte(rest, '/'); i >= 0 {
		return rest[:i], false
	}
	return rest, !dir
}
