package importer

import (
	"fmt"
	"strings"
)

// effect is what an rsync option means to a mirror.
type effect struct {
	verdict Verdict
	key     string // of the configuration, for Mapped
	value   any    // nil: the option's own value
	text    string
}

const (
	always   = "a mirror always does that"
	noChange = "it changes nothing that is copied"
	tooMuch  = "a mirror copies something else then"
)

// rsyncOptions says what options mean, by long name. What is not in it is
// refused.
var rsyncOptions = map[string]effect{
	"archive": {Dropped, "", nil, always}, "recursive": {Dropped, "", nil, always}, "links": {Dropped, "", nil, always},
	"perms": {Dropped, "", nil, always}, "times": {Dropped, "", nil, always}, "group": {Dropped, "", nil, always},
	"owner": {Dropped, "", nil, always}, "devices": {Dropped, "", nil, always}, "specials": {Dropped, "", nil, always},
	"D": {Dropped, "", nil, always}, "relative": {Dropped, "", nil, always}, "executability": {Dropped, "", nil, always},
	"force": {Dropped, "", nil, always}, "dirs": {Dropped, "", nil, always}, "protect-args": {Dropped, "", nil, always},
	"ignore-errors": {Dropped, "", nil, "what cannot be read is never deleted"},

	"verbose": {Dropped, "", nil, noChange}, "quiet": {Dropped, "", nil, noChange}, "progress": {Dropped, "", nil, noChange},
	"stats": {Dropped, "", nil, noChange}, "human-readable": {Dropped, "", nil, noChange}, "itemize-changes": {Dropped, "", nil, noChange},
	"partial": {Dropped, "", nil, noChange}, "whole-file": {Dropped, "", nil, noChange}, "ipv4": {Dropped, "", nil, noChange},
	"ipv6": {Dropped, "", nil, noChange}, "temp-dir": {Dropped, "", nil, noChange}, "log-file": {Dropped, "", nil, noChange},
	"timeout": {Dropped, "", nil, "a connection that hangs is noticed and made again"}, "contimeout": {Dropped, "", nil, noChange},
	"ignore-times": {Dropped, "", nil, "what was written is always compared by content"},

	"compress": {Mapped, "compress", true, ""}, "checksum": {Mapped, "checksum", true, ""}, "hard-links": {Mapped, "hard_links", true, ""},
	"acls": {Mapped, "acls", true, ""}, "xattrs": {Mapped, "xattrs", true, ""}, "numeric-ids": {Mapped, "numeric_ids", true, ""},
	"cvs-exclude": {Mapped, "cvs_exclude", true, ""}, "delete": {Mapped, "delete", true, ""}, "bwlimit": {Mapped, "bwlimit", nil, ""},
	"password-file": {Mapped, "password_file", nil, ""}, "rsh": {Mapped, "shell", nil, ""}, "rsync-path": {Mapped, "rsync_path", nil, ""},

	"update": {Warned, "", nil, "a file that is newer on the target is replaced: that is what a mirror is"},
	"sparse": {Warned, "", nil, "holes are not kept"}, "omit-dir-times": {Warned, "", nil, "times of directories are kept"},
	"omit-link-times": {Warned, "", nil, "times of links are kept"}, "inplace": {Warned, "", nil, "files are replaced whole"},

	"copy-links": {Refused, "", nil, tooMuch}, "dry-run": {Refused, "", nil, "nothing would be copied"},
}

// shortOptions are the letters of those options.
var shortOptions = map[byte]string{
	'a': "archive", 'r': "recursive", 'l': "links", 'p': "perms", 't': "times", 'g': "group", 'o': "owner", 'D': "D", 'R': "relative",
	'E': "executability", 'd': "dirs", 's': "protect-args", 'v': "verbose", 'q': "quiet", 'h': "human-readable", 'i': "itemize-changes",
	'W': "whole-file", '4': "ipv4", '6': "ipv6", 'I': "ignore-times", 'z': "compress", 'c': "checksum", 'H': "hard-links", 'A': "acls",
	'X': "xattrs", 'C': "cvs-exclude", 'u': "update", 'S': "sparse", 'O': "omit-dir-times", 'J': "omit-link-times", 'L': "copy-links",
	'n': "dry-run",
}

// option applies one rsync option to a mirror's settings.
func (r *Result) option(line int, shown, name, value string, settings map[string]any) {
	e, known := rsyncOptions[name]
	switch {
	case !known:
		r.note(line, shown, Refused, "this rsync option has no counterpart")
		return
	case e.verdict == Mapped && e.value == nil:
		settings[e.key] = value
		r.note(line, shown, Mapped, "%s = %s", e.key, quoted(value))
		return
	case e.verdict == Mapped:
		settings[e.key] = e.value
		r.note(line, shown, Mapped, "%s = %v", e.key, e.value)
		return
	}
	r.note(line, shown, e.verdict, "%s", e.text)
}

// words applies options as a command line has them.
func (r *Result) words(line int, where string, words []string, settings map[string]any) {
	for i := 0; i < len(words); i++ {
		w := words[i]
		long, isLong := strings.CutPrefix(w, "--")
		switch {
		case isLong:
			name, value, given := strings.Cut(long, "=")
			if e := rsyncOptions[name]; e.verdict == Mapped && e.value == nil && !given && i+1 < len(words) {
				i++
				value = words[i]
			}
			r.option(line, where+" --"+name, name, value, settings)
		case len(w) > 1 && w[0] == '-':
			for j := 1; j < len(w); j++ {
				if w[j] == 'e' {
					value := w[j+1:]
					if value == "" && i+1 < len(words) {
						i++
						value = words[i]
					}
					r.option(line, where+" -e", "rsh", value, settings)
					break
				}
				r.option(line, fmt.Sprintf("%s -%c", where, w[j]), shortOptions[w[j]], "", settings)
			}
		default:
			r.note(line, where, Refused, "%s is no option", quoted(w))
		}
	}
}
