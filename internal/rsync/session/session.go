package session

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/wire"
)

// Session is past the handshake: the server waits for a file list.
type Session struct {
	*Conn
	opts   Options
	params sender.Params

	watched chan struct{} // closed when nobody watches any more
	stopped chan struct{} // closed by finish
	stop    sync.Once

	mu      sync.Mutex    // guards what follows
	timeout time.Duration // 0 is none
	lost    error         // why the session ended while held
	changed chan struct{} // told when timeout was set

	talk sync.Mutex  // serialises the job's callbacks, guards job
	job  *sender.Job // nil while nothing is sent
}

func newSession(c *Conn, opts Options) *Session {
	s := &Session{
		Conn: c, opts: opts,
		timeout: time.Duration(opts.Timeout) * time.Second,
		watched: make(chan struct{}), stopped: make(chan struct{}), changed: make(chan struct{}, 1),
	}
	method, _ := opts.method() // validated
	s.params = sender.Params{
		Owner: opts.Owner, Group: opts.Group, Links: opts.Links, Devices: opts.Devices, Specials: opts.Specials,
		HardLinks: opts.HardLinks, ACLs: opts.ACLs, Xattrs: opts.Xattrs, NumericIDs: opts.NumericIDs,
		Checksum: opts.Checksum, DryRun: opts.DryRun, DeleteMissing: opts.DeleteMissing,
		Compress: method, Level: opts.CompressLevel, Names: opts.Names,
	}
	c.t.throttle = newBucket(opts.BwLimit)
	return s
}

// hold begins the time in which nothing is sent but keep-alives.
func (s *Session) hold() {
	s.stage = held
	go s.watch()
	go s.keepAlive()
}

// watch handles messages while the session is held, until the stream is
// wanted for the transfer or ends.
func (s *Session) watch() {
	defer close(s.watched)
	err := s.r.Wait()
	if err == nil || errors.Is(err, wire.ErrInterrupted) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = err
}

// Alive reports whether the server is still there, as far as can be known
// without asking.
func (s *Session) Alive() bool {
	lost := s.reason()
	s.Conn.mu.Lock()
	defer s.Conn.mu.Unlock()
	return lost == nil && !s.Conn.closed && s.t.alive(false)
}

// Err is why the peer ended a held session, nil while it stands.
func (s *Session) Err() error {
	if s.Alive() {
		return nil
	}
	<-s.watched
	lost := s.reason()
	if lost == nil {
		return nil
	}
	lost = s.withShell(lost)
	return failure(held, lost, s.journal.messages())
}

func (s *Session) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// Send runs job to the goodbye and closes the session. The Result says what
// was done, with an error too. The error is an *Error unless everything went
// well; with code 23, 24 or 25 the job was done but for some paths.
//
// The job's OnMessage and OnDeleted are called from goroutines of the session,
// never two at a time and never after Send returned; they must not block.
func (s *Session) Send(ctx context.Context, job sender.Job) (sender.Result, error) {
	if s.stage != held {
		return sender.Result{}, refuse(s.stage, ExitSyntax, errors.New("this session has been used"))
	}
	defer s.finish()
	defer s.give(nil)
	defer s.endWith(ctx)()
	s.t.interrupt()
	<-s.watched
	s.t.resume()
	s.stage = transfer
	if err := s.begin(&job); err != nil {
		return sender.Result{}, s.fail(err)
	}
	defer s.limitSilence()()
	s.params.Interrupt = s.t.interrupt
	result, err := sender.Run(ctx, s.r, s.w, s.params, job)
	if err != nil {
		return result, s.brokenOff(ctx, err)
	}
	s.stage = goodbye
	return result, s.verdict(ctx, &result)
}

// give lets job, if not nil, hear what the peer says.
func (s *Session) give(job *sender.Job) {
	s.talk.Lock()
	defer s.talk.Unlock()
	s.job = job
}

// begin gives job the messages and writes the filter rules.
func (s *Session) begin(job *sender.Job) error {
	if lost := s.reason(); lost != nil {
		return lost
	}
	s.give(job)
	s.Conn.mu.Lock()
	s.onLine = func(line string) { s.passOn(wire.CodeError, line) }
	s.Conn.mu.Unlock()
	rules, due, err := s.filterRules()
	if err != nil {
		return refuse(s.stage, ExitProtocol, err)
	}
	for _, rule := range rules {
		s.w.Int(int32(len(rule)))
		io.WriteString(s.w, rule)
	}
	if due {
		s.w.Int(0)
	}
	return nil
}

// onMessage handles what the server says beside its data (rsync-session 5.4).
// It runs in whatever goroutine reads.
func (s *Session) onMessage(code wire.Code, payload []byte) error {
	switch code {
	case wire.CodeErrorXfer, wire.CodeInfo, wire.CodeError, wire.CodeWarning:
		text := string(payload)
		s.journal.hear(code, text)
		s.passOn(code, text)
	case wire.CodeDeleted:
		s.deleted(string(payload))
	case wire.CodeIOTimeout:
		s.adoptTimeout(int32(binary.LittleEndian.Uint32(payload)))
	case wire.CodeErrorExit:
		return s.peerExits(payload)
	}
	return nil
}

// passOn gives a text to the job.
func (s *Session) passOn(code wire.Code, text string) {
	s.talk.Lock()
	defer s.talk.Unlock()
	if s.job != nil && s.job.OnMessage != nil {
		s.job.OnMessage(code, text)
	}
}

// deleted tells the job; a directory's name ends with NUL.
func (s *Session) deleted(name string) {
	s.talk.Lock()
	defer s.talk.Unlock()
	if s.job != nil && s.job.OnDeleted != nil {
		name, dir := strings.CutSuffix(name, "\x00")
		s.job.OnDeleted(name, dir)
	}
}

// peerExits answers the peer's fatal end, for which it waits before it closes
// (rsync-session 5.7). An empty message is itself an answer.
func (s *Session) peerExits(payload []byte) error {
	if len(payload) == 0 {
		return exitError{}
	}
	if s.protocol >= exitProtocol {
		s.w.Message(wire.CodeErrorExit, nil)
	}
	code := int(int32(binary.LittleEndian.Uint32(payload)))
	if code < 1 || code > 255 {
		code = ExitStream
	}
	return exitError{code}
}

// exitProtocol is the first in which ERROR_EXIT passes between hosts.
const exitProtocol = 31

// KeepAlive tells the peer that we are still there. The session does so on its
// own; before protocol 30 there is no way to.
func (s *Session) KeepAlive() error {
	if err := s.w.KeepAlive(); err != nil {
		return failure(held, err, s.journal.messages())
	}
	return nil
}

// Close ends the session at once. It may be called at any time and more than
// once.
func (s *Session) Close() error {
	s.finish()
	return nil
}

func (s *Session) finish() {
	s.stop.Do(func() { close(s.stopped) })
	s.Conn.Close()
}
