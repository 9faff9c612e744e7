package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/wire"
)

// drainTime is how long we read on after a failure, for the peer's reasons.
const drainTime = 700 * time.Millisecond

// brokenOff turns an error of the sender into one of the session, after
// telling the peer and hearing it out, if there is any point in that.
func (s *Session) brokenOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return s.fail(context.Cause(ctx))
	}
	var exit exitError
	if errors.As(err, &exit) {
		return s.fail(err)
	}
	code := exitCode(s.stage, err)
	if code != ExitSocket && code != ExitStream && code != ExitTimeout && s.protocol >= exitProtocol {
		s.w.Message(wire.CodeErrorExit, binary.LittleEndian.AppendUint32(nil, uint32(code)))
	}
	if cause := s.side.drain(drainTime); errors.As(cause, &exit) && exit.code != 0 {
		err = fmt.Errorf("%w (%w)", exit, err)
	}
	return s.fail(err)
}

// verdict is how a session ended that came to its goodbye: nil, or an Error
// with rsync's code for what could not be done (rsync-session 6.3).
func (s *Session) verdict(ctx context.Context, result *sender.Result) error {
	partial, limited := s.journal.outcome()
	var err error
	code := 0
	switch {
	case partial:
		code, err = ExitPartial, errors.New("the peer could not store everything")
	case result.IOError&sender.IOErrorGeneral != 0:
		code, err = ExitPartial, errors.New("some files could not be read")
	case result.IOError&sender.IOErrorVanished != 0:
		code, err = ExitVanished, errors.New("some files vanished before they could be sent")
	case limited:
		code, err = ExitDeleteLimit, errors.New("the limit of deletions was reached")
	}
	shell := s.farewell()
	if ctx.Err() != nil && shell == ExitShellKilled {
		return s.fail(context.Cause(ctx))
	}
	if shell > code {
		code, err = shell, fmt.Errorf("the remote shell ended with exit code %d", shell)
	}
	if code == 0 {
		return nil
	}
	e := failure(s.stage, err, s.journal.messages())
	e.Code = code
	return e
}

// farewell hangs up after a goodbye and returns the remote shell's exit code,
// 0 without one.
func (c *Conn) farewell() int {
	if c.proc == nil {
		return 0
	}
	c.proc.stdin.Close()
	return c.proc.wait(farewellPatience)
}
