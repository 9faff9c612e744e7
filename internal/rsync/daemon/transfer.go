package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/session"
)

// Client is who a transfer is for.
type Client struct {
	Address, Host, User string
	Protocol            int
}

// from names a client in log lines.
func (c *Client) from() string {
	name := c.Host + " (" + c.Address + ")"
	if c.User != "" {
		name = c.User + "@" + name
	}
	return name
}

// transfer is a connection from "OK" on. It runs where its module's identity and
// root are in force already.
type transfer struct {
	conn   *conn
	module *Module
	client Client
	log    *journal
	env    func(string) string
	judge  authority
}

// authority decides about the request once it is known, and knows users and
// groups.
type authority interface {
	wanted() bool // whether requests have to be shown
	admit(*request) error
	lookup(question string) (string, error)
}

// outcome is how a transfer ended.
type outcome struct {
	Code   int
	Totals Totals
}

// run serves the transfer.
func (t *transfer) run(ctx context.Context) outcome {
	guard, err := t.module.loaded()
	if err != nil {
		t.log.linef("module %s: %v", t.module.Name, err)
		return outcome{Code: exitSyntax}
	}
	place, err := walk.OpenModule(t.module.Dir)
	if err != nil {
		t.log.linef("module %s: %v", t.module.Name, err)
		return outcome{Code: exitSyntax}
	}
	defer place.Close()
	if err := t.conn.SetDeadline(time.Now().Add(t.module.handshakeTime())); err != nil {
		return outcome{Code: exitSocket}
	}
	q, secluded, err := readRequest(t.conn.r, t.client.Protocol)
	if err != nil {
		if isTimeout(err) {
			t.log.linef("no arguments from %s in time", t.client.from())
			return outcome{Code: exitTimeout}
		}
		if !errors.Is(err, io.EOF) {
			t.log.linef("arguments from %s: %v", t.client.from(), err)
		}
		return outcome{Code: exitSyntax}
	}
	_ = t.conn.SetDeadline(time.Time{})
	if secluded && t.module.Charset != "" && q.converted() {
		for i, word := range q.words {
			q.words[i] = session.LocalText(t.module.Charset, word)
		}
	}
	q.resolve(t.module.Name, secluded, place, guard.ScopeAt(filter.Place{}))
	return t.serve(ctx, &q, guard, place)
}

// handshakeTime is how long a client may take until its request is known.
func (m *Module) handshakeTime() time.Duration {
	if limit := time.Duration(m.Timeout) * time.Second; limit > 0 && limit < handshakeMax {
		return limit
	}
	return handshakeMax
}

// serve does what the request asks for.
func (t *transfer) serve(ctx context.Context, q *request, guard *filter.Rules, place *walk.Place) outcome {
	m, begun := t.module, time.Now()
	opt, refusal := q.parse(t.module, t.env)
	if refusal == nil {
		refusal = newRefusals(m.Refuse, m.Charset != "").check(q.words, opt)
	}
	m.impose(opt)
	way := "to"
	if opt.Sender {
		way = "on"
	}
	t.log.linef("rsync %s %s from %s", way, q.text, t.client.from())
	if t.judge.wanted() {
		if err := t.judge.admit(q); err != nil && refusal == nil {
			refusal = err
		}
	}
	if refusal == nil {
		refusal = m.forbids(opt)
	}
	talk := newTransferTalk(t.log, m, opt, output.DaemonScene{
		Address: t.client.Address, Host: t.client.Host, User: t.client.User, Module: m.Name, Path: m.Path,
	})
	if !opt.Sender && refusal == nil {
		talk.below = func() string { return destination(place, opt.Args) }
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	host := &session.Host{
		Protocol: t.client.Protocol, Refused: refusal, Module: m.Name, Dir: m.Dir, Munge: m.Munge,
		Guard: guard, Readable: m.Readable, Timeout: m.Timeout, Log: talk, LogsModes: talk.format != nil && talk.format.Has('B'),
		Numeric: m.NumericIDs,
		Agreed:  func() { _ = t.conn.SetDeadline(time.Time{}) },
	}
	_ = t.conn.SetDeadline(time.Now().Add(m.handshakeTime()))
	if m.Converted {
		host.Names = &directory{ask: t.judge.lookup, fail: cancel}
	}
	wire := &parting{conn: t.conn}
	if refusal != nil && t.client.Protocol < exitProtocol {
		wire.pause = oldPause
	}
	server := &session.Server{
		Opt: opt, Words: q.words, In: wire, Out: wire, Getenv: t.env,
		Host: host,
	}
	stats, err := server.Run(ctx)
	code := session.ExitCode(err)
	if stats != nil && (code == 0 || opt.Sender || code == session.ExitPartial) {
		t.log.Line(stats.LogLine())
	}
	totals := talk.sum()
	if stats != nil {
		totals.Sent, totals.Received = stats.Sent, stats.Received
	}
	t.log.event("transfer",
		slog.String("module", m.Name), slog.String("user", t.client.User), slog.String("address", t.client.Address), slog.String("way", talk.way),
		slog.String("request", q.text), slog.Int("code", code), slog.Int("files", totals.Files), slog.Int64("content_bytes", totals.Bytes),
		slog.Int64("sent_bytes", totals.Sent), slog.Int64("received_bytes", totals.Received), slog.Duration("took", time.Since(begun)))
	return outcome{Code: code, Totals: totals}
}

// exitProtocol is the first in which a client answers before the connection ends.
const exitProtocol = 31

// destination is the directory of the module that files arrive in, by its name
// from the module's top.
func destination(place *walk.Place, args []string) string {
	if len(args) == 0 {
		return ""
	}
	name := strings.Trim(path.Clean("/"+args[len(args)-1]), "/")
	root, err := place.Root(name)
	if err != nil {
		name = strings.Trim(path.Dir("/"+name), "/") // it is a file
	} else {
		root.Close()
	}
	return name
}

// sum is what was transferred.
func (t *transferTalk) sum() Totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.totals
}

// unsafe reports why a module cannot be served from where it lies, "" if it can.
func (m *Module) unsafe() string {
	if !m.Munge {
		return ""
	}
	if info, err := os.Stat(munged + "/"); err == nil && info.IsDir() {
		return "Symlink munging is unsafe when a " + munged + " directory exists."
	}
	return ""
}

// opens reports why the module's directory cannot be used.
func (m *Module) opens() error {
	return walkable(m.Dir)
}

func walkable(dir string) error {
	place, err := walk.OpenModule(dir)
	if err != nil {
		return err
	}
	return place.Close()
}

// absolute makes the name of a file absolute; "" stays.
func absolute(name string) string {
	if name == "" || strings.HasPrefix(name, "/") {
		return name
	}
	full, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	return full
}
