package session

import (
	"fmt"
	"strconv"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/compress"
)

// Bounds of a server's command line (rsync-session 2.5).
const (
	maxArg  = 5119 // bytes of one argument; a daemon cuts longer ones
	maxArgs = 15999
)

// capabilities is what our end can do, in the letters of rsync-session 3.2,
// apart from the i of incremental recursion.
const capabilities = "LsfxCIvu"

// serverArgs are the options for a receiving server: --server, the letters, and
// the long options in rsync's order (rsync-session 3.1 to 3.3), values quoted
// for a remote shell. protocol is that of the session, or our own highest if
// it is not known yet.
func (o *Options) serverArgs(protocol int) []string {
	args := []string{"--server"}
	if letters := o.letters(protocol); letters != "-" {
		args = append(args, letters)
	}
	add := func(when bool, words ...string) {
		if when {
			args = append(args, words...)
		}
	}
	compressing := o.Compress != ""
	add(o.deletes() && !o.Recurse, "--no-r")
	add(compressing && o.CompressLevel != 0, "--compress-level="+strconv.Itoa(o.CompressLevel))
	add(o.Devices && !o.Specials, "--no-specials")
	add(o.Specials && !o.Devices, "--specials")
	add(o.Timeout > 0, "--timeout="+strconv.Itoa(o.Timeout))
	add(o.BwLimit > 0, "--bwlimit="+strconv.Itoa(o.BwLimit))
	args = append(args, o.compressArgs()...)
	add(o.MaxDelete > 0, "--max-delete="+strconv.Itoa(o.MaxDelete))
	add(o.MaxDelete == 0, "--max-delete=-1")
	add(o.DeleteWhen != "", "--delete-"+o.DeleteWhen)
	add(o.Delete && o.DeleteWhen == "" && !o.DeleteExcluded, "--delete")
	add(o.DeleteExcluded, "--delete-excluded")
	add(o.Force, "--force")
	add(o.SizeOnly, "--size-only")
	add(o.DeleteMissing, "--delete-missing-args")
	add(o.ModifyWindow > 0, "--modify-window="+strconv.Itoa(o.ModifyWindow))
	add(o.ModifyWindow < 0 && protocol >= nsecProtocol, "-@-1")
	add(o.Partial, "--partial")
	add(o.IgnoreErrors, "--ignore-errors")
	add(o.NumericIDs, "--numeric-ids")
	add(o.IgnoreExisting, "--ignore-existing")
	add(o.Existing, "--existing")
	add(o.TempDir != "", "--temp-dir", quoteValue(o.TempDir))
	add(o.Fsync, "--fsync")
	for _, dir := range o.LinkDest {
		args = append(args, "--link-dest", quoteValue(dir))
	}
	add(o.Relative && o.NoImplied && protocol >= capsProtocol, "--no-implied-dirs")
	add(o.MkPath, "--mkpath")
	for _, option := range o.Remote {
		args = append(args, quoteValue(option))
	}
	return args
}

// letters is the bundle of short options with the capability string.
func (o *Options) letters(protocol int) string {
	b := []byte("-")
	for _, l := range []struct {
		on     bool
		letter string
	}{
		{o.Update, "u"}, {o.DryRun, "n"}, {o.Links, "l"},
		{o.Dirs && !o.Recurse || o.deletes() && !o.Recurse, "d"},
		{o.KeepDirlinks, "K"}, {o.OmitDirTimes, "O"}, {o.OmitLinkTimes, "J"},
		{o.Fuzzy > 0, "y"}, {o.Fuzzy > 1 && len(o.LinkDest) > 0, "y"},
		{o.WholeFile, "W"}, {o.HardLinks, "H"}, {o.Owner, "o"}, {o.Group, "g"}, {o.Devices, "D"},
		{o.Times, "t"}, {o.Perms, "p"}, {o.ACLs, "A"}, {o.Xattrs, "X"}, {o.Recurse, "r"},
		{o.Checksum, "c"}, {o.IgnoreTimes, "I"}, {o.Relative, "R"}, {o.Sparse, "S"},
		{o.Compress == compressAuto || strings.EqualFold(o.Compress, compress.Zlib.String()), "z"},
	} {
		if l.on {
			b = append(b, l.letter...)
		}
	}
	if protocol >= capsProtocol {
		b = append(b, "e."...)
		if o.incremental() {
			b = append(b, 'i')
		}
		b = append(b, capabilities...)
	}
	return string(b)
}

// compressArgs names an explicit method.
func (o *Options) compressArgs() []string {
	method, err := o.method()
	if err != nil || method == compress.None {
		return nil
	}
	switch method {
	case compress.Zlib:
		return []string{"--old-compress"}
	case compress.Zlibx:
		return []string{"--new-compress"}
	}
	return []string{"--compress-choice=" + method.String()}
}

// shellSpecial are the bytes that a backslash takes the meaning of, in option
// values and in paths (rsync-session 3.4). A line feed is not among them: a
// shell removes it together with the backslash.
const shellSpecial = "!#$&;|<>(){}\"'` \t\r\\*?[]"

// quoteValue quotes a word literally, for a remote shell or for the options
// of a daemon, which removes a level of backslashes.
func quoteValue(s string) string {
	if !strings.ContainsAny(s, shellSpecial) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(shellSpecial, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// shellPath is a destination directory as an argument for a remote shell. It is
// taken literally, apart from a leading tilde.
func shellPath(path string) string {
	if path == "" {
		return "."
	}
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	if path[0] == '-' {
		path = "./" + path
	}
	return quoteValue(path)
}

// daemonPath is a destination directory as a path argument for a daemon
// (rsync-session 2.5). The daemon expands wildcards, and what it finds at
// " module/" it takes for a further path; escapes for both would become part
// of the name if the directory does not exist yet. So these are refused.
func daemonPath(module, path string) (string, error) {
	path = strings.TrimLeft(path, "/")
	switch {
	case strings.ContainsAny(path, "*?["):
		return "", fmt.Errorf("%s: a daemon would expand the wildcard: %w", tree.Quote(path), ErrPath)
	case strings.Contains("/"+path, " "+module+"/"), strings.HasSuffix("/"+path, " "+module):
		return "", fmt.Errorf("%s: a daemon would take it for several paths: %w", tree.Quote(path), ErrPath)
	}
	arg := module + "/"
	if path != "" {
		arg += strings.TrimRight(path, "/") + "/"
	}
	if arg[0] == '-' {
		arg = "./" + arg
	}
	return arg, nil
}

// encodeArgs is the form in which a daemon reads its arguments: each ended by
// NUL, or LF below protocol 30, and an empty one at the end.
func encodeArgs(protocol int, args []string) ([]byte, error) {
	end, forbidden := "\x00", "\x00"
	if protocol < nulProtocol {
		end, forbidden = "\n", "\n\r\x00"
	}
	if len(args) > maxArgs {
		return nil, fmt.Errorf("%d arguments, a daemon reads at most %d", len(args), maxArgs)
	}
	var b []byte
	for _, arg := range args {
		switch {
		case arg == "":
			return nil, fmt.Errorf("an empty argument would end the list: %w", ErrPath)
		case len(arg) > maxArg:
			return nil, fmt.Errorf("argument %s… has %d bytes, a daemon reads at most %d: %w", tree.Quote(clip(arg)), len(arg), maxArg, ErrPath)
		case strings.ContainsAny(arg, forbidden):
			return nil, fmt.Errorf("argument %s cannot be sent at protocol %d: %w", tree.Quote(clip(arg)), protocol, ErrPath)
		}
		b = append(append(b, arg...), end...)
	}
	return append(b, end...), nil
}
