package option

import (
	"strconv"
	"strings"
)

// secludedFrom is how many phrases come before those that --secluded-args sends
// over the connection.
const secludedFrom = 1

// phrases are the long options for a server, in rsync's order (rsync-session
// 3.3). Options that are said in two words are given so.
var phrases = []phrase{
	{"iconv", ToBoth, func(r request) []string { return r.charset() }},
	{"list-only", ToBoth, func(r request) []string { return when(r.ListOnly > 1, "--list-only") }},
	{"dirs", ToReceiver, func(r request) []string { return when(r.Dirs && !r.Recurse && r.Delete, "--no-r") }},
	{"compress-level", ToBoth, func(r request) []string { return with(r.HasCompressLevel, "--compress-level", r.CompressLevel) }},
	{"devices", ToBoth, func(r request) []string { return when(r.Devices && !r.Specials, "--no-specials") }},
	{"specials", ToBoth, func(r request) []string { return when(r.Specials && !r.Devices, "--specials") }},
	{"out-format", ToReceiver, func(r request) []string { return r.logFormat() }},
	{"itemize-changes", ToReceiver, toldAs("out-format")},
	{"stderr", ToBoth, func(r request) []string {
		return append(when(r.Stderr == 'a', "--msgs2stderr"), when(r.Stderr == 'c', "--no-msgs2stderr")...)
	}},
	{"msgs2stderr", ToBoth, toldAs("stderr")},
	{"block-size", ToBoth, func(r request) []string { return when(r.BlockSize > 0, "-B"+strconv.Itoa(int(r.BlockSize))) }},
	{"timeout", ToBoth, func(r request) []string { return with(r.Timeout > 0, "--timeout", r.Timeout) }},
	{"bwlimit", ToBoth, func(r request) []string { return with(r.BwLimit > 0, "--bwlimit", int(max(r.BwLimit/kib, 1))) }},
	{"backup-dir", ToBoth, func(r request) []string { return when(r.BackupDir != "", "--backup-dir", r.BackupDir) }},
	{"suffix", ToBoth, func(r request) []string { return when(r.oddSuffix(), "--suffix="+r.Suffix) }},
	{"checksum-choice", ToBoth, func(r request) []string {
		return when(r.ChecksumChoice != "", "--checksum-choice="+r.ChecksumChoice)
	}},
	{"compress-choice", ToBoth, func(r request) []string { return r.method() }},
	{"old-compress", ToBoth, toldAs("compress-choice")},
	{"new-compress", ToBoth, toldAs("compress-choice")},
	{"max-delete", ToReceiver, func(r request) []string {
		return append(with(r.MaxDelete > 0, "--max-delete", r.MaxDelete), when(r.MaxDelete == 0, "--max-delete=-1")...)
	}},
	{"min-size", ToReceiver, func(r request) []string { return with(r.MinSize >= 0, "--min-size", int(r.MinSize)) }},
	{"max-size", ToReceiver, func(r request) []string { return with(r.MaxSize >= 0, "--max-size", int(r.MaxSize)) }},
	{"delete-before", ToReceiver, func(r request) []string { return when(r.DeleteBefore, "--delete-before") }},
	{"delete-delay", ToReceiver, func(r request) []string { return when(r.DeleteDelay, "--delete-delay") }},
	{"delete-during", ToReceiver, func(r request) []string { return when(r.DeleteDuring, "--delete-during") }},
	{"del", ToReceiver, toldAs("delete-during")},
	{"delete-after", ToReceiver, func(r request) []string { return when(r.DeleteAfter, "--delete-after") }},
	{"delete", ToReceiver, func(r request) []string { return when(r.deletesSometime(), "--delete") }},
	{"delete-excluded", ToReceiver, func(r request) []string { return when(r.DeleteExcluded, "--delete-excluded") }},
	{"force", ToReceiver, func(r request) []string { return when(r.Force, "--force") }},
	{"only-write-batch", ToReceiver, func(r request) []string { return when(r.OnlyWriteBatch != "", "--only-write-batch=X") }},
	{"super", ToReceiver, func(r request) []string { return when(r.Super > 0, "--super") }},
	{"size-only", ToReceiver, func(r request) []string { return when(r.SizeOnly, "--size-only") }},
	{"stats", ToReceiver, func(r request) []string { return when(r.Stats > 0, "--stats") }},
	{"skip-compress", ToSender, func(r request) []string {
		return when(r.HasSkipCompress, "--skip-compress="+r.SkipCompress)
	}},
	{"max-alloc", ToBoth, func(r request) []string { return r.allocLimit() }},
	{"delete-missing-args", ToBoth, func(r request) []string { return when(r.DeleteMissingArgs, "--delete-missing-args") }},
	{"ignore-missing-args", ToSender, func(r request) []string { return when(r.IgnoreMissingArgs, "--ignore-missing-args") }},
	{"modify-window", ToReceiver, func(r request) []string { return r.window() }},
	{"checksum-seed", ToBoth, func(r request) []string { return with(r.ChecksumSeed != 0, "--checksum-seed", int(r.ChecksumSeed)) }},
	{"partial-dir", ToReceiver, func(r request) []string {
		return when(r.PartialDir != "" && !r.said.partialImplied, "--partial-dir", r.PartialDir)
	}},
	{"delay-updates", ToReceiver, func(r request) []string { return when(r.DelayUpdates, "--delay-updates") }},
	{"partial", ToReceiver, func(r request) []string { return when(r.Partial && r.PartialDir == "", "--partial") }},
	{"ignore-errors", ToBoth, func(r request) []string { return when(r.IgnoreErrors, "--ignore-errors") }},
	{"copy-unsafe-links", ToBoth, func(r request) []string { return when(r.CopyUnsafeLinks, "--copy-unsafe-links") }},
	{"safe-links", ToBoth, func(r request) []string { return when(r.SafeLinks, "--safe-links") }},
	{"numeric-ids", ToBoth, func(r request) []string { return when(r.NumericIDs, "--numeric-ids") }},
	{"qsort", ToBoth, func(r request) []string { return when(r.Qsort, "--use-qsort") }},
	{"usermap", ToReceiver, func(r request) []string { return when(r.UserMap != "", "--usermap="+r.UserMap) }},
	{"groupmap", ToReceiver, func(r request) []string { return when(r.GroupMap != "", "--groupmap="+r.GroupMap) }},
	{"chown", ToReceiver, toldAs("usermap")},
	{"ignore-existing", ToReceiver, func(r request) []string { return when(r.IgnoreExisting, "--ignore-existing") }},
	{"existing", ToReceiver, func(r request) []string { return when(r.Existing, "--existing") }},
	{"temp-dir", ToReceiver, func(r request) []string { return when(r.TempDir != "", "--temp-dir", r.TempDir) }},
	{"fsync", ToReceiver, func(r request) []string { return when(r.Fsync, "--fsync") }},
	{"compare-dest", ToReceiver, func(r request) []string { return each("--compare-dest", r.CompareDest) }},
	{"copy-dest", ToReceiver, func(r request) []string { return each("--copy-dest", r.CopyDest) }},
	{"link-dest", ToReceiver, func(r request) []string { return each("--link-dest", r.LinkDest) }},
	{"info", ToBoth, func(r request) []string { return r.infoWords() }},
	{"append", ToBoth, func(r request) []string { return when(r.Append > 0, "--append") }},
	{"append-verify", ToBoth, func(r request) []string { return when(r.Append > 1, "--append") }},
	{"inplace", ToBoth, func(r request) []string { return when(r.Inplace && r.Append == 0, "--inplace") }},
	{"whole-file", ToReceiver, func(r request) []string {
		return when(r.Inplace && r.Append == 0 && r.Sparse && r.WholeFile < 0, "--no-W")
	}},
	{"files-from", ToBoth, func(r request) []string { return r.filesFrom() }},
	{"from0", ToBoth, func(r request) []string { return when(r.From0 && r.FilesFromHost != "", "--from0") }},
	{"relative", ToBoth, func(r request) []string {
		return when(!r.Relative && (r.FilesFromHost != "" || r.FilesFrom != "" && !r.push), "--no-relative")
	}},
	{"implied-dirs", ToBoth, func(r request) []string {
		return when(r.Relative && !r.ImpliedDirs && (!r.push || r.protocol >= capsProtocol), "--no-implied-dirs")
	}},
	{"write-devices", ToReceiver, func(r request) []string { return when(r.WriteDevices, "--write-devices") }},
	{"remove-source-files", ToBoth, func(r request) []string { return when(r.RemoveSourceFiles, "--remove-source-files") }},
	{"remove-sent-files", ToBoth, func(r request) []string { return when(r.RemoveSentFiles, "--remove-sent-files") }},
	{"copy-devices", ToSender, func(r request) []string { return when(r.CopyDevices, "--copy-devices") }},
	{"preallocate", ToReceiver, func(r request) []string { return when(r.Preallocate, "--preallocate") }},
	{"open-noatime", ToBoth, func(r request) []string { return when(r.OpenNoatime && r.Atimes < 2, "--open-noatime") }},
	{"mkpath", ToReceiver, func(r request) []string { return when(r.MkPath, "--mkpath") }},
	{"remote-option", ToBoth, func(request) []string { return nil }}, // see args
}

// toldAs is of options that are told under the name of another.
func toldAs(string) func(request) []string {
	return func(request) []string { return nil }
}

// each repeats an option for all its values.
func each(name string, values []string) []string {
	var words []string
	for _, v := range values {
		words = append(words, name, v)
	}
	return words
}

// charset is the remote side's part of --iconv.
func (r request) charset() []string {
	if r.Iconv == "" {
		return nil
	}
	_, remote, found := strings.Cut(r.Iconv, ",")
	if !found {
		remote = r.Iconv
	}
	return []string{"--iconv=" + remote}
}

// logFormat tells a receiver what a format needs of it.
func (r request) logFormat() []string {
	switch {
	case !r.HasOutFormat && r.OutFormat == "":
		return nil
	case HasEscape(r.OutFormat, 'i') && r.Itemize > 1:
		return []string{"--log-format=%i%I"}
	case HasEscape(r.OutFormat, 'i'):
		return []string{"--log-format=%i"}
	case HasEscape(r.OutFormat, 'o'):
		return []string{"--log-format=%o"}
	case r.Verbose == 0:
		return []string{"--log-format=X"}
	}
	return nil
}

func (r request) oddSuffix() bool {
	if r.BackupDir != "" {
		return r.Suffix != ""
	}
	return r.Suffix != "" && r.Suffix != defaultSuffix
}

func (r request) method() []string {
	switch {
	case r.CompressChoice == "":
		return nil
	case strings.EqualFold(r.CompressChoice, "zlib"):
		return []string{"--old-compress"}
	case strings.EqualFold(r.CompressChoice, "zlibx"):
		return []string{"--new-compress"}
	}
	return []string{"--compress-choice=" + r.CompressChoice}
}

func (r request) deletesSometime() bool {
	return r.Delete && !r.DeleteBefore && !r.DeleteDelay && !r.DeleteDuring && !r.DeleteAfter && !r.DeleteExcluded
}

func (r request) allocLimit() []string {
	switch {
	case r.MaxAlloc == defaultMaxAlloc:
		return nil
	case r.said.maxAlloc != "" || r.MaxAlloc == 0:
		return []string{"--max-alloc=" + r.said.maxAlloc}
	}
	return []string{"--max-alloc=" + strconv.FormatInt(r.MaxAlloc, 10)}
}

func (r request) window() []string {
	if r.ModifyWindow < 0 {
		return []string{"-@" + strconv.Itoa(r.ModifyWindow)}
	}
	return with(r.ModifyWindow > 0 || r.said.window, "--modify-window", r.ModifyWindow)
}

func (r request) infoWords() []string {
	there := atReceiver
	if !r.push {
		there = atSender
	}
	word := r.infoArg(there)
	return when(word != "", word)
}

// filesFrom tells a server where names come from: a file of its own, or the
// connection, where they are separated by NUL.
func (r request) filesFrom() []string {
	switch {
	case r.FilesFromHost != "":
		return []string{"--files-from", r.FilesFrom}
	case r.FilesFrom != "" && !r.push:
		return []string{"--files-from=-", "--from0"}
	}
	return nil
}
