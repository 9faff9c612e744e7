package tree

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote makes a name from disk or from a peer safe to print: text without
// control characters, invalid UTF-8, quotes, backslashes or outer spaces is
// returned as it is; anything else as a Go string literal in double quotes.
func Quote(s string) string {
	if s == "" || strings.TrimSpace(s) != s {
		return strconv.Quote(s)
	}
	for i, r := range s {
		if r == '"' || r == '\\' || !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return strconv.Quote(s)
			}
		}
	}
	return s
}

// ShellWord quotes s so that a shell takes it as one word: hints are commands
// to paste.
func ShellWord(s string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%"
	if s != "" && strings.Trim(s, safe) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
