package lockstep

import (
	"errors"
	"fmt"
	"strings"

	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
)

// The exit codes. Numbers from 1 to 25 mean what they mean to rsync.
const (
	exitDone        = 0
	exitUsage       = 1
	exitSource      = 3
	exitUnsupported = 4
	exitNoAnswer    = 10
	exitFailed      = 11
	exitInterrupted = 20
	exitOutOfStep   = 23
	exitMaxDelete   = 25
	exitSIGHUP      = 129
	exitSIGINT      = 130
	exitSIGTERM     = 143
)

// ExitUnsupported is the exit code for a face or an action that this build
// doesn't have.
const ExitUnsupported = exitUnsupported

// exitCode is one row of the table.
type exitCode struct {
	code    int
	meaning string
}

// exitCodes is the table that help prints and docs/output.md repeats.
var exitCodes = []exitCode{
	{exitDone, "done: every target is in step (`--once`), or a running mirror was stopped by SIGINT, SIGTERM or SIGHUP and ended cleanly"},
	{exitUsage, "wrong usage: an unknown flag, a bad value, a source or target that cannot be used; nothing was done"},
	{exitSource, "the source vanished, was replaced or was unmounted; nothing was deleted on any target"},
	{exitUnsupported, "not supported: this release does not have the face or the action that was asked for"},
	{exitNoAnswer, "no running lockstep answers on the control socket"},
	{exitFailed, "the mirror could not go on: the system refused something that it cannot do without"},
	{exitInterrupted, "`--once`, `--dry-run` or the demo was stopped by a signal before it was done"},
	{exitOutOfStep, "`--once` ended with paths or targets that are not in step, every target of a mirror refused for good, `flush` found a target behind, `verify` found a difference, `doctor` found a problem, or the demo found a difference"},
	{exitMaxDelete, "`--once` would have removed more than `--max-delete` allows; nothing was deleted"},
	{exitSIGHUP, "a second signal, SIGHUP, ended it at once"},
	{exitSIGINT, "a second signal, SIGINT, ended it at once"},
	{exitSIGTERM, "a second signal, SIGTERM, ended it at once"},
}

// exitHelp is the table as text.
func exitHelp() string {
	var b strings.Builder
	for _, row := range exitCodes {
		fmt.Fprintf(&b, "  %3d  %s\n", row.code, strings.ReplaceAll(row.meaning, "`", ""))
	}
	return b.String()
}

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// hintedError carries the user's next step: a command to run.
type hintedError struct {
	err  error
	hint string
}

func (e hintedError) Error() string { return e.err.Error() }
func (e hintedError) Unwrap() error { return e.err }

// errInterrupted says that a signal came before the work was done.
var errInterrupted = errors.New("stopped by a signal before it was done")

// errNoAnswer says that nobody serves the control socket.
var errNoAnswer = errors.New("no lockstep answers")

// codeOf is the exit code for what a command returned.
func codeOf(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, mirror.ErrSourceGone):
		return exitSource
	case errors.Is(err, mirror.ErrMaxDelete):
		return exitMaxDelete
	case errors.Is(err, mirror.ErrOutOfStep), errors.Is(err, errDifferent), errors.Is(err, errUnwell):
		return exitOutOfStep
	case errors.Is(err, errNoAnswer):
		return exitNoAnswer
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	}
	return exitFailed
}

// hintOf is the next step for err, "" if nothing better is known than the text.
func hintOf(err error) string {
	var hinted hintedError
	if errors.As(err, &hinted) {
		return hinted.hint
	}
	var refused *target.Error
	if errors.As(err, &refused) {
		return refused.Hint
	}
	return ""
}
