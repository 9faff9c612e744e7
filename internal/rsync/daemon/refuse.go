package daemon

import (
	"path"
	"slices"
	"strings"

	"lockstep/internal/rsync/option"
)

// The options that wildcards do not refuse.
var notWild = []string{
	"rsh", "from0", "secluded-args", "protect-args", "dry-run", "iconv", "no-iconv", "checksum-seed", "copy-devices", "write-devices",
	"out-format", "log-format", "server", "sender",
}

// archived are the options that "archive" stands for in a list of refusals.
var archived = []string{"recursive", "links", "perms", "times", "group", "owner", "devices", "specials", "D"}

// covered are the options that are refused together with another one.
var covered = map[string][]string{
	"delete":   {"del", "delete-before", "delete-during", "delete-delay", "delete-after", "delete-excluded", "delete-missing-args"},
	"compress": {"compress-level", "compress-choice", "zc", "zl", "old-compress", "new-compress"},
	"inplace":  {"append", "append-verify", "write-devices"},
	"partial":  {"partial-dir", "inplace"},
}

// refusals are the options that a module does not take, by long name, or by
// letter if there is no other.
type refusals map[string]bool

// newRefusals applies a list of refusals (rsync-session 2.7): the last item that
// matches decides.
func newRefusals(list string, charset bool) refusals {
	r := refusals{"copy-devices": true, "write-devices": true}
	for _, item := range strings.Fields(list) {
		pattern, accept := strings.CutPrefix(item, "!")
		if strings.ContainsAny(pattern, "*?[") {
			r.wild(pattern, !accept)
		} else {
			r.exact(pattern, !accept)
		}
	}
	for _, name := range []string{"log-file", "log-file-format", "insecure-links"} {
		r[name] = true
	}
	if !charset {
		r["iconv"] = true
	}
	return r
}

func (r refusals) wild(pattern string, refuse bool) {
	for _, o := range option.Table() {
		for _, name := range names(o) {
			hit := wildName(pattern, name) || o.Short != 0 && wildName(pattern, string(rune(o.Short))) && name == key(o)
			if hit && !slices.Contains(notWild, key(o)) && !slices.Contains(notWild, name) {
				r[name] = refuse
			}
		}
	}
}

func wildName(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

func (r refusals) exact(name string, refuse bool) {
	if name == "a" || name == "archive" {
		for _, long := range archived {
			r[long] = refuse
		}
	}
	for _, o := range option.Table() {
		switch {
		case name == string(rune(o.Short)), name == o.Long, slices.Contains(o.Alias, name):
			for _, own := range append([]string{key(o)}, o.Alias...) {
				r[own] = refuse
			}
		case slices.Contains(o.Off, name):
			r[name] = refuse
		}
	}
}

// refusesSomething reports whether an item of a list of refusals fits any option.
func refusesSomething(item string) bool {
	r := refusals{}
	if strings.ContainsAny(item, "*?[") {
		r.wild(item, true)
	} else {
		r.exact(item, true)
	}
	return len(r) > 0
}

// key is what refusals call an option.
func key(o *option.Option) string {
	if o.Long != "" {
		return o.Long
	}
	return string(rune(o.Short))
}

// names are all the names that an option has for refusals.
func names(o *option.Option) []string {
	return slices.Concat([]string{key(o)}, o.Alias, o.Off)
}

// check looks for a refused option among a server's words, and in what was made
// of them: whoever has to use --iconv is refused without.
func (r refusals) check(words []string, opt *option.Set) error {
	if r["no-iconv"] && (opt.Iconv == "" || opt.Iconv == "-") {
		return failuref(exitUnsupported, "rsync: The server is configured to refuse --no-iconv")
	}
	for _, used := range usedOptions(words) {
		if r.refuses(used.name, opt.Sender) {
			return failuref(exitUnsupported, "rsync: The server is configured to refuse --%s", used.shown())
		}
	}
	return nil
}

func (r refusals) refuses(name string, sends bool) bool {
	if r[name] {
		return true
	}
	if r["delete"] && sends && (name == "remove-source-files" || name == "remove-sent-files") {
		return true
	}
	if name == "delete" && r["delete-before"] && r["delete-during"] {
		return true
	}
	for by, also := range covered {
		if r[by] && slices.Contains(also, name) {
			return true
		}
	}
	return false
}

// used is an option among words.
type used struct {
	name   string // as it was given, if it was given by a long name
	option *option.Option
}

// shown is how the option is called to the client.
func (u used) shown() string {
	if u.option.Short != 0 && u.name == u.option.Long {
		return u.name + " (-" + string(rune(u.option.Short)) + ")"
	}
	return u.name
}

// usedOptions lists the options among a server's words, up to the ".".
func usedOptions(words []string) []used {
	var all []used
	for i := 0; i < len(words) && words[i] != "."; i++ {
		switch word := words[i]; {
		case word == "--":
			return all
		case strings.HasPrefix(word, "--"):
			name, _, has := strings.Cut(word[2:], "=")
			o := longOption(name)
			if o == nil {
				continue
			}
			all = append(all, used{name, o})
			if o.Arg != "" && !has && !slices.Contains(o.Off, name) {
				i++
			}
		case strings.HasPrefix(word, "-") && len(word) > 1:
			letters := word[1:]
			for j := 0; j < len(letters); j++ {
				o := letterOption(letters[j])
				if o == nil {
					break
				}
				all = append(all, used{key(o), o})
				if o.Arg == "" {
					continue
				}
				if j == len(letters)-1 {
					i++
				}
				break
			}
		}
	}
	return all
}

func longOption(name string) *option.Option {
	for _, o := range option.Table() {
		if o.Long == name || slices.Contains(o.Alias, name) || slices.Contains(o.Off, name) {
			return o
		}
	}
	return nil
}

func letterOption(letter byte) *option.Option {
	for _, o := range option.Table() {
		if o.Short == letter {
			return o
		}
	}
	return nil
}
