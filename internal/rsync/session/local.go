package session

import (
	"cmp"
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// local copies between two places of this machine: client and server in one
// process, joined by a pipe in memory (rsync-transfer 8).
func (r *errand) local(ctx context.Context) (*output.Stats, error) {
	r.tellCommand("", "", "", r.ops.Dest, []string{".", r.ops.Dest})
	ours, theirs := newPipe()
	ours.throttle, theirs.throttle = newBucket(r.Opt.BwLimit), newBucket(r.Opt.BwLimit)
	agreed, err := r.agreeLocally()
	if err != nil {
		return nil, r.refuse(err)
	}
	opt := settle(r.Opt, &agreed)
	client := &end{agreement: agreed, opt: opt, push: true, local: true, link: ours, role: "sender"}
	client.r, client.w = wire.NewReader(ours), wire.NewWriter(ours)
	r.fill(client)
	serving, err := r.otherHalf(opt)
	if err != nil {
		return nil, r.otherRefuses(err)
	}
	if err = client.oldRules(); err == nil {
		err = r.ready()
	}
	if err != nil {
		return nil, r.refuse(err)
	}
	talk := &localTalk{Talk: r.talk, frames: serverTalk{opt: serving}}
	server := &end{agreement: agreed, opt: serving, server: true, push: true, local: true, link: theirs, role: "Receiver", other: client}
	server.r, server.w = wire.NewReader(theirs), wire.NewWriter(theirs)
	r.fill(server)
	server.talk = &witness{Talk: talk}
	if server.charset, err = iconvOf(opt, true, r.Getenv); err != nil {
		return nil, r.otherRefuses(err)
	}
	talk.frames.charset = server.charset
	if client.batch, err = r.record(client); err != nil {
		return r.finish(client, nil, err, 0)
	}
	client.mux()
	server.mux()
	talk.frames.speak(server.w, agreed.protocol, true)

	defer server.endWith(ctx)()
	defer client.endWith(ctx)()
	var serve sync.WaitGroup
	code := 0
	serve.Go(func() {
		defer theirs.hangUp()
		err := server.ownRules()
		if err == nil {
			_, err = server.run(ctx, []string{r.ops.Dest})
		}
		switch {
		case err == nil:
			code = server.verdict()
		case ctx.Err() == nil && !errors.Is(err, errClosed): // else the client says so
			code = server.giveUp(err)
		}
	})
	stats, err := client.run(ctx, r.ops.Sources)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		if hungUp(err) {
			if serve.Wait(); code != 0 {
				err = client.left(code)
			}
		}
		stats, err = r.finish(client, stats, err, 0)
		ours.end(errClosed)
		serve.Wait()
		return stats, err
	}
	serve.Wait()
	return r.finish(client, stats, nil, code)
}

// otherRefuses says why the other half ends before there is a session, as it
// would itself, and what the client makes of that.
func (r *errand) otherRefuses(err error) error {
	_ = r.refuseAs("Receiver", err)
	return r.refuse(fatalf(ExitStream, "%s", strings.Join((&end{role: r.role}).words(io.EOF), "\n")))
}

// ownRules fails for the rules of -C in an old protocol: a server that is told
// of them by a client adds them to its own, that of a local copy cannot.
func (e *end) ownRules() error {
	if e.opt.CVSExclude && e.protocol < sidedProtocol {
		return tooModern(filter.ErrTooModern)
	}
	return nil
}

// left is why the client ends when its other half ended with a code and said
// why: an old protocol has no way to tell the code.
func (e *end) left(code int) error {
	if e.protocol < exitProtocol {
		return io.ErrUnexpectedEOF
	}
	return exitError{code}
}

// hungUp reports whether err is about the other half having gone.
func hungUp(err error) bool {
	var link *linkError
	return errors.As(err, &link) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// otherHalf is what the receiving half of a local copy goes by: the same, but
// for what each half has of its own, and for the words of -M.
func (r *errand) otherHalf(opt *option.Set) (*option.Set, error) {
	s := *opt
	s.Server, s.MungeLinks, s.Chmod = true, false, nil
	if len(opt.Remote) == 0 {
		return &s, nil
	}
	parse := func(words ...string) (*option.Set, error) {
		return option.Parse(option.Input{Words: append(append([]string{"--server"}, words...), ".", "."), Getenv: r.Getenv})
	}
	without, err := parse()
	if err != nil {
		return nil, err
	}
	with, err := parse(opt.Remote...)
	if err != nil {
		return nil, err
	}
	from, base, to := reflect.ValueOf(with).Elem(), reflect.ValueOf(without).Elem(), reflect.ValueOf(&s).Elem()
	for i := range to.NumField() {
		if to.Type().Field(i).IsExported() && !reflect.DeepEqual(from.Field(i).Interface(), base.Field(i).Interface()) {
			to.Field(i).Set(from.Field(i))
		}
	}
	return &s, nil
}

// agreeLocally is what both halves of a local copy come to.
func (r *errand) agreeLocally() (agreement, error) {
	h := handshake{opt: r.Opt, local: true, env: r.Getenv}
	h.protocol = cmp.Or(r.Opt.Protocol, MaxProtocol)
	s := handshake{opt: r.Opt, local: true, env: r.Getenv, server: true}
	s.protocol = h.protocol
	switch {
	case h.protocol < MinProtocol, h.protocol > peerNewest:
		return agreement{}, errUnclean
	case h.protocol > MaxProtocol:
		return agreement{}, fatalf(ExitProtocol, "--protocol must be no more than %d on the Client.", MaxProtocol)
	}
	if err := fits(r.Opt, h.protocol, true); err != nil {
		return agreement{}, err
	}
	for _, h := range []*handshake{&h, &s} {
		if err := h.prepare(); err != nil {
			return agreement{}, err
		}
	}
	if h.protocol >= capsProtocol {
		h.compat = localFlags
		if r.Opt.AllowIncRecurse(true) {
			h.compat |= wire.IncRecurse
		}
	}
	err := h.agreeWith(&s)
	h.seed = newSeed(r.Opt)
	if err == nil {
		if r.Opt.Debugs(option.DebugProto, 1) {
			r.talk.Text(wire.CodeError, s.versions())
			r.talk.Text(wire.CodeInfo, h.versions())
		}
		h.account(r.talk)
	}
	return h.agreement, err
}

// agreeWith negotiates with the other half of a local copy.
func (h *handshake) agreeWith(server *handshake) error {
	if !h.compat.Has(wire.VarintFlistFlags) {
		if err := h.implied(); err != nil {
			return err
		}
		return server.implied()
	}
	if h.sumsOpen {
		name, err := h.sums.choose(server.sums.text())
		if err != nil {
			return err
		}
		h.xfer, _ = checksum.Parse(name) // ours
		h.file = h.xfer
	}
	if h.methodOpen {
		name, err := h.methods.choose(server.methods.text())
		if err != nil {
			return err
		}
		h.compress, _ = compress.Parse(name)
	}
	return nil
}

// localFlags are the flags that two of us have.
const localFlags = wire.SymlinkTimes | wire.SymlinkIconv | wire.SafeFlist | wire.AvoidXattrOptim | wire.ChecksumSeedFix |
	wire.InplacePartialDir | wire.VarintFlistFlags | wire.ID0Names

// localTalk is where the server of a local copy speaks: errors go straight to
// the user, but for old protocols; the rest through the stream, in order with
// what the client says of items.
type localTalk struct {
	output.Talk
	frames serverTalk
}

func (t *localTalk) Text(code wire.Code, text string) {
	if code == wire.CodeInfo || !code.IsText() || t.frames.protocol < deletedProtocol {
		t.frames.Text(code, text)
		return
	}
	t.Talk.Text(code, text)
}

func (t *localTalk) Item(*output.Event, bool) {}

func (t *localTalk) Deleted(name tree.Path, m tree.Meta) { t.frames.Deleted(name, m) }

func (t *localTalk) Progress(output.Progress, bool) {}
