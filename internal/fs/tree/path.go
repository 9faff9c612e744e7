package tree

import (
	"errors"
	"fmt"
	"strings"
)

// Path names something below the root of a tree: slash-separated raw bytes,
// no leading or trailing slash, no empty, "." or ".." component. The empty
// Path is the root itself. Names are bytes, not text: they may hold anything
// but '/' and NUL, invalid UTF-8 and newlines included.
type Path string

// Root is the tree's root.
const Root Path = ""

// MaxPath is the longest Path in bytes (Linux PATH_MAX less the NUL).
const MaxPath = 4095

// MaxName is the longest single name in bytes (Linux NAME_MAX).
const MaxName = 255

var errBadPath = errors.New("not a clean relative path")

// Clean turns s into a Path, or reports why it can't be one. It removes
// leading, trailing and doubled slashes and "." components; ".." and NUL are
// errors, never collapsed.
func Clean(s string) (Path, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return "", fmt.Errorf("%s: NUL byte: %w", Quote(s), errBadPath)
	}
	var parts []string
	for part := range strings.SplitSeq(s, "/") {
		switch part {
		case "", ".":
		case "..":
			return "", fmt.Errorf("%s: \"..\" component: %w", Quote(s), errBadPath)
		default:
			if len(part) > MaxName {
				return "", fmt.Errorf("%s: name longer than %d bytes: %w", Quote(s), MaxName, errBadPath)
			}
			parts = append(parts, part)
		}
	}
	p := strings.Join(parts, "/")
	if len(p) > MaxPath {
		return "", fmt.Errorf("path longer than %d bytes: %w", MaxPath, errBadPath)
	}
	return Path(p), nil
}

// Valid reports whether p is in the form that Clean produces.
func (p Path) Valid() bool {
	c, err := Clean(string(p))
	return err == nil && c == p
}

// IsRoot reports whether p is the tree's root.
func (p Path) IsRoot() bool { return p == Root }

// Join is the entry called name in directory p.
func (p Path) Join(name string) Path {
	if p == Root {
		return Path(name)
	}
	return p + "/" + Path(name)
}

// Parent is the directory that holds p; the root is its own parent.
func (p Path) Parent() Path {
	if i := strings.LastIndexByte(string(p), '/'); i >= 0 {
		return p[:i]
	}
	return Root
}

// Base is the last component of p, "" for the root.
func (p Path) Base() string {
	return string(p[strings.LastIndexByte(string(p), '/')+1:])
}

// Within reports whether p is dir or lies below it.
func (p Path) Within(dir Path) bool {
	if dir == Root || p == dir {
		return true
	}
	return len(p) > len(dir) && p[len(dir)] == '/' && p[:len(dir)] == dir
}

// Below reports whether p lies strictly below dir.
func (p Path) Below(dir Path) bool { return p != dir && p.Within(dir) }

// Rel is p as seen from dir; p must be within dir.
func (p Path) Rel(dir Path) Path {
	if dir == Root {
		return p
	}
	if p == dir {
		return Root
	}
	return p[len(dir)+1:]
}

// Under is p placed below dir.
func (p Path) Under(dir Path) Path {
	switch {
	case dir == Root:
		return p
	case p == Root:
		return dir
	}
	return dir + "/" + p
}

// Rebase moves p, which must be within from, to the same place within to.
func (p Path) Rebase(from, to Path) Path { return p.Rel(from).Under(to) }

// Depth is the number of components in p, 0 for the root.
func (p Path) Depth() int {
	if p == Root {
		return 0
	}
	return 1 + strings.Count(string(p), "/")
}

// String is p made safe to print, see Quote.
func (p Path) String() string {
	if p == Root {
		return "."
	}
	return Quote(string(p))
}
