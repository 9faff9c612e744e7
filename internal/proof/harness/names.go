package harness

import (
	"fmt"
	"strings"
)

// oddNames are names that break careless programs: shells, line readers,
// pattern matchers, option parsers, text decoders, and takers of names that
// look like their own temporary files.
var oddNames = []string{
	"new\nline", "\n", "tab\there", "quote'single", `quote"double`, "back\\slash", `\#012`,
	"space in the middle", " leading", "trailing ", " ", "-rf", "--delete", "-", "#comment", ";semicolon",
	"*", "?", "[abc]", "**", "a*b", "{x,y}", "$HOME", "`id`", "$(id)", "%s%n", "&", "|", "~", "!bang", "@at", ":colon", "a:b",
	"...", "..x", ".hidden", ".name.Ab12Cd", ".~tmp~", ".rsync-partial", "name~", "x.tmp", "#1234",
	"inv\xffalid", "\xfe\xff", "\x80", "latin-\xe9", "ünïcödé", "日本語", "\u202e", "e\u0301", "\x01\x1b[31m", "\x7f",
	".git", "core", "CON", "+ ", "- ", "merge", "lost+found",
}

// name is a new name: most are plain and from a small set, so that names are
// used again after a rename or a delete.
func (c *Churn) name() string {
	switch c.rng.IntN(12) {
	case 0, 1:
		return oddNames[c.rng.IntN(len(oddNames))]
	case 2:
		if c.rng.IntN(4) == 0 {
			return strings.Repeat(string(rune('a'+c.rng.IntN(26))), 255)
		}
		return fmt.Sprintf("unique-%d", c.steps)
	default:
		return fmt.Sprintf("%c%d", 'a'+c.rng.IntN(6), c.rng.IntN(12))
	}
}
