package session

import (
	"fmt"
	"strings"

	"lockstep/internal/fs/tree"
)

// Bounds of a server's command line (rsync-session 2.5).
const (
	maxArg  = 5119 // bytes of one argument; a daemon cuts longer ones
	maxArgs = 15999
)

// shellSpecial are the bytes that a backslash takes the meaning of, in option
// values and in paths (rsync-session 3.4). What becomes of a line feed on the
// way to a shell is quoteLines's.
const shellSpecial = "!#$&;|<>(){}\"'` \t\n\r\\*?[]"

// quoteValue quotes a word literally, for a remote shell or for the options
// of a daemon, which removes a level of backslashes.
func quoteValue(s string) string {
	if !strings.ContainsAny(s, shellSpecial) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(shellSpecial, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// shellPath is a destination directory as an argument for a remote shell. It is
// taken literally, apart from a leading tilde.
func shellPath(path string) string {
	if path == "" {
		return "."
	}
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	if path[0] == '-' {
		path = "./" + path
	}
	return quoteValue(path)
}

// daemonPath is a destination directory as a path argument for a daemon
// (rsync-session 2.5). The daemon expands wildcards, and what it finds at
// " module/" it takes for a further path; escapes for both would become part
// of the name if the directory does not exist yet. So these are refused.
func daemonPath(module, path string) (string, error) {
	path = strings.TrimLeft(path, "/")
	switch {
	case strings.ContainsAny(path, "*?["):
		return "", fmt.Errorf("%s: a daemon would expand the wildcard: %w", tree.Quote(path), ErrPath)
	case strings.Contains("/"+path, " "+module+"/"), strings.HasSuffix("/"+path, " "+module):
		return "", fmt.Errorf("%s: a daemon would take it for several paths: %w", tree.Quote(path), ErrPath)
	}
	arg := module + "/"
	if strings.HasPrefix(path, "-") { // a daemon takes the module off before it looks for options
		path = "./" + path
	}
	if path != "" {
		arg += strings.TrimRight(path, "/") + "/"
	}
	if arg[0] == '-' {
		arg = "./" + arg
	}
	return arg, nil
}

// quoteLines has a remote shell keep line feeds: after a backslash it drops
// them.
func quoteLines(word string) string {
	if !strings.Contains(word, "\n") {
		return word
	}
	return strings.ReplaceAll(strings.ReplaceAll(word, "\\\n", "\n"), "\n", "'\n'")
}

// encodeArgs is the form in which a daemon reads its arguments: each ended by
// NUL, or LF below protocol 30, and an empty one at the end.
func encodeArgs(protocol int, args []string) ([]byte, error) {
	end, forbidden := "\x00", "\x00"
	if protocol < nulProtocol {
		end, forbidden = "\n", "\n\r\x00"
	}
	if len(args) > maxArgs {
		return nil, fmt.Errorf("%d arguments, a daemon reads at most %d", len(args), maxArgs)
	}
	var b []byte
	for _, arg := range args {
		switch {
		case arg == "":
			return nil, fmt.Errorf("an empty argument would end the list: %w", ErrPath)
		case len(arg) > maxArg:
			return nil, fmt.Errorf("argument %s… has %d bytes, a daemon reads at most %d: %w", tree.Quote(clip(arg)), len(arg), maxArg, ErrPath)
		case strings.ContainsAny(arg, forbidden):
			return nil, fmt.Errorf("argument %s cannot be sent at protocol %d: %w", tree.Quote(clip(arg)), protocol, ErrPath)
		}
		b = append(append(b, arg...), end...)
	}
	return append(b, end...), nil
}
