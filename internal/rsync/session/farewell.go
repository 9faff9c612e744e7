package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/wire"
)

// drainPatience is how long an end that failed waits at most for the other one
// to take note: rsync waits a minute, but somebody is waiting for us.
const drainPatience = 5 * time.Second

// lastWords is how long we listen after a write failed: a peer that hung up may
// have said why.
const lastWords = 2 * time.Second

// grace is how long an end that is called off has for telling the peer.
const grace = 300 * time.Millisecond

// endWith lets the end of ctx stop the transfer: reads are interrupted, so that
// the peer can be told, and after some grace the connection is closed. That is
// so until the returned function is called.
func (e *end) endWith(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		e.link.interrupt()
		time.AfterFunc(grace, func() { e.link.end(context.Cause(ctx)) })
	})
}

// giveUp says why this end cannot go on, tells the peer, and returns the exit
// code (rsync-session 5.7).
func (e *end) giveUp(err error) int {
	var exit exitError
	if heard := e.hearOut(err); heard != nil {
		err = heard
	}
	if errors.As(err, &exit) && exit.code != 0 {
		return exit.code // the peer has said everything
	}
	code := exitCode(transfer, err)
	for _, line := range e.words(err) {
		e.talk.Text(wire.CodeError, line)
	}
	e.talk.Text(wire.CodeError, output.ExitLine(code, place, e.role))
	if e.announces(code) && e.w.Message(wire.CodeErrorExit, binary.LittleEndian.AppendUint32(nil, uint32(code))) == nil {
		e.drain(e.patience())
	}
	return code
}

// place is where an end is said to have happened: rsync names a line of its
// source.
const place = "lockstep(1)"

// announces reports whether the peer is told of a fatal end with that code.
func (e *end) announces(code int) bool {
	switch code {
	case ExitSocket, ExitStream, ExitUser1, ExitTimeout:
		return false
	}
	return e.protocol >= exitProtocol && !e.farewell.Load()
}

func (e *end) patience() time.Duration {
	if e.pulse != nil && e.pulse.Timeout() > 0 {
		return min(e.pulse.Timeout(), drainPatience)
	}
	return drainPatience
}

// hearOut listens to a peer to which we cannot write any more, and returns its
// reason.
func (e *end) hearOut(err error) error {
	var link *linkError
	if !errors.As(err, &link) {
		return nil
	}
	cause := e.drain(lastWords)
	var exit exitError
	if errors.As(cause, &exit) {
		return cause
	}
	return nil
}

// drain reads what the peer has said, for the sake of its messages, until the
// connection ends, and returns why it did.
func (e *end) drain(patience time.Duration) error {
	timer := time.AfterFunc(patience, func() { e.link.end(errClosed) })
	defer timer.Stop()
	e.link.resume()
	buf := make([]byte, 4096)
	for {
		if _, err := e.r.Read(buf); err != nil {
			return err
		}
	}
}

// words are the lines about an error, as rsync has them.
func (e *end) words(err error) []string {
	var link *linkError
	var own *fatal
	switch {
	case errors.Is(err, ErrSignal), errors.Is(err, ErrUser1), errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, errTimeout):
		limit := e.opt.Timeout
		if e.pulse != nil {
			limit = int(e.pulse.Timeout().Seconds())
		}
		return []string{fmt.Sprintf("[%s] io timeout after %d seconds -- exiting", e.role, limit)}
	case errors.As(err, &link):
		how := "read"
		if e.w != nil && e.w.Err() != nil {
			how = "write"
		}
		return []string{fmt.Sprintf("rsync: [%s] %s error: %s", e.role, how, output.Strerror(link.err))}
	case errors.As(err, &own):
		return strings.Split(own.text, "\n")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		got := int64(0)
		if e.r != nil {
			got = e.r.Count()
		}
		return []string{fmt.Sprintf("rsync: connection unexpectedly closed (%d bytes received so far) [%s]", got, e.role)}
	}
	return strings.Split(err.Error(), "\n")
}

// verdict is the exit code of an end that came to its goodbye, by what went
// wrong on the way (rsync-session 6.3).
func (e *end) verdict() int {
	bits := e.ioError.Load()
	switch {
	case e.talk.partial.Load(), bits&sender.IOErrorGeneral != 0:
		return ExitPartial
	case bits&sender.IOErrorVanished != 0:
		return ExitVanished
	case bits&ioDeleteLimit != 0:
		return ExitDeleteLimit
	}
	return 0
}

// ioDeleteLimit is the io_error bit of --max-delete.
const ioDeleteLimit = 4

// ended is the error with an exit code, nil for 0.
func ended(code int, at stage, err error) error {
	if code == 0 {
		return nil
	}
	return &Error{Code: code, Stage: at.String(), Err: err}
}
