package option

// Info is a word of --info, Debug one of --debug: the index of its level in the
// arrays of a Set (rsync-transfer 5.4).
type (
	Info  uint8
	Debug uint8
)

// The words of --info, as rsync lists them.
const (
	InfoBackup Info = iota
	InfoCopy
	InfoDel
	InfoFlist
	InfoMisc
	InfoMount
	InfoName
	InfoNonreg
	InfoProgress
	InfoRemove
	InfoSkip
	InfoStats
	InfoSymsafe
)

// The words of --debug, as rsync lists them.
const (
	DebugACL Debug = iota
	DebugBackup
	DebugBind
	DebugChdir
	DebugConnect
	DebugCmd
	DebugDel
	DebugDeltasum
	DebugDup
	DebugExit
	DebugFilter
	DebugFlist
	DebugFuzzy
	DebugGenr
	DebugHash
	DebugHlink
	DebugIconv
	DebugIO
	DebugNstr
	DebugOwn
	DebugProto
	DebugRecv
	DebugSend
	DebugTime
)

// words bounds the info and debug words.
const words = 32

// maxLevel is the highest level of a word; more is taken for this.
const maxLevel = 4

// sides says on which sides of a transfer a word is printed.
type sides uint8

const (
	atSender sides = 1 << iota
	atReceiver
	atBoth = atSender | atReceiver
)

// word is one word of --info or --debug. from[n] is the number of -v that gives
// it level n+1; 0 is none.
type word struct {
	name, help string
	where      sides
	from       [maxLevel]uint8
}

// always marks a level that a word has without any -v.
const always = 0xff

var infoWords = []word{
	InfoBackup:   {"BACKUP", "Mention files backed up", atReceiver, [4]uint8{2}},
	InfoCopy:     {"COPY", "Mention files copied locally on the receiving side", atReceiver, [4]uint8{1}},
	InfoDel:      {"DEL", "Mention deletions on the receiving side", atReceiver, [4]uint8{1}},
	InfoFlist:    {"FLIST", "Mention file-list receiving/sending (levels 1-2)", 0, [4]uint8{1}},
	InfoMisc:     {"MISC", "Mention miscellaneous information (levels 1-2)", atBoth, [4]uint8{1, 2}},
	InfoMount:    {"MOUNT", "Mention mounts that were found or skipped", atBoth, [4]uint8{2}},
	InfoName:     {"NAME", "Mention 1) updated file/dir names, 2) unchanged names", atBoth, [4]uint8{1, 2}},
	InfoNonreg:   {"NONREG", "Mention skipped non-regular files (default 1, 0 disables)", atReceiver, [4]uint8{always}},
	InfoProgress: {"PROGRESS", "Mention 1) per-file progress or 2) total transfer progress", 0, [4]uint8{}},
	InfoRemove:   {"REMOVE", "Mention files removed on the sending side", atSender, [4]uint8{2}},
	InfoSkip:     {"SKIP", "Mention files skipped due to transfer overrides (levels 1-2)", atReceiver, [4]uint8{2}},
	InfoStats:    {"STATS", "Mention statistics at end of run (levels 1-3)", atBoth, [4]uint8{1}},
	InfoSymsafe:  {"SYMSAFE", "Mention symlinks that are unsafe", atBoth, [4]uint8{1}},
}

var debugWords = []word{
	DebugACL:      {"ACL", "Debug extra ACL info", 0, [4]uint8{3}},
	DebugBackup:   {"BACKUP", "Debug backup actions (levels 1-2)", 0, [4]uint8{3}},
	DebugBind:     {"BIND", "Debug socket bind actions", 0, [4]uint8{2}},
	DebugChdir:    {"CHDIR", "Debug when the current directory changes", 0, [4]uint8{5}},
	DebugConnect:  {"CONNECT", "Debug connection events (levels 1-2)", 0, [4]uint8{2, 3}},
	DebugCmd:      {"CMD", "Debug commands+options that are issued (levels 1-2)", 0, [4]uint8{2, 4}},
	DebugDel:      {"DEL", "Debug delete actions (levels 1-3)", 0, [4]uint8{2, 3, 4}},
	DebugDeltasum: {"DELTASUM", "Debug delta-transfer checksumming (levels 1-4)", 0, [4]uint8{2, 3, 4, 5}},
	DebugDup:      {"DUP", "Debug weeding of duplicate names", 0, [4]uint8{2}},
	DebugExit:     {"EXIT", "Debug exit events (levels 1-3)", 0, [4]uint8{3, 4}},
	DebugFilter:   {"FILTER", "Debug filter actions (levels 1-3)", 0, [4]uint8{2, 3}},
	DebugFlist:    {"FLIST", "Debug file-list operations (levels 1-4)", 0, [4]uint8{2, 3, 4, 5}},
	DebugFuzzy:    {"FUZZY", "Debug fuzzy scoring (levels 1-2)", 0, [4]uint8{3, 5}},
	DebugGenr:     {"GENR", "Debug generator functions", 0, [4]uint8{3}},
	DebugHash:     {"HASH", "Debug hashtable code", 0, [4]uint8{5}},
	DebugHlink:    {"HLINK", "Debug hard-link actions (levels 1-3)", 0, [4]uint8{5}},
	DebugIconv:    {"ICONV", "Debug iconv character conversions (levels 1-2)", 0, [4]uint8{2, 4}},
	DebugIO:       {"IO", "Debug I/O routines (levels 1-4)", 0, [4]uint8{}},
	DebugNstr:     {"NSTR", "Debug negotiation strings", 0, [4]uint8{}},
	DebugOwn:      {"OWN", "Debug ownership changes in users & groups (levels 1-2)", 0, [4]uint8{3, 4}},
	DebugProto:    {"PROTO", "Debug protocol information", 0, [4]uint8{4}},
	DebugRecv:     {"RECV", "Debug receiver functions", 0, [4]uint8{3}},
	DebugSend:     {"SEND", "Debug sender functions", 0, [4]uint8{3}},
	DebugTime:     {"TIME", "Debug setting of modified times (levels 1-2)", 0, [4]uint8{3, 4}},
}

// at is the level that so many -v give the word.
func (w word) at(verbose int) uint8 {
	var level uint8
	for n, from := range w.from {
		if from == always || from > 0 && int(from) <= verbose {
			level = uint8(n + 1)
		}
	}
	return level
}

// Levels of words of --debug at which more than one role tells something.
const (
	DebugListed  = 2 // of FLIST: entries and lists, as they are listed and as they arrive
	DebugMerged  = 2 // of FILTER: where per-directory filters begin and end
	DebugMatched = 2 // of DELTASUM: what becomes of a file
	DebugBlocks  = 3 // of DELTASUM: what becomes of its blocks
)

// Debugs reports whether a word of --debug has a level, so that nobody puts a
// line together that is not shown.
func (s *Set) Debugs(word Debug, level uint8) bool { return s.Debug[word] >= level }
