package dest

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"lockstep/internal/fs/apply"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// Exit codes of rsync (rsync-transfer 5.1).
const (
	exitSyntax      = 1
	exitProtocol    = 2
	exitSelect      = 3
	exitUnsupported = 4
	exitFile        = 11
)

// Error is trouble that ends the run, in rsync's words.
type Error struct {
	Code int    // rsync's exit code
	Text string // the complete message, one line
	Err  error  // the cause, or nil
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// ExitCode is rsync's exit code for it.
func (e *Error) ExitCode() int { return e.Code }

// message is a line about a failed system call in rsync's form.
func message(role, text string, err error) string {
	return fmt.Sprintf("rsync: [%s] %s: %s", role, text, output.Strerror(err))
}

// refusal says, on a line of its own, that err is the refusal of a symlink.
func (d *Dest) refusal(err error) { output.TellRefusal(d.p.Talk, err) }

// outOfReach is about a directory that this user may not look at.
func (d *Dest) outOfReach(what string, err error) *Error {
	return &Error{Code: exitFile, Text: fmt.Sprintf("Failed to stat %s: %s", what, output.Sentence(errnoOf(err))), Err: err}
}

// errnoOf is the system error behind err, 0 if there is none.
func errnoOf(err error) syscall.Errno {
	if no, plain := err.(syscall.Errno); plain {
		return no
	}
	var no syscall.Errno
	switch {
	case errors.As(err, &no):
	case errors.Is(err, apply.ErrIsDir):
		no = syscall.EISDIR
	case errors.Is(err, apply.ErrNotEmpty):
		no = syscall.ENOTEMPTY
	}
	return no
}

// missing reports whether err says that nothing is there.
func missing(err error) bool {
	no := errnoOf(err)
	return no == syscall.ENOENT || no == syscall.ENOTDIR
}

// Tell prints `rsync: [ROLE] TEXT: STRERROR (ERRNO)`, which makes the exit code
// 23. text names files as FullName gives them.
func (d *Dest) Tell(text string, err error) {
	d.refusal(err)
	d.p.Talk.Text(wire.CodeErrorXfer, message(d.role, text, err))
}

// told is Tell for who returns the error as well.
func (d *Dest) told(err error, format string, args ...any) error {
	if err != nil {
		d.Tell(fmt.Sprintf(format, args...), err)
	}
	return err
}

// say prints plain text.
func (d *Dest) say(code wire.Code, format string, args ...any) {
	d.p.Talk.Text(code, fmt.Sprintf(format, args...))
}

// FullName is the name of p as it stands in messages: absolute, in double
// quotes, and at a daemon with the module.
func (d *Dest) FullName(p tree.Path) string {
	if p == tree.Root {
		p = "."
	}
	return d.quoted(join(d.dir, string(p)))
}

// quoted is an absolute name as FullName gives it.
func (d *Dest) quoted(name string) string {
	if m := d.p.Module; m != nil {
		if !m.rooted() && d.dir == "/" { // in a chroot they begin at its root
			name = strings.TrimPrefix(name, "/")
		}
		return `"` + name + `" (in ` + m.Name + ")"
	}
	return `"` + name + `"`
}

// join puts a name behind a directory.
func join(dir, name string) string {
	if strings.HasSuffix(dir, "/") {
		return dir + name
	}
	return dir + "/" + name
}
