package session

import (
	"cmp"
	"fmt"

	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// nstrLists is the level of --debug=nstr that shows what there was to choose from.
const nstrLists = 2

// account tells what a client's handshake has come to, for --debug=nstr.
func (h *handshake) account(talk output.Talk) {
	level := h.opt.Debug[option.DebugNstr]
	if level == 0 || talk == nil {
		return
	}
	say := func(format string, args ...any) { talk.Text(wire.CodeInfo, fmt.Sprintf(format, args...)) }
	open := []*offer{}
	if h.sumsOpen {
		open = append(open, &h.sums)
	}
	if h.methodOpen {
		open = append(open, &h.methods)
	}
	if level >= nstrLists {
		for _, o := range open {
			say("Client %s list (on client): %s", o.word, o.text())
		}
		for _, o := range open {
			say("Server %s list (on client): %s", o.word, cmp.Or(o.peer, o.goes))
		}
	}
	way := func(o *offer) string {
		if o.peer != "" {
			return "negotiated " + o.word
		}
		return o.word
	}
	if h.sumsOpen {
		say("Client %s: %s", way(&h.sums), h.xfer)
	} else {
		say("Client %s: %s", h.sums.word, h.opt.ChecksumChoice)
	}
	if h.opt.Compress {
		name := h.compress.String()
		if !h.methodOpen {
			name = h.opt.CompressChoice
		}
		say("Client %s: %s (level %d)", way(&h.methods), name, h.compress.Level(h.level))
	}
}

// versions tells what the versions have come to, for --debug=PROTO.
func (h *handshake) versions() string {
	who := "Client"
	if h.server {
		who = "Server"
	}
	return fmt.Sprintf("(%s) Protocol versions: remote=%d, negotiated=%d", who, cmp.Or(h.peer, h.protocol), h.protocol)
}
