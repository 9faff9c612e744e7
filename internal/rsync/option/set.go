package option

import "time"

// Set is what a command line of rsync asks for, after implications. Counted
// options are ints; sizes are in bytes; -1 is "no limit" where 0 means none.
type Set struct {
	// Roles.
	Server, Sender, Daemon bool
	ClientInfo             string     // at a server: the argument of -e, "." and letters
	DaemonWords            *DaemonSet // with --daemon
	Show                   Show       // what is to be printed instead of a transfer

	// Output.
	Verbose, Quiet, HumanReadable int // HumanReadable: 1 by default, see Human
	Info, Debug                   [words]uint8
	Stats                         int
	Itemize                       int    // 0 if OutFormat has no %i; 1; 2 with -ii
	OutFormat, LogFile, LogFormat string // the formats are by default what -i and -v make them
	HasOutFormat                  bool   // also an empty one; at a server OutFormat is the client's --log-format
	Progress, EightBit            bool
	Outbuf                        byte // 'N', 'L', 'B' or 0
	Stderr                        byte // 'e', 'a' or 'c'
	NoMotd                        bool
	ListOnly                      int // 1 implied, 2 given

	// What is listed.
	Recurse, Dirs, OldDirs, Relative, ImpliedDirs, IncRecurse, PruneEmptyDirs bool
	OneFileSystem                                                             int
	Links, CopyLinks, CopyDirlinks, CopyUnsafeLinks, SafeLinks, MungeLinks    bool
	CopyDevices, CVSExclude, Qsort                                            bool
	Filters                                                                   []Filter // in the order of the command line
	FilesFrom                                                                 string   // "-" is the standard input
	FilesFromHost                                                             string   // ":" or a host, if the file is there
	From0                                                                     bool
	MaxSize, MinSize                                                          int64 // -1 is none
	IgnoreMissingArgs, DeleteMissingArgs                                      bool
	RemoveSourceFiles, RemoveSentFiles                                        bool

	// What is kept.
	Perms, Executability, ACLs, Times, OmitDirTimes, OmitLinkTimes bool
	Xattrs, Atimes                                                 int // -X, -XX; -U, -UU
	Crtimes, OpenNoatime                                           bool
	Owner, Group, Devices, Specials, HardLinks, NumericIDs         bool
	Chmod                                                          []string
	UserMap, GroupMap                                              string // in the form of --usermap, also from --chown
	Super                                                          int    // +1 --super, -1 --no-super, 0 neither
	FakeSuper, DropD, InsecureLinks                                bool
	ConfineRoot, CopyAs                                            string

	// How files are compared.
	Checksum, IgnoreTimes, SizeOnly, Update, Existing, IgnoreExisting bool
	ModifyWindow                                                      int // seconds; -1 is nanoseconds
	Fuzzy                                                             int
	CompareDest, CopyDest, LinkDest                                   []string
	ChecksumChoice                                                    string
	ChecksumSeed                                                      int32
	BlockSize                                                         int32

	// How files are written.
	DryRun, KeepDirlinks, Sparse, Preallocate, Fsync, MkPath bool
	Inplace, WriteDevices, Backup, DelayUpdates, Partial     bool
	WholeFile                                                int // +1 yes, -1 no, 0 not said
	Append                                                   int // 1 --append, 2 --append-verify
	BackupDir, Suffix, PartialDir, TempDir                   string

	// What is deleted.
	Delete, DeleteBefore, DeleteDuring, DeleteDelay, DeleteAfter bool
	DeleteExcluded, Force, IgnoreErrors                          bool
	MaxDelete                                                    int // -1 is none

	// The connection.
	Rsh, RsyncPath, PasswordFile, EarlyInput, Sockopts, Address string
	TLS                                                         bool // with a daemon
	TLSCA, TLSCert, TLSKey, TLSName                             string
	Port, Protocol                                              int
	IPv                                                         int // 4, 6 or 0
	BlockingIO                                                  bool
	Remote                                                      []string // -M
	OldArgs                                                     int
	SecludedArgs, TrustSender                                   bool
	Timeout, ConTimeout                                         int   // seconds; a ConTimeout below 0 is none
	BwLimit                                                     int64 // bytes a second
	StopAt                                                      time.Time
	MaxAlloc                                                    int64
	Compress                                                    bool
	CompressChoice                                              string // as given; "" is negotiated
	CompressLevel                                               int
	HasCompressLevel                                            bool
	CompressThreads                                             int
	SkipCompress                                                string
	HasSkipCompress                                             bool
	Iconv                                                       string
	WriteBatch, OnlyWriteBatch, ReadBatch                       string

	Args []string // what is not an option

	said said
}

// said is what the words for a server need to know besides what is asked for:
// whether something was said or came by itself. The zero value suits a Set that
// was put together by hand.
type said struct {
	noDirs         bool // --no-dirs
	dirsImplied    bool // --dirs came with --files-from
	partialImplied bool // --partial-dir came with --delay-updates
	window         bool // --modify-window, be it 0
	levelOnly      bool // compression came with --compress-level alone
	maxAlloc       string
	hardLinks      int             // -H, -HH
	info           levels          // of the words of --info
	blank          map[string]bool // whose last value was empty
}

// Show is what a client is asked to print.
type Show uint8

// The things to print.
const (
	ShowNothing Show = iota
	ShowUsage        // the help as an error: words are missing
	ShowHelp
	ShowVersion
	ShowJSON // --version twice
	ShowInfo // --info=help
	ShowDebug
	ShowDaemonHelp
)

// Defaults.
const (
	defaultMaxAlloc   = 1 << 30
	defaultSuffix     = "~"
	delayedPartialDir = ".~tmp~"
)

// New returns what an empty command line asks for.
func New() *Set {
	s := &Set{
		HumanReadable: 1, ImpliedDirs: true, IncRecurse: true,
		MaxSize: -1, MinSize: -1, MaxDelete: -1, MaxAlloc: defaultMaxAlloc,
		Suffix: defaultSuffix,
	}
	s.setLevels()
	return s
}

// Whole tells if files are sent whole, by default between two places of this
// machine unless a batch is written.
func (s *Set) Whole(local bool) bool {
	if s.WholeFile == 0 {
		return local && s.WriteBatch == "" && s.OnlyWriteBatch == ""
	}
	return s.WholeFile > 0
}

// AllowIncRecurse tells if this side takes part in incremental recursion
// (rsync-session 3.2).
func (s *Set) AllowIncRecurse(receiving bool) bool {
	if !s.Recurse || !s.IncRecurse || s.Qsort {
		return false
	}
	return !receiving || !s.DeleteBefore && !s.DeleteAfter && !s.DelayUpdates && !s.PruneEmptyDirs
}

// Filter is one filter option.
type Filter struct {
	Kind  FilterKind
	Value string
	From0 bool // --from0 stands before it
}

// FilterKind is which option a Filter came from.
type FilterKind uint8

// The filter options.
const (
	FilterRule  FilterKind = iota // -f, --filter
	ExcludeRule                   // --exclude
	IncludeRule                   // --include
	ExcludeFrom                   // --exclude-from
	IncludeFrom                   // --include-from
	ShortF                        // -F
)
