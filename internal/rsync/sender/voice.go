package sender

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// voice says what happens, in rsync's words (part 3, 1.6 and 5.5). The zero
// voice says nothing.
type voice struct {
	talk   output.Talk
	opt    *option.Set
	module string // behind names, " (in NAME)"
	items  bool   // entries are reported

	digests bool // with their digests
	server  bool
}

func newVoice(p *Params) *voice {
	v := &voice{talk: p.Talk, opt: p.Opt, items: p.Talk != nil, server: p.Server}
	for _, format := range []string{p.Opt.OutFormat, p.Opt.LogFormat} {
		v.digests = v.digests || v.items && strings.Contains(format, "%") && strings.Contains(format, "C")
	}
	if p.Daemon {
		v.module = " (in " + p.Module + ")"
	}
	return v
}

func (v *voice) say(code wire.Code, format string, args ...any) {
	if v.talk != nil {
		v.talk.Text(code, fmt.Sprintf(format, args...))
	}
}

// info says something if the word has that level.
func (v *voice) info(word option.Info, level uint8, format string, args ...any) {
	if v.opt.Info[word] >= level {
		v.say(wire.CodeInfo, format, args...)
	}
}

// debug is info for a word of --debug.
func (v *voice) debug(word option.Debug, level uint8, format string, args ...any) {
	if v.opt.Debug[word] >= level {
		v.say(wire.CodeInfo, format, args...)
	}
}

// quoted is a name as messages have it.
func (v *voice) quoted(name string) string { return `"` + name + `"` + v.module }

// trouble says that a system call failed.
func (v *voice) trouble(op, name string, err error) {
	v.say(wire.CodeErrorXfer, "%s", v.failure(op, name, err))
}

func (v *voice) failure(op, name string, err error) string {
	return fmt.Sprintf("rsync: [sender] %s %s failed: %s", op, v.quoted(name), output.Strerror(err))
}

// unstattable says that nothing can be known of a name in a directory.
func (v *voice) unstattable(name string, err error) {
	v.say(wire.CodeErrorXfer, "rsync: [sender] readlink_stat(%s) failed: %s", v.quoted(name), output.Strerror(err))
}

// gone says that something vanished before it was sent.
func (v *voice) gone(what, name string) {
	v.say(wire.CodeWarning, "%s has vanished: %s", what, v.quoted(name))
}

// unlisted says why a path could not be listed, and gives the io_error bit for
// it. name is how messages call the path.
func (v *voice) unlisted(p tree.Path, name string, err error) int32 {
	var unconverted *flist.ConvertError
	switch {
	case errors.Is(err, errNoReferent):
		v.say(wire.CodeErrorXfer, "symlink has no referent: %s", v.quoted(name))
	case errors.Is(err, flist.ErrUnsendable) && len(p) > tree.MaxPath:
		v.say(wire.CodeErrorXfer, "filename overflows max-path len by %d: %s", len(p)-tree.MaxPath, string(p))
	case errors.As(err, &unconverted):
		v.say(wire.CodeErrorXfer, "[sender] cannot convert %s: %s (%v)", unconverted.What, string(p), unconverted.Err)
	case errors.Is(err, flist.ErrUnsendable):
		v.say(wire.CodeErrorXfer, "rsync: [sender] %s: %v", v.quoted(name), err)
	case errors.Is(err, syscall.ENOENT), errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ELOOP):
		v.gone("file", name)
		return IOErrorVanished
	default:
		v.unstattable(name, err)
	}
	return IOErrorGeneral
}

// verdictText is what --debug=FILTER says of a decision, "" for nothing.
func verdictText(d filter.Verdict, p tree.Path, isDir bool) string {
	if d.Rule == nil {
		return ""
	}
	action, kind := "showing", "file"
	if d.Excluded {
		action = "hiding"
	}
	if isDir {
		kind = "directory"
	}
	return fmt.Sprintf("[sender] %s %s %s because of pattern %s", action, kind, string(p), d.Rule.Shown())
}

// begin says that the list is being made.
func (v *voice) begin(incremental bool) {
	v.say(wire.CodeLog, "building file list")
	switch {
	case !v.lists():
	case incremental:
		v.say(wire.CodeClient, "sending incremental file list\n")
	case v.opt.Info[option.InfoFlist] > 1:
		v.say(wire.CodeClient, "building file list ... \n 0 files...\r")
	default:
		v.say(wire.CodeClient, "building file list ... ")
	}
}

// lists reports whether something is said about the making of the list: not if
// it cannot take long.
func (v *voice) lists() bool {
	return !v.server && v.opt.Info[option.InfoFlist] > 0 && (v.opt.Recurse || v.opt.Dirs)
}

// countEvery is after how many entries their number is shown.
const countEvery = 100

// counting shows how many entries the only list has so far.
func (v *voice) counting(entries int) {
	if v.lists() && v.opt.Info[option.InfoFlist] > 1 && entries%countEvery == 0 {
		v.say(wire.CodeClient, " %d files...\r", entries)
	}
}

// listed says that the only list has been made.
func (v *voice) listed(entries int) {
	switch {
	case !v.lists():
	case v.opt.Info[option.InfoFlist] == 1:
		v.say(wire.CodeClient, "done\n")
		v.say(wire.CodeLog, "done")
	case entries == 1:
		v.say(wire.CodeClient, "1 file to consider\n")
	default:
		v.say(wire.CodeClient, "%d files to consider\n", entries)
	}
}
