package option

import (
	"cmp"
	"path"
	"strings"
)

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
	case st.ReadBatch != "" && (st.RemoveSourceFiles || st.RemoveSentFiles):
		return usage("--read-batch cannot be used with --remove-%s-files", map[bool]string{true: "source", false: "sent"}[st.RemoveSourceFiles])
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

// tame ends a relative name of a directory at the destination: ".." does not
// lead above it.
func tame(name string) string {
	if name == "" || strings.HasPrefix(name, "/") {
		return name
	}
	return cmp.Or(path.Clean("/" + name)[1:], ".")
}

func (st *state) tameDirs() error {
	if st.in.Tame {
		st.BackupDir, st.TempDir = tame(st.BackupDir), tame(st.TempDir)
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

// checksumOfNothing refuses to compare by a checksum that there is not.
func (st *state) checksumOfNothing() error {
	transfer, list, two := strings.Cut(st.ChecksumChoice, ",")
	if !two {
		list = transfer
	}
	if st.Checksum && strings.EqualFold(list, choiceNone) {
		return &Error{Code: codeSelect, Text: "Invalid checksum-choice for --checksum: none (0)", Role: "sender"}
	}
	return nil
}

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
	case st.partialDir: // "." is none, and there updates cannot wait
		st.DelayUpdates = false
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
	if HasEscape(st.OutFormat, 'i') {
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

func (st *state) buffering() error {
	if !st.buffered {
		return nil
	}
	modes := map[byte]byte{'n': 'N', 'u': 'N', 'l': 'L', 'b': 'B', 'f': 'B'}
	if st.outbuf != "" {
		st.Outbuf = modes[st.outbuf[0]|0x20]
	}
	if st.Outbuf == 0 {
		return usage("Invalid --outbuf setting -- specify N, L, or B.")
	}
	return nil
}

func (st *state) timeouts() error {
	st.Timeout = max(st.Timeout, 0)
	return nil
}
