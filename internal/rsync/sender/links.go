package sender

import (
	"strings"

	"lockstep/internal/fs/tree"
)

// munged is what a receiver with --munge-links puts in front of every target.
const munged = "/rsyncd-munged/"

// unmunged takes that off again.
func unmunged(target string) string {
	if rest, ok := strings.CutPrefix(target, munged); ok && rest != "" {
		return rest
	}
	return target
}

// unsafeLink reports whether the target of a symlink may lie outside of what is
// transferred: a test of words alone (section 9.3). link is where the symlink is
// below the transfer root. After the leading "../" no other ".." is trusted.
func unsafeLink(target string, link tree.Path) bool {
	if target == "" || target[0] == '/' || strings.HasSuffix(target, "/..") {
		return true
	}
	up, rest := 0, target
	for strings.HasPrefix(rest, "../") {
		up++
		rest = strings.TrimLeft(rest[3:], "/")
	}
	if rest == ".." {
		up++
	}
	return up > link.Parent().Depth() || strings.Contains(rest, "/../")
}
