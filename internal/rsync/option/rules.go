package option

import "strings"

// capsProtocol is the first protocol at which a client tells what it can do.
const capsProtocol = 30

// Rule is what becomes of options together, or of the environment, when all
// words were read. The rules are applied in order.
type Rule struct {
	About []string // the options, by name
	Text  string   // what it does to them

	apply func(st *state) error
}

// Rules returns the rules, in the order of their application.
func Rules() []Rule { return rules }

var rules = []Rule{
	{[]string{"version"}, "twice prints JSON (client only)", (*state).showVersion},
	{[]string{"human-readable"}, "-h on its own is --help", (*state).lonelyH},
	{[]string{"server", "rsh"}, "the argument of -e tells a server what the client can do", (*state).clientInfo},
	{[]string{"sender"}, "needs --server", (*state).senderServes},
	{[]string{"iconv"}, "RSYNC_ICONV is the default of a client, `-` turns it off", (*state).charset},
	{[]string{"old-args", "secluded-args"}, "--old-args and --secluded-args conflict; RSYNC_OLD_ARGS, then RSYNC_PROTECT_ARGS are the defaults", (*state).argStyle},
	{[]string{"max-alloc"}, "RSYNC_MAX_ALLOC is the default", (*state).allocLimit},
	{[]string{"verbose", "info", "debug", "stats", "progress"}, "the levels of --info and --debug replace those that -v, --stats and --progress bring", (*state).allLevels},
	{[]string{"confine-root", "insecure-links"}, "--confine-root is absolute, and conflicts with --insecure-links", (*state).confine},
	{[]string{"xattrs", "fake-super"}, "-XX and --fake-super conflict", (*state).xattrTwice},
	{[]string{"write-batch", "only-write-batch", "read-batch", "files-from", "dry-run"}, "--read-batch conflicts with writing and with --files-from; -n writes no batch", (*state).batch},
	{[]string{"files-from", "recursive", "archive", "relative", "dirs", "old-dirs", "list-only"}, "--files-from implies --relative and --dirs, and takes back the -r of -a; -r and --list-only imply --dirs; --old-dirs is -r with a filter", (*state).listing},
	{[]string{"implied-dirs", "relative"}, "--no-implied-dirs needs --relative", (*state).impliedDirs},
	{[]string{"delete", "delete-before", "delete-during", "delete-delay", "delete-after", "delete-excluded", "recursive", "dirs"}, "only one time of deletion; each implies --delete, which needs -r or -d", (*state).deletion},
	{[]string{"max-delete"}, "less than 0 is 0", (*state).deleteLimit},
	{[]string{"ignore-missing-args", "delete-missing-args"}, "--delete-missing-args wins", (*state).missing},
	{[]string{"suffix", "backup-dir", "backup"}, "--backup-dir implies --backup; --suffix has no slash, and is empty only with --backup-dir", (*state).backups},
	{[]string{"backup", "backup-dir", "omit-dir-times"}, "--backup without --backup-dir implies --omit-dir-times", (*state).backupTimes},
	{[]string{"atimes", "open-noatime"}, "-UU implies --open-noatime", (*state).atimes},
	{[]string{"checksum-choice", "whole-file"}, "no checksum of transfers implies --whole-file", (*state).unchecked},
	{[]string{"compress", "compress-choice", "compress-level", "old-compress", "new-compress"}, "-zz is --new-compress; naming a method or a level implies --compress", (*state).compression},
	{[]string{"append", "append-verify", "whole-file", "write-devices", "inplace"}, "--append and --write-devices imply --inplace; --append and --whole-file conflict", (*state).inPlace},
	{[]string{"inplace", "append", "delay-updates", "partial-dir", "partial"}, "--inplace conflicts with --delay-updates and --partial-dir, and takes --partial back; --delay-updates has a --partial-dir, RSYNC_PARTIAL_DIR is the default of --partial", (*state).partials},
	{[]string{"out-format", "itemize-changes", "info", "log-file", "log-file-format"}, "-i and -v have a default format, --log-file too; -i needs %i in a format", (*state).formats},
	{[]string{"timeout"}, "less than 0 is none", (*state).timeouts},
	{[]string{"files-from"}, "the standard input is here", (*state).listFile},
}

// finish applies the rules.
func (st *state) finish() error {
	for _, r := range rules {
		if err := r.apply(st); err != nil || st.Show != ShowNothing {
			return err
		}
	}
	if more := st.Server && st.SecludedArgs; len(st.Args) == 0 && st.ReadBatch == "" && !more {
		st.Show = ShowUsage
	}
	return nil
}

func (st *state) lonelyH() error {
	if st.helpLetter && len(st.in.Words) == 1 && !st.Server {
		st.Show = ShowHelp
	}
	return nil
}

func (st *state) showVersion() error {
	switch {
	case st.version > 1 && !st.Server:
		st.Show = ShowJSON
	case st.version > 0:
		st.Show = ShowVersion
	}
	return nil
}

func (st *state) clientInfo() error {
	if st.Server {
		st.ClientInfo, st.Rsh = st.Rsh, ""
	}
	return nil
}

func (st *state) senderServes() error {
	if st.Sender && !st.Server {
		st.Show = ShowUsage
	}
	return nil
}

func (st *state) charset() error {
	if st.useIconv == 0 && !st.Server {
		st.Iconv = st.in.getenv("RSYNC_ICONV")
	}
	if st.Iconv == "-" {
		st.Iconv = ""
	}
	return nil
}

func (st *state) argStyle() error {
	if st.oldArgs < 0 && st.secluded <= 0 {
		st.oldArgs = int(min(max(leading(st.in.getenv("RSYNC_OLD_ARGS")), 0), 2))
	}
	if st.secluded < 0 && st.oldArgs <= 0 && leading(st.in.getenv("RSYNC_PROTECT_ARGS")) != 0 {
		st.secluded = 1
	}
	if st.oldArgs > 0 && st.secluded > 0 {
		return usage("--secluded-args conflicts with --old-args.")
	}
	st.OldArgs, st.SecludedArgs = max(st.oldArgs, 0), st.secluded > 0
	return nil
}

func (st *state) allocLimit() error {
	if text := st.in.getenv("RSYNC_MAX_ALLOC"); text != "" && !st.maxAlloc {
		st.maxAlloc, st.said.maxAlloc = true, text
	}
	if !st.maxAlloc {
		return nil
	}
	var err error
	st.MaxAlloc, err = size("max-alloc", st.said.maxAlloc, sizeRange{min: minMaxAlloc, unit: 'b'})
	return err
}

func (st *state) allLevels() error {
	st.setLevels()
	st.said.info = st.info
	for i := range infoWords {
		if st.info[i] > 0 {
			st.Info[i] = st.info[i] - 1
		}
	}
	for i := range debugWords {
		if st.debug[i] > 0 {
			st.Debug[i] = st.debug[i] - 1
		}
	}
	if st.Stats > 0 {
		level := uint8(2)
		if st.Verbose > 1 {
			level = 3
		}
		st.imply(InfoStats, level)
	}
	if st.Progress && !st.Server {
		st.imply(InfoFlist, 2)
		st.imply(InfoProgress, 1)
		if !st.HasOutFormat && st.Itemize == 0 {
			st.imply(InfoName, 1)
		}
	}
	return nil
}

func (st *state) confine() error {
	switch {
	case st.ConfineRoot == "":
		return nil
	case st.ConfineRoot[0] != '/':
		return usage("--confine-root must be an absolute path")
	case st.InsecureLinks:
		return usage("--insecure-links cannot be combined with --confine-root")
	}
	return nil
}

func (st *state) xattrTwice() error {
	if st.Xattrs > 1 && st.FakeSuper {
		return usage("--fake-super conflicts with -XX")
	}
	return nil
}

// maxBatchName bounds the name of a batch file.
const maxBatchName = 256

func (st *state) batch() error {
	writing := st.WriteBatch != "" || st.OnlyWriteBatch != ""
	switch {
	case writing && st.ReadBatch != "":
		return usage("--write-batch and --read-batch can not be used together")
	case len(st.batchName) > maxBatchName:
		return usage("the batch-file name must be %d characters or less.", maxBatchName)
	case st.ReadBatch != "" && st.filesFrom:
		return usage("--read-batch cannot be used with --files-from")
	}
	if st.DryRun {
		st.WriteBatch, st.OnlyWriteBatch = "", ""
	}
	return nil
}

// listing decides which directories are listed.
func (st *state) listing() error {
	if st.filesFrom {
		if st.recurse == 1 {
			st.recurse = 0
		}
		if st.relative == 0 {
			st.relative = 1
		}
		if st.dirs == 0 {
			st.dirs, st.said.dirsImplied = 1, true
		}
	}
	if st.dirs == 2 {
		st.Filters = append(st.Filters, Filter{Kind: FilterRule, Value: "- /*/*"})
		st.recurse = 2
	}
	if st.ListOnly > 0 && st.dirs == 0 {
		st.dirs = 1
	}
	st.said.noDirs = st.dirs < 0
	st.Recurse = st.recurse > 0
	st.Relative = st.relative > 0
	st.OldDirs = st.dirs == 2
	st.Dirs = st.dirs > 0 || st.Recurse
	return nil
}

func (st *state) impliedDirs() error {
	if !st.Relative {
		st.ImpliedDirs = false
	}
	return nil
}

func (st *state) deletion() error {
	times := 0
	for _, when := range []bool{st.DeleteBefore, st.DeleteDuring || st.DeleteDelay, st.DeleteAfter} {
		if when {
			times++
		}
	}
	if times > 1 {
		return usage("You may not combine multiple --delete-WHEN options.")
	}
	st.Delete = st.Delete || times > 0 || st.DeleteExcluded
	if st.Delete && !st.Dirs {
		return usage("--delete does not work without --recursive (-r) or --dirs (-d).")
	}
	return nil
}

func (st *state) deleteLimit() error {
	if !st.maxDelete {
		st.MaxDelete = -1
	} else if st.MaxDelete < 0 {
		st.MaxDelete = 0
	}
	return nil
}

func (st *state) missing() error {
	if st.DeleteMissingArgs {
		st.IgnoreMissingArgs = false
	}
	return nil
}

func (st *state) backups() error {
	st.Backup = st.Backup || st.backupDir
	for strings.HasPrefix(st.BackupDir, "./") {
		st.BackupDir = strings.TrimLeft(st.BackupDir[1:], "/")
	}
	if st.BackupDir == "." {
		st.BackupDir = ""
	}
	if !st.suffix {
		if st.Suffix = defaultSuffix; st.backupDir {
			st.Suffix = ""
		}
	}
	switch {
	case strings.Contains(st.Suffix, "/"):
		return usage("--suffix cannot contain slashes: %s", st.Suffix)
	case st.Suffix == "" && !st.backupDir:
		return usage("--suffix cannot be empty without a --backup-dir")
	case st.Suffix == "" && st.BackupDir == "":
		return usage("--suffix cannot be empty when --backup-dir is the same as the dest dir")
	}
	return nil
}

func (st *state) backupTimes() error {
	if st.Backup && st.BackupDir == "" {
		st.OmitDirTimes = true
	}
	return nil
}

func (st *state) atimes() error {
	if st.Atimes > 1 {
		st.OpenNoatime = true
	}
	return nil
}

// choiceNone is the method that does nothing, choiceAuto the one that is
// negotiated.
const (
	choiceNone = "none"
	choiceAuto = "auto"
)

func (st *state) unchecked() error {
	transfer, _, _ := strings.Cut(st.ChecksumChoice, ",")
	if strings.EqualFold(transfer, choiceNone) {
		st.WholeFile = 1
	}
	if strings.EqualFold(st.ChecksumChoice, choiceAuto) {
		st.ChecksumChoice = ""
	}
	return nil
}

func (st *state) compression() error {
	if strings.EqualFold(st.choice, choiceAuto) {
		st.choice = ""
	}
	if st.choice == "" && st.compress > 1 {
		st.choice = "zlibx"
	}
	if zlibFamily(st.choice) {
		st.choice = strings.ToLower(st.choice) // as a server hears of it
	}
	st.CompressChoice = st.choice
	switch {
	case strings.EqualFold(st.choice, choiceNone):
	case st.choice != "":
		st.Compress = st.CompressLevel != 0 || !st.HasCompressLevel || !zlibFamily(st.choice)
	case st.compress > 0:
		st.Compress = true
	case st.HasCompressLevel:
		st.Compress, st.said.levelOnly = true, true
	}
	return nil
}

// zlibFamily tells the methods at which level 0 means not to compress.
func zlibFamily(method string) bool {
	return strings.EqualFold(method, "zlib") || strings.EqualFold(method, "zlibx")
}

func (st *state) inPlace() error {
	if st.Append > 0 && st.WholeFile > 0 {
		return usage("--append cannot be used with --whole-file")
	}
	if st.Append > 0 || st.WriteDevices {
		st.Inplace = true
	}
	return nil
}

func (st *state) partials() error {
	if st.Inplace {
		name := "inplace"
		if st.Append > 0 {
			name = "append"
		}
		switch {
		case st.DelayUpdates:
			return usage("--%s cannot be used with --delay-updates", name)
		case st.partialDir:
			return usage("--%s cannot be used with --partial-dir", name)
		}
		st.Partial = false
		return nil
	}
	switch {
	case st.PartialDir != "":
		st.Partial = true
	case st.DelayUpdates:
		st.PartialDir, st.Partial, st.said.partialImplied = delayedPartialDir, true, true
	case st.Partial && !st.Server && st.in.getenv("RSYNC_PARTIAL_DIR") != "":
		return setPartialDir(st, value{text: st.in.getenv("RSYNC_PARTIAL_DIR"), on: true})
	}
	return nil
}

// The formats of -i, which is also that of a log file, and of -v.
const (
	itemFormat = "%i %n%L"
	nameFormat = "%n%L"
)

func (st *state) formats() error {
	switch {
	case st.LogFile == "":
		st.LogFormat = ""
	case !st.logFormat:
		st.LogFormat = itemFormat
	}
	if st.Server {
		st.HasOutFormat = st.HasOutFormat && st.OutFormat != ""
		st.Itemize = 0
		if HasEscape(st.OutFormat, 'i') && HasEscape(st.OutFormat, 'I') {
			st.Itemize = 2
		}
	} else if !st.HasOutFormat {
		switch {
		case st.Itemize > 0:
			st.OutFormat = itemFormat
		case st.Info[InfoName] > 0:
			st.OutFormat = nameFormat
		}
	}
	if HasEscape(st.OutFormat, 'i') || HasEscape(st.LogFormat, 'i') {
		st.Itemize = min(max(st.Itemize, 1), 2)
	} else {
		st.Itemize = 0
	}
	return nil
}

// HasEscape tells if a format has an escape, whatever its width.
func HasEscape(format string, escape byte) bool {
	for {
		_, rest, found := strings.Cut(format, "%")
		if !found {
			return false
		}
		format = strings.TrimLeft(rest, "'")
		format = strings.TrimPrefix(format, "-")
		format = strings.TrimLeft(format, "0123456789")
		format = strings.TrimLeft(format, "'")
		if format == "" {
			return false
		}
		if format[0] == escape {
			return true
		}
		format = format[1:]
	}
}

func (st *state) listFile() error {
	switch {
	case st.FilesFromHost != "" && st.FilesFrom == "-":
		return usage("Invalid --files-from remote filename")
	case st.filesFrom && st.FilesFromHost == "" && st.FilesFrom == "" && !st.Server:
		return usage("failed to open files-from file : Invalid argument")
	}
	return nil
}

func (st *state) timeouts() error {
	st.Timeout, st.ConTimeout = max(st.Timeout, 0), max(st.ConTimeout, 0)
	return nil
}
