package option

import "strings"

// optionsShown are about what is said, and which files a transfer is about.
var optionsShown = []*Option{
	{Long: "verbose", Short: 'v', Off: no("verbose", "v"), Help: "increase verbosity",
		set: count(func(s *state) *int { return &s.Verbose })},
	{Long: "info", Arg: "FLAGS", Help: "fine-grained informational verbosity", set: setInfo},
	{Long: "debug", Arg: "FLAGS", Help: "fine-grained debug verbosity", set: setDebug},
	{Long: "stderr", Arg: "e|a|c", Help: "change stderr output mode (default: errors)", set: setStderr},
	{Long: "quiet", Short: 'q', Help: "suppress non-error messages",
		set: count(func(s *state) *int { return &s.Quiet })},
	{Long: "motd", Off: no("motd"), Label: "--no-motd", Help: "suppress daemon-mode MOTD",
		set: inverse(func(s *state) *bool { return &s.NoMotd })},
	{Long: "checksum", Short: 'c', Off: no("checksum", "c"), Help: "skip based on checksum, not mod-time & size",
		set: flag(func(s *state) *bool { return &s.Checksum })},
	{Long: "archive", Short: 'a', Help: "archive mode is -rlptgoD (no -A,-X,-U,-N,-H)",
		More:    []HelpLine{{"--no-OPTION", "turn off an implied OPTION (e.g. --no-D)"}},
		Implies: []string{"links", "perms", "times", "group", "owner", "devices", "specials"}, set: setArchive},
	{Long: "recursive", Short: 'r', Off: no("recursive", "r"), Help: "recurse into directories",
		set: choose(func(s *state) *int { return &s.recurse }, 2, 0)},
	{Long: "inc-recursive", Alias: []string{"i-r"}, Off: no("inc-recursive", "i-r"),
		Label: "--inc-recursive, --i-r", Help: "enable incremental recursion",
		More: []HelpLine{
			{"--no-inc-recursive", "disable incremental recursion"},
			{"--no-i-r", "same as --no-inc-recursive"},
		},
		set: flag(func(s *state) *bool { return &s.IncRecurse })},
	{Long: "relative", Short: 'R', Off: no("relative", "R"), Help: "use relative path names",
		set: choose(func(s *state) *int { return &s.relative }, 1, -1)},
	{Long: "implied-dirs", Alias: []string{"i-d"}, Off: no("implied-dirs", "i-d"),
		Label: "--no-implied-dirs", Help: "don't send implied directories with --relative",
		set: flag(func(s *state) *bool { return &s.ImpliedDirs })},
	{Long: "backup", Short: 'b', Off: no("backup"), Help: "make backups (see --suffix & --backup-dir)",
		set: flag(func(s *state) *bool { return &s.Backup })},
	{Long: "backup-dir", Arg: "DIR", Help: "make backups into hierarchy based in DIR",
		set: setBackupDir},
	{Long: "suffix", Arg: "SUFFIX", Help: "backup suffix (default ~ w/o --backup-dir)", set: setSuffix},
	{Long: "update", Short: 'u', Help: "skip files that are newer on the receiver",
		set: flag(func(s *state) *bool { return &s.Update })},
	{Long: "inplace", Off: no("inplace"), Help: "update destination files in-place",
		set: flag(func(s *state) *bool { return &s.Inplace })},
	{Long: "append", Off: no("append"), Help: "append data onto shorter files", set: setAppend},
	{Long: "append-verify", Help: "--append w/old data in file checksum",
		set: choose(func(s *state) *int { return &s.Append }, 2, 0)},
	{Long: "dirs", Short: 'd', Off: no("dirs", "d"), Help: "transfer directories without recursing",
		set: choose(func(s *state) *int { return &s.dirs }, 1, -1)},
	{Long: "old-dirs", Alias: []string{"old-d"}, Help: "works like --dirs when talking to old rsync",
		More: []HelpLine{{"--old-d", "same as --old-dirs"}},
		set:  choose(func(s *state) *int { return &s.dirs }, 2, -1)},
	{Long: "mkpath", Off: no("mkpath"), Help: "create destination's missing path components",
		set: flag(func(s *state) *bool { return &s.MkPath })},
}

func setInfo(st *state, v value) error  { return st.setWords(infoKind, v.text, &st.info) }
func setDebug(st *state, v value) error { return st.setWords(debugKind, v.text, &st.debug) }

// setWords takes an --info or --debug; "help" among the words ends the parsing.
func (st *state) setWords(k wordKind, text string, into *levels) error {
	help, err := k.read(text, into, st.Server)
	if help {
		st.Show = k.show
	}
	return err
}

// setStderr takes any beginning of a mode's name.
func setStderr(st *state, v value) error {
	for _, mode := range []string{"errors", "all", "client"} {
		if v.text != "" && strings.HasPrefix(mode, v.text) {
			st.Stderr = mode[0]
			return nil
		}
	}
	return usage("--stderr mode \"%s\" is not one of errors, all, or client", v.text)
}

// setArchive recurses in the weaker way, which --files-from takes back.
func setArchive(st *state, _ value) error {
	st.recurse = max(st.recurse, 1)
	return nil
}

func setBackupDir(st *state, v value) error {
	st.BackupDir, st.backupDir = v.text, true
	return nil
}

func setSuffix(st *state, v value) error {
	st.Suffix, st.suffix = v.text, true
	return nil
}

// setAppend repeated is no --append-verify for a client, but it is how a client
// says that to a server.
func setAppend(st *state, v value) error {
	switch {
	case !v.on:
		st.Append = 0
	case st.Server:
		st.Append = min(st.Append+1, 2)
	default:
		st.Append = 1
	}
	return nil
}
