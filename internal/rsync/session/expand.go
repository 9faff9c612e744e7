package session

import (
	"os"
	"path"
	"slices"
	"strings"
)

// maxExpanded bounds the names that the wildcards of a client's arguments may
// become.
const maxExpanded = 1 << 20

// expand looks for wildcards in source arguments that no shell has seen; a
// pattern that nothing matches stays.
func expand(args []string) []string {
	var all []string
	for _, arg := range args {
		found := matching("", arg, maxExpanded-len(all))
		if len(found) == 0 {
			found = []string{arg}
		}
		all = append(all, found...)
	}
	return all
}

// matching are the names that pattern stands for behind dir, at most limit. All
// but the components with wildcards stays as it is written.
func matching(dir, pattern string, limit int) []string {
	wild := strings.IndexAny(pattern, "*?[")
	if wild < 0 {
		if _, err := os.Lstat(dir + pattern); err != nil {
			return nil
		}
		return []string{dir + pattern}
	}
	start := strings.LastIndexByte(pattern[:wild], '/') + 1
	dir, pattern = dir+pattern[:start], pattern[start:]
	component, rest := pattern, ""
	if i := strings.IndexByte(pattern, '/'); i >= 0 {
		component, rest = pattern[:i], pattern[i:]
	}
	open := dir
	if open == "" {
		open = "."
	}
	entries, err := os.ReadDir(open)
	if err != nil {
		return nil
	}
	glob := strings.ReplaceAll(component, "[!", "[^")
	var found []string
	for _, entry := range entries { // sorted by name
		name := entry.Name()
		hidden := strings.HasPrefix(name, ".") && !strings.HasPrefix(component, ".")
		if ok, err := path.Match(glob, name); err != nil || !ok || hidden {
			continue
		}
		if rest == "" {
			found = append(found, dir+name)
		} else {
			found = slices.Concat(found, matching(dir+name, rest, limit-len(found)))
		}
		if len(found) >= limit {
			break
		}
	}
	return found
}
