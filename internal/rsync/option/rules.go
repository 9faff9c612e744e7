package option

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
	{[]string{"outbuf"}, "its first letter counts: N or U, L, B or F", (*state).buffering},
	{[]string{"verbose", "info", "debug", "stats", "progress"}, "the levels of --info and --debug replace those that -v, --stats and --progress bring", (*state).allLevels},
	{[]string{"confine-root", "insecure-links"}, "--confine-root is absolute, and conflicts with --insecure-links", (*state).confine},
	{[]string{"xattrs", "fake-super"}, "-XX and --fake-super conflict", (*state).xattrTwice},
	{[]string{"write-batch", "only-write-batch", "read-batch", "files-from", "remove-source-files", "remove-sent-files", "dry-run"}, "--read-batch conflicts with writing, with --files-from and with removing sources; -n writes no batch", (*state).batch},
	{[]string{"files-from", "recursive", "archive", "relative", "dirs", "old-dirs", "list-only"}, "--files-from implies --relative and --dirs, and takes back the -r of -a; -r and --list-only imply --dirs; --old-dirs is -r with a filter", (*state).listing},
	{[]string{"implied-dirs", "relative"}, "--no-implied-dirs needs --relative", (*state).impliedDirs},
	{[]string{"delete", "delete-before", "delete-during", "delete-delay", "delete-after", "delete-excluded", "recursive", "dirs"}, "only one time of deletion; each implies --delete, which needs -r or -d", (*state).deletion},
	{[]string{"max-delete"}, "less than 0 is 0", (*state).deleteLimit},
	{[]string{"ignore-missing-args", "delete-missing-args"}, "--delete-missing-args wins", (*state).missing},
	{[]string{"backup-dir", "temp-dir"}, "relative ones do not lead above the destination in a daemon's module that is not the root of what it sees", (*state).tameDirs},
	{[]string{"suffix", "backup-dir", "backup"}, "--backup-dir implies --backup; --suffix has no slash, and is empty only with --backup-dir", (*state).backups},
	{[]string{"backup", "backup-dir", "omit-dir-times"}, "--backup without --backup-dir implies --omit-dir-times", (*state).backupTimes},
	{[]string{"atimes", "open-noatime"}, "-UU implies --open-noatime", (*state).atimes},
	{[]string{"checksum-choice", "whole-file"}, "no checksum of transfers implies --whole-file", (*state).unchecked},
	{[]string{"compress", "compress-choice", "compress-level", "old-compress", "new-compress"}, "-zz is --new-compress; naming a method or a level implies --compress", (*state).compression},
	{[]string{"append", "append-verify", "whole-file", "write-devices", "inplace"}, "--append and --write-devices imply --inplace; --append and --whole-file conflict", (*state).inPlace},
	{[]string{"inplace", "append", "delay-updates", "partial-dir", "partial"}, "--inplace conflicts with --delay-updates and --partial-dir, and takes --partial back; --delay-updates has a --partial-dir, RSYNC_PARTIAL_DIR is the default of --partial", (*state).partials},
	{[]string{"out-format", "itemize-changes", "info", "log-file", "log-file-format"}, "-i and -v have a default format, --log-file too; -i counts only if the format shown has %i", (*state).formats},
	{[]string{"checksum", "checksum-choice"}, "with -c the checksum of files cannot be none", (*state).checksumOfNothing},
	{[]string{"checksum-choice", "compress-choice", "confine-root", "copy-as", "usermap", "groupmap", "write-batch", "only-write-batch", "read-batch"}, "an empty value is refused", (*state).blankValues},
	{[]string{"protocol"}, "a client's is 27 at least", (*state).protocolLimit},
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
