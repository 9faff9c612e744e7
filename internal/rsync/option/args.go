package option

import (
	"strconv"
	"strings"
)

// capabilities is what our end can do, in the letters of rsync-session 3.2,
// apart from the i of incremental recursion.
const capabilities = "LsfxCIvu"

// Whom says which servers an option is told.
type Whom uint8

// The servers, by what they do.
const (
	ToReceiver Whom = 1 << iota
	ToSender
	ToNone Whom = 0
	ToBoth      = ToReceiver | ToSender
)

// request is a command line for a server while it is made.
type request struct {
	*Set
	protocol int  // that the connection speaks at most
	push     bool // the server receives
}

// letter is one letter of the bundle that a server gets; times says how often.
type letter struct {
	name  string // of the option
	char  byte
	to    Whom
	times func(r request) int
}

// once counts a letter that is there or not.
func once(on bool) int {
	if on {
		return 1
	}
	return 0
}

// letters are those of the bundle, in rsync's order (rsync-session 3.1).
var letters = []letter{
	{"secluded-args", 's', ToBoth, func(r request) int { return once(r.SecludedArgs) }},
	{"verbose", 'v', ToBoth, func(r request) int { return min(r.Verbose, maxSentVerbose) }},
	{"quiet", 'q', ToBoth, func(r request) int { return once(r.Quiet > 0 && r.Stderr != 'c') }},
	{"backup", 'b', ToBoth, func(r request) int { return once(r.Backup) }},
	{"update", 'u', ToBoth, func(r request) int { return once(r.Update) }},
	{"dry-run", 'n', ToBoth, func(r request) int { return once(r.DryRun) }},
	{"links", 'l', ToBoth, func(r request) int { return once(r.Links) }},
	{"dirs", 'd', ToBoth, func(r request) int { return once(r.sendsDirs()) }},
	{"keep-dirlinks", 'K', ToReceiver, func(r request) int { return once(r.KeepDirlinks) }},
	{"prune-empty-dirs", 'm', ToReceiver, func(r request) int { return once(r.PruneEmptyDirs) }},
	{"omit-dir-times", 'O', ToReceiver, func(r request) int { return once(r.OmitDirTimes && (!r.Backup || r.BackupDir != "")) }},
	{"omit-link-times", 'J', ToReceiver, func(r request) int { return once(r.OmitLinkTimes) }},
	{"fuzzy", 'y', ToReceiver, func(r request) int { return r.fuzziness() }},
	{"copy-links", 'L', ToSender, func(r request) int { return once(r.CopyLinks) }},
	{"copy-dirlinks", 'k', ToSender, func(r request) int { return once(r.CopyDirlinks) }},
	{"whole-file", 'W', ToBoth, func(r request) int { return once(r.WholeFile > 0) }},
	{"hard-links", 'H', ToBoth, func(r request) int { return min(max(once(r.HardLinks), r.said.hardLinks), 2) }},
	{"owner", 'o', ToBoth, func(r request) int { return once(r.Owner) }},
	{"group", 'g', ToBoth, func(r request) int { return once(r.Group) }},
	{"devices", 'D', ToBoth, func(r request) int { return once(r.Devices) }},
	{"times", 't', ToBoth, func(r request) int { return once(r.Times) }},
	{"atimes", 'U', ToBoth, func(r request) int { return min(r.Atimes, 2) }},
	{"perms", 'p', ToBoth, func(r request) int { return once(r.Perms) }},
	{"executability", 'E', ToReceiver, func(r request) int { return once(r.Executability && !r.Perms) }},
	{"acls", 'A', ToBoth, func(r request) int { return once(r.ACLs) }},
	{"xattrs", 'X', ToBoth, func(r request) int { return min(r.Xattrs, 2) }},
	{"recursive", 'r', ToBoth, func(r request) int { return once(r.Recurse) }},
	{"checksum", 'c', ToBoth, func(r request) int { return once(r.Checksum) }},
	{"cvs-exclude", 'C', ToBoth, func(r request) int { return once(r.CVSExclude) }},
	{"ignore-times", 'I', ToBoth, func(r request) int { return once(r.IgnoreTimes) }},
	{"relative", 'R', ToBoth, func(r request) int { return once(r.Relative) }},
	{"one-file-system", 'x', ToBoth, func(r request) int { return min(r.OneFileSystem, 2) }},
	{"sparse", 'S', ToBoth, func(r request) int { return once(r.Sparse) }},
	{"compress", 'z', ToBoth, func(r request) int { return once(r.sendsZ()) }},
}

// maxSentVerbose bounds the letters for -v.
const maxSentVerbose = 9

func (r request) sendsDirs() bool {
	return r.Dirs && !r.Recurse && (!r.said.dirsImplied || r.ListOnly > 0 || r.push && r.Delete)
}

// fuzziness is twice only with alternate directories to look in.
func (r request) fuzziness() int {
	if r.Fuzzy > 1 && len(r.CompareDest)+len(r.CopyDest)+len(r.LinkDest) > 0 {
		return 2
	}
	return min(r.Fuzzy, 1)
}

// sendsZ tells if compression is asked for by the letter: without a method, or
// with the one that it meant before there were others.
func (r request) sendsZ() bool {
	return r.Compress && r.CompressChoice == "" && !r.said.levelOnly || strings.EqualFold(r.CompressChoice, "zlib")
}

// bundle is the word with the letters, and with what the client can do.
func (r request) bundle() string {
	b := []byte("-")
	for _, l := range letters {
		if l.to&r.whom() != 0 {
			for range l.times(r) {
				b = append(b, l.char)
			}
		}
	}
	if r.protocol >= capsProtocol {
		b = append(b, "e."...)
		if r.AllowIncRecurse(!r.push) {
			b = append(b, 'i')
		}
		b = append(b, capabilities...)
	}
	return string(b)
}

func (r request) whom() Whom {
	if r.push {
		return ToReceiver
	}
	return ToSender
}

// phrase is one long option for a server. words returns nothing if it is not to
// be sent.
type phrase struct {
	name  string // of the option
	to    Whom
	words func(r request) []string
}

func when(on bool, words ...string) []string {
	if !on {
		return nil
	}
	return words
}

// with is an option with its value in one word.
func with(on bool, name string, value int) []string {
	return when(on, name+"="+strconv.Itoa(value))
}

// PlainArgs are the words for a server without quoting: --server, the letters and
// the long options in rsync's order (rsync-session 3.1 to 3.3), without the "."
// and the paths. protocol is what the connection speaks at most, remoteSends
// tells which way files go.
func (s *Set) PlainArgs(protocol int, remoteSends bool) []string {
	args, _ := s.args(protocol, remoteSends, plain)
	return args
}

// ServerArgs are the words for a server that a remote shell, or a daemon, reads:
// values are quoted as --old-args has it. With --secluded-args they end where the
// rest goes over the connection: see SecludedArgsRest.
func (s *Set) ServerArgs(protocol int, remoteSends bool) []string {
	quote := quoteValue
	if s.OldArgs > 1 || s.SecludedArgs {
		quote = plain
	}
	args, cut := s.args(protocol, remoteSends, quote)
	if s.SecludedArgs {
		args = args[:cut]
	}
	return args
}

// SecludedRest are the words that --secluded-args sends over the connection,
// without the "." and the paths.
func (s *Set) SecludedRest(protocol int, remoteSends bool) []string {
	args, cut := s.args(protocol, remoteSends, plain)
	return args[cut:]
}

func plain(text string) string { return text }

// args makes the words, with the values through quote. cut is how many of them
// come before the others may be secluded.
func (s *Set) args(protocol int, remoteSends bool, quote func(string) string) (args []string, cut int) {
	r := request{Set: s, protocol: protocol, push: !remoteSends}
	args = []string{"--server"}
	if remoteSends {
		args = append(args, "--sender")
	}
	if letters := r.bundle(); letters != "-" {
		args = append(args, letters)
	}
	for i, p := range phrases {
		if i == secludedFrom {
			cut = len(args)
		}
		if p.to&r.whom() != 0 {
			for i, word := range p.words(r) {
				if i > 0 || !strings.HasPrefix(word, "-") {
					args = append(args, quote(word))
					continue
				}
				name, value, has := strings.Cut(word, "=")
				if has {
					name += "=" + quote(value)
				}
				args = append(args, name)
			}
		}
	}
	for _, option := range s.Remote {
		if s.OldArgs == 0 {
			option = quote(option)
		}
		args = append(args, option)
	}
	return args, cut
}

// SentTo tells which servers hear of an option, under whatever name.
func SentTo(o *Option) Whom {
	to := ToNone
	for _, l := range letters {
		if l.name == o.Long {
			to |= l.to
		}
	}
	for _, p := range phrases {
		if p.name == o.Long {
			to |= p.to
		}
	}
	return to
}
