package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/receiver"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/wire"
)

// link is one end of a connection.
type link interface {
	interrupt()      // makes Read fail, now and until resume
	resume()         //
	end(cause error) // closes it at once
}

// end is one end of a session past the handshake. It runs our half of the
// transfer and hears what the peer says beside its data.
type end struct {
	agreement
	opt    *option.Set
	server bool
	push   bool // the client sends
	local  bool // the other end is in this process
	daemon bool // the client speaks to a daemon

	r       *wire.Reader
	w       *wire.Writer
	link    link
	pulse   *pulse // nil in a local copy
	talk    *witness
	op      operator
	charset *charset // of names here; nil if they are not converted
	rules   *filter.Rules
	names   io.ReadCloser // the list of --files-from, if it is here and open already
	host    *Host

	succeeded sender.Succeeded // hears what arrived, if we send
	unsent    atomic.Int64     // bytes that the other half of a local copy would have sent for that
	notes     *dest.Notes      // hear what does not come, if we receive
	lists     *flist.Lists
	ioError   atomic.Int32
	listed    int64 // raw bytes of the lists that decided about the destination
	other     *end  // of a local copy
	role      string
	farewell  atomic.Bool     // the transfer is done, only goodbyes follow
	batch     *batchWriter    // records the session; nil usually
	reading   *receiver.Batch // the other end is a batch file
	wanted    *wanted         // what a client that receives has asked for
	arrived   []string        // names in the last list, for --debug
	mapped    []string        // ids that it brought, for the same
	updating  bool            // the lists that decide about the destination are there
}

// sends reports whether this end has the source files.
func (e *end) sends() bool { return e.push != e.server }

// onMessage handles what the peer says beside its data (rsync-session 5.4). It
// runs in whatever goroutine reads.
func (e *end) onMessage(code wire.Code, payload []byte) error {
	switch {
	case code == wire.CodeErrorExit:
		return e.peerExits(payload)
	case code == wire.CodeNoop:
		return nil
	case e.server:
		return e.fromClient(code, payload)
	case code.IsText():
		e.talk.Text(code, e.charset.textFromWire(strings.TrimSuffix(string(payload), "\n")))
		return nil
	case code == wire.CodeIOTimeout:
		if e.pulse != nil {
			e.pulse.adoptTimeout(number(payload))
		}
		return nil
	case code == wire.CodeDeleted && e.sends():
		name, dir := strings.CutSuffix(e.charset.textFromWire(string(payload)), "\x00")
		m := tree.Meta{Kind: tree.File}
		if dir {
			m.Kind = tree.Dir
		}
		e.talk.Deleted(tree.Path(name), m)
		return nil
	}
	return e.fromClient(code, payload)
}

// fromClient handles the messages that either end may send.
func (e *end) fromClient(code wire.Code, payload []byte) error {
	switch {
	case code == wire.CodeSuccess && e.sends():
		e.succeeded.Put(number(payload), tree.Inode{})
		return nil
	case code == wire.CodeIOError && !e.sends():
		e.sourceTrouble(number(payload))
		return nil
	case code == wire.CodeNoSend && !e.sends():
		index := number(payload)
		if e.lists != nil {
			if _, err := e.lists.Find(index); err != nil {
				return fmt.Errorf("message %v: %w", code, err)
			}
			e.notes.Put(dest.Note{Kind: dest.NotSent, Index: index})
		}
		return nil
	case e.server && code.IsText():
		return nil
	}
	return fmt.Errorf("message %v from the peer: %w", code, sender.ErrProtocol)
}

// successSize is how many bytes a message about a file that arrived has between
// two processes of one machine: header, index, device and inode.
const successSize = 4 + 4 + 8 + 8

// delivered hears from the other half of a local copy, without a message.
func (e *end) delivered(index int32, at tree.Inode) {
	e.unsent.Add(successSize)
	e.succeeded.Put(index, at)
}

func number(payload []byte) int32 { return int32(binary.LittleEndian.Uint32(payload)) }

// ioBits are the io_error bits that a peer may set.
const ioBits = 7

// sourceTrouble notes that the sender could not read everything.
func (e *end) sourceTrouble(bits int32) {
	bits &= ioBits
	e.ioError.Or(bits)
	if e.notes != nil {
		e.notes.Ail(bits)
	}
}

// peerExits answers the peer's fatal end, for which it waits before it closes
// (rsync-session 5.7). An empty message is itself an answer.
func (e *end) peerExits(payload []byte) error {
	if len(payload) == 0 {
		return exitError{}
	}
	answer := []byte(nil)
	if !e.sends() && e.lists != nil {
		answer = payload
	}
	if e.protocol >= exitProtocol {
		e.w.Message(wire.CodeErrorExit, answer)
	}
	code := int(number(payload))
	if code < 1 || code > 255 {
		code = ExitStream
	}
	return exitError{code}
}

// exitProtocol is the first in which ERROR_EXIT passes between hosts.
const exitProtocol = 31

// mux starts frames where the session has them (rsync-session 5.2). Bytes count
// from here on.
func (e *end) mux() {
	if e.readsFrames() {
		e.r.StartMux(e.onMessage)
	}
	if e.writesFrames() {
		e.w.StartMux()
	}
	e.r.Recount()
	e.w.Recount()
}

// clientFrames reports whether what the client writes is framed.
func (e *end) clientFrames() bool {
	return e.protocol >= muxProtocol || !e.push && (e.opt.RemoveSourceFiles || e.opt.RemoveSentFiles)
}

func (e *end) readsFrames() bool  { return !e.server || e.clientFrames() }
func (e *end) writesFrames() bool { return e.server || e.clientFrames() }

// beginClient sends what a client sends first: its filter rules.
func (e *end) beginClient() error {
	if !filtersDue(e.opt, e.push, e.protocol) {
		return e.oldRules()
	}
	var texts []string
	var err error
	if e.push {
		texts, err = e.rules.Wire(e.protocol, deletes(e.opt) || e.opt.PruneEmptyDirs, e.opt.DeleteExcluded)
	} else {
		texts, err = e.rules.WirePull(e.protocol, e.opt.DeleteExcluded)
	}
	if err != nil {
		return tooModern(err)
	}
	return writeRules(e.w, texts)
}

// oldRules fails for rules that an old peer could not be told, though they are
// not sent: so does rsync.
func (e *end) oldRules() error {
	if e.protocol >= perishProtocol {
		return nil
	}
	_, err := e.rules.Wire(e.protocol, true, e.opt.DeleteExcluded)
	return tooModern(err)
}

// beginServer reads what a client sends first.
func (e *end) beginServer() error {
	b := e.op.builder()
	if filtersDue(e.opt, e.push, e.protocol) {
		if err := readRules(e.r, e.protocol, b); err != nil {
			return err
		}
	}
	if e.opt.CVSExclude && !e.sends() && e.protocol < sidedProtocol {
		if err := b.Filter(":C"); err != nil { // which such a client cannot send
			return err
		}
	}
	rules, err := b.Rules(filter.Implied{CVS: e.opt.CVSExclude && e.sends()})
	e.rules = rules
	return ruleError(err, option.Filter{})
}

func tooModern(err error) error {
	if errors.Is(err, filter.ErrTooModern) {
		return &fatal{ExitProtocol, "filter rules are too modern for remote rsync."}
	}
	return err
}

// run does our half of the transfer. args are the source arguments, or the
// destination.
func (e *end) run(ctx context.Context, args []string) (*output.Stats, error) {
	e.batch.begin(e)
	if e.sends() {
		return e.send(ctx, args)
	}
	arg := ""
	if len(args) > 0 {
		arg = args[0]
	}
	return e.receive(ctx, arg)
}
