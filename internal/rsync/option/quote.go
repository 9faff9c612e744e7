package option

import "strings"

// shellSpecial are the bytes that a backslash takes the meaning of, for a remote
// shell (rsync-session 3.4); wildcards are special in values only.
const (
	shellSpecial = "!#$&;|<>(){}\"'` \t\n\r\\"
	wildcards    = "*?[]"
)

// quoteValue quotes an option's value literally, for a remote shell or for a
// daemon, which takes one level of backslashes away.
func quoteValue(s string) string {
	return escape(s, shellSpecial+wildcards)
}

// QuotePath is a path operand for a remote shell. Its wildcards stay live, with
// the backslashes before them.
func (s *Set) QuotePath(path string, remoteSends bool) string {
	path = PlainPath(path)
	if s.OldArgs > 0 || s.SecludedArgs {
		return path
	}
	tilde := ""
	if remoteSends && !s.TrustSender && s.FilesFromHost == "" && strings.HasPrefix(path, "~") &&
		(!strings.Contains(path, "/") || s.Relative && !strings.Contains(path, "/./")) {
		tilde = `\`
	}
	return tilde + escape(path, shellSpecial)
}

// PlainPath is a path operand as a server takes it, without quoting: it is not
// empty and does not look like an option.
func PlainPath(path string) string {
	switch {
	case path == "":
		return "."
	case path[0] == '-':
		return "./" + path
	}
	return path
}

// escape puts a backslash before every special byte, apart from a backslash
// before a wildcard where wildcards are not special.
func escape(s, special string) string {
	if !strings.ContainsAny(s, special) {
		return s
	}
	live := !strings.ContainsAny(special, wildcards)
	var b strings.Builder
	for i := range len(s) {
		keep := live && s[i] == '\\' && i+1 < len(s) && strings.IndexByte(wildcards, s[i+1]) >= 0
		if !keep && strings.IndexByte(special, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
