package option

import "time"

// Set is what a command line of rsync asks for, after implications. Counted
// options are ints; sizes are in bytes; -1 is "no limit" where 0 means none.
type Set struct {
	// Roles.
	Server, Sender, Daemon bool

	// Output.
	Verbose, Quiet, HumanReadable int // HumanReadable: 1 by default, see Human
	Info, Debug                   [words]uint8
	Stats                         int
	Itemize                       int    // -i, -ii
	OutFormat, LogFile, LogFormat string // --out-format, --log-file, --log-file-format
	Progress, EightBit            bool
	Outbuf                        byte // 'N', 'L', 'B' or 0
	Stderr                        byte // 'e', 'a' or 'c'
	NoMotd                        bool
	ListOnly                      int // 1 implied, 2 given

	// What is listed.
	Recurse, Dirs, OldDirs, Relative, ImpliedDirs, IncRecurse, PruneEmptyDirs bool
	OneFileSystem                                                             int
	Links, CopyLinks, CopyDirlinks, CopyUnsafeLinks, SafeLinks, MungeLinks    bool
	CopyDevices, CVSExclude                                                   bool
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
	Port, Protocol                                              int
	IPv                                                         int // 4, 6 or 0
	BlockingIO                                                  bool
	Remote                                                      []string // -M
	OldArgs                                                     int
	SecludedArgs, TrustSender                                   bool
	Timeout, ConTimeout                                         int   // seconds
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
}

// Filter is one filter option.
type Filter struct {
	Kind  FilterKind
	Value string
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
