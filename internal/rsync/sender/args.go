package sender

import (
	"fmt"
	"path"
	"strings"

	"lockstep/internal/fs/tree"
)

// argument is a source argument taken apart (section 3.5): the directory to go
// to, as it was given, and what is listed there.
type argument struct {
	dir  string    // "" is the place itself
	name tree.Path // below dir; Root is dir itself. With --relative it may begin with a slash, and dir is ignored then

	slash   bool // it ended in a slash or the like: the contents of a directory are meant, and a symlink to one is followed
	dotRoot bool // with --relative: "." is to be listed, too

	at    tree.Path // of one that waits: where it is in the list, and on disk
	where where
}

// absolute reports whether the name is listed with its slash in front.
func (a *argument) absolute() bool { return strings.HasPrefix(string(a.name), "/") }

// parseArgument takes an argument apart.
func parseArgument(arg string, relative bool) (argument, error) {
	if relative {
		return parseRelative(arg)
	}
	dir, base := splitLast(arg)
	switch base {
	case "", ".":
		return argument{dir: dir, slash: true}, nil
	case "..":
		return argument{dir: arg, slash: true}, nil
	}
	return argument{dir: dir, name: tree.Path(base)}, nil
}

// splitLast cuts s at its last slash.
func splitLast(s string) (dir, base string) {
	i := strings.LastIndexByte(s, '/')
	switch {
	case i < 0:
		return "", s
	case i == 0:
		return "/", s[1:]
	}
	return s[:i], s[i+1:]
}

// parseRelative is parseArgument with --relative: what is behind the first
// "/./" is listed, or else everything.
func parseRelative(arg string) (argument, error) {
	var a argument
	rest := arg
	if i := strings.Index(arg, "/./"); i >= 0 {
		a.dir, rest = strings.TrimRight(arg[:i], "/"), strings.TrimLeft(arg[i+3:], "/")
		if a.dir == "" {
			a.dir = "/"
		}
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == ".." {
			return a, &Error{Code: exitSyntax, Text: fmt.Sprintf("found \"..\" dir in relative path: %s", rest)}
		}
	}
	a.slash = rest == "" || rest == "." || strings.HasSuffix(rest, "/") || strings.HasSuffix(rest, "/.")
	a.dotRoot = strings.HasPrefix(rest, "./") && strings.Trim(rest[2:], "/") != ""
	if clean := path.Clean(rest); clean != "." {
		a.name = tree.Path(clean)
	}
	return a, nil
}

// sanitized is a name of --files-from as an argument: it does not leave the
// directory that it is relative to. With --relative a "." stays and counts as a
// component: that is what the reference makes of "./d/./../a".
func sanitized(name string, relative bool) string {
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "", part == "." && !relative:
		case part == "..":
			parts = parts[:max(len(parts)-1, 0)]
		default:
			parts = append(parts, part)
		}
	}
	clean := strings.Join(parts, "/")
	switch {
	case clean == "":
		clean = "."
	case strings.HasSuffix(name, "/"), !relative && (strings.HasSuffix(name, "/.") || strings.HasSuffix(name, "/..")):
		clean += "/"
	}
	return clean
}
