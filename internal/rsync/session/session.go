package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/wire"
)

// Session is past the handshake: the server waits for a file list.
type Session struct {
	*Conn
	side *end
	opts Options

	watched chan struct{} // closed when nobody watches any more

	mu   sync.Mutex // guards what follows
	lost error      // why the session ended while held

	hearing sync.Mutex  // serialises the job's callbacks, guards job
	job     *sender.Job // nil while nothing is sent
}

// hold begins the time in which nothing is sent but keep-alives.
func (s *Session) hold() {
	s.stage = held
	go s.watch()
	go s.side.pulse.keepAlive()
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

// Timeout is after how long a silence either side gives up, 0 if never: our
// own, or the daemon's if it is shorter and known.
func (s *Session) Timeout() time.Duration { return s.side.pulse.Timeout() }

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
	defer s.side.pulse.limitSilence()()
	result, err := sender.Run(ctx, s.r, s.w, s.senderParams(), job)
	if err != nil {
		return result, s.brokenOff(ctx, err)
	}
	s.stage = goodbye
	return result, s.verdict(ctx, &result)
}

func (s *Session) senderParams() sender.Params {
	e := s.side
	return sender.Params{
		Opt: e.opt, Protocol: e.protocol, Compat: e.compat, Seed: e.seed,
		Xfer: e.xfer, File: e.file, Compress: e.compress, Level: e.level,
		Names: s.opts.Names, Interrupt: s.t.interrupt,
	}
}

// give lets job, if not nil, hear what the peer says.
func (s *Session) give(job *sender.Job) {
	s.hearing.Lock()
	defer s.hearing.Unlock()
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
	if !filtersDue(s.side.opt, true, s.protocol) {
		return nil
	}
	var rules []string
	if s.opts.Filters != nil {
		var err error
		if rules, err = s.opts.Filters(s.protocol); err != nil {
			return refuse(s.stage, ExitProtocol, err)
		}
	}
	if err := writeRules(s.w, rules); err != nil {
		return refuse(s.stage, ExitProtocol, err)
	}
	return nil
}

// passOn gives a text to the job.
func (s *Session) passOn(code wire.Code, text string) {
	s.hearing.Lock()
	defer s.hearing.Unlock()
	if s.job != nil && s.job.OnMessage != nil {
		s.job.OnMessage(code, text)
	}
}

// jobTalk is where the peer is heard: in the journal and by the job. The job is
// told nothing else.
type jobTalk struct{ *Session }

func (s jobTalk) Text(code wire.Code, text string) {
	s.journal.hear(code, text)
	s.passOn(code, text+"\n")
}

func (s jobTalk) Deleted(name tree.Path, m tree.Meta) {
	s.hearing.Lock()
	defer s.hearing.Unlock()
	if s.job != nil && s.job.OnDeleted != nil {
		s.job.OnDeleted(string(name), m.IsDir())
	}
}

func (jobTalk) Item(*output.Event, bool)       {}
func (jobTalk) Progress(output.Progress, bool) {}

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
	s.side.pulse.stop()
	s.Conn.Close()
}
