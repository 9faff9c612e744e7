package inotify

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/syslog"

	"golang.org/x/sys/unix"

	"lockstep/internal/live/watch"
)

// Exit codes.
const (
	exitEvent   = 0 // an event that was asked for; for inotifywatch the normal end
	exitError   = 1 // an error, or an event that was not asked for
	exitTimeout = 2
)

// Main is the program called name, as it was typed, and returns its exit code.
func Main(name string, args []string, in io.Reader, out, errs io.Writer) int {
	r := &run{set: newSettings(name), in: in, out: bufio.NewWriterSize(out, 64<<10), errs: errs}
	code, err := r.main(args)
	if code, err = r.flushed(code, err); err == nil {
		return code
	}
	var w wrong
	switch {
	case errors.Is(err, errHelp):
		r.set.help(out)
	case errors.As(err, &w):
		fmt.Fprintln(errs, w) // a mistake of the command line never goes to syslog
	default:
		r.say(err.Error())
	}
	return exitError
}

// run is one run of a program.
type run struct {
	set  *settings
	in   io.Reader
	out  *bufio.Writer
	errs io.Writer
	log  *syslog.Writer // with -s
	raw  *watch.Raw
	sel  selection
	renames
	*objects
}

func (r *run) main(args []string) (int, error) {
	var form malformed
	operands, err := parse(r.set.table(), args)
	if errors.As(err, &form) {
		r.complain(r.set.name + ": " + form.Error())
	} else if err != nil {
		return exitError, err
	}
	r.set.operands = operands
	if err := r.set.check(); err != nil {
		return exitError, err
	}
	for _, text := range r.set.warnings {
		r.complain(text)
	}
	if form != "" {
		return exitError, nil
	}
	if r.set.stats {
		return r.statistics()
	}
	return r.wait()
}

// complain tells a mistake of the command line.
func (r *run) complain(text string) { fmt.Fprintln(r.errs, text) }

// say tells what may go to syslog.
func (r *run) say(text string) {
	if r.log != nil {
		_ = r.log.Info(text) // there is nobody else to tell
		return
	}
	fmt.Fprintln(r.errs, text)
}

// note tells what -q silences.
func (r *run) note(text string) {
	if r.set.quiet == 0 {
		r.say(text)
	}
}

// flushed writes what has gathered. A reader that has gone ends the program as
// the signal would.
func (r *run) flushed(code int, err error) (int, error) {
	if e := r.out.Flush(); e != nil && err == nil {
		return exitError, e
	}
	return code, err
}

// open makes the queue.
func (r *run) open() (err error) {
	if r.raw, err = watch.OpenRaw(r.set.fan); err == nil {
		return nil
	}
	kind, file := "inotify", "/proc/sys/fs/inotify/max_user_instances"
	if r.set.fan {
		kind, file = "fanotify", "/proc/sys/fs/fanotify/max_user_groups"
	}
	text := "Couldn't initialize " + kind + ": " + strerror(err)
	switch {
	case errors.Is(err, unix.EMFILE):
		text += "\nTry increasing the value of " + file
	case errors.Is(err, unix.EINVAL) && r.set.fan:
		text += "\nfanotify support for reporting the events with file names was added in kernel v5.9."
	case errors.Is(err, unix.EPERM) && r.set.fan:
		text += "\n" + needsAdmin
	}
	return wrong(text)
}

// prepare makes what watches.
func (r *run) prepare(mask uint32, skip map[string]bool) {
	r.objects = &objects{
		raw: r.raw, set: r.set, skip: skip, tell: r.say, mask: mask,
		byMark: map[int32]*object{}, moving: map[uint32]*object{},
	}
}

// asked are the bits of the events that were asked for.
func (r *run) asked() uint32 {
	if r.set.mask != 0 {
		return r.set.mask
	}
	return allEvents
}
