package flist

import (
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

// comparePaths orders two full names; the root is ".", or "/." where it was
// named by an absolute path.
func comparePaths[T string | []byte](protocol int, a T, aDir bool, b T, bDir bool) int {
	if protocol < modernOrder {
		return compareText(a, b)
	}
	i := componentStart(a, b)
	a, b = a[i:], b[i:]
	aRoot, bRoot := isRoot(a, aDir), isRoot(b, bDir)
	if aRoot || bRoot {
		return cmp.Compare(rank(!aRoot), rank(!bRoot))
	}
	ca, aItem := component(a, aDir)
	cb, bItem := component(b, bDir)
	switch {
	case aItem && bItem:
		return compareText(ca, cb)
	case aItem != bItem:
		return cmp.Compare(rank(!aItem), rank(!bItem))
	}
	n := min(len(ca), len(cb))
	if c := compareText(ca[:n], cb[:n]); c != 0 {
		return c
	}
	if c := slashOrder(ca, cb, n); c != 0 {
		return c
	}
	return cmp.Compare(len(a), len(b)) // one of the two ends here, the other lies below it
}

// compareText compares bytes.
func compareText[T string | []byte](a, b T) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return cmp.Compare(a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b))
}

func isRoot[T string | []byte](name T, dir bool) bool { return dir && len(name) == 1 && name[0] == '.' }

func rank(second bool) int {
	if second {
		return 1
	}
	return 0
}

// componentStart is the offset of the first component in which a and b differ,
// or of the last one of the name that the other one continues.
func componentStart[T string | []byte](a, b T) int {
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
func component[T string | []byte](rest T, dir bool) (name T, item bool) {
	for i := range len(rest) {
		if rest[i] == '/' {
			return rest[:i], false
		}
	}
	return rest, !dir
}
