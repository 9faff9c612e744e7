package session

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"

	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// Server is the other end of a command of rsync: what a remote shell starts
// with --server, and what a daemon runs once it has read its arguments.
type Server struct {
	Opt    *option.Set         // of Words; replaced if the rest of the words comes over the connection
	Words  []string            // the words after the program's name
	In     io.Reader           // from the client
	Out    io.Writer           // to it
	Stderr io.Writer           // for errors, where they don't go to the client
	Getenv func(string) string // nil is os.Getenv
	Host   *Host               // of a daemon; nil for a remote shell

	// Log gives the log file of a remote shell's server, nil without one. It is
	// called once all words are known.
	Log func(opt *option.Set) output.Talk

	// Ready is called once all words are known, before any file is looked at;
	// its error ends the session. May be nil.
	Ready func(opt *option.Set) error
}

// Run does it. The error is nil or an *Error, about which everything has been
// said.
func (s *Server) Run(ctx context.Context) (*output.Stats, error) {
	t := newTransport(newStdio(s.In, s.Out), nil)
	defer t.closed()
	defer t.end(errClosed)
	talk := &serverTalk{opt: s.Opt, stderr: s.Stderr}
	if s.Host != nil {
		talk.log = s.Host.Log
	}
	e := &end{
		server: true, opt: s.Opt, host: s.Host, r: wire.NewReader(t), w: wire.NewWriter(t), link: t,
		talk: &witness{Talk: talk}, role: "server",
	}
	defer e.endWith(ctx)()
	stats, err := s.serve(ctx, e, t, talk)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return stats, ended(e.giveUp(err), transfer, err)
	}
	return stats, ended(e.verdict(), goodbye, nil)
}

// serve takes the session to its goodbye.
func (s *Server) serve(ctx context.Context, e *end, t *transport, talk *serverTalk) (*output.Stats, error) {
	getenv := s.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	if s.Opt.SecludedArgs && s.Host == nil {
		if err := s.readSecluded(e.r, getenv); err != nil {
			return nil, err
		}
		e.opt, talk.opt = s.Opt, s.Opt
	}
	if s.Log != nil && s.Host == nil {
		talk.log = s.Log(e.opt)
	}
	e.push = !e.opt.Sender
	e.op = operator{opt: e.opt, env: getenv}
	if s.Ready != nil {
		if err := s.Ready(e.opt); err != nil {
			return nil, err
		}
	}
	var err error
	if e.opt.FilesFrom != "" && e.opt.FilesFrom != "-" && s.Host == nil {
		if e.names, err = e.openNames(); err != nil {
			return nil, err
		}
	}
	e.role = "Receiver"
	if e.sends() {
		e.role = "sender"
	}
	if e.charset, err = iconvOf(e.opt, true, getenv); err != nil {
		return nil, err
	}
	talk.charset = e.charset
	t.throttle = newBucket(e.opt.BwLimit)
	e.pulse = newPulse(t, e.w, e.opt.Timeout)
	e.pulse.slow = e.sends()
	defer e.pulse.stop()
	defer e.pulse.limitSilence()()
	h := handshake{
		opt: e.opt, server: true, push: e.push, daemon: s.Host != nil, env: getenv, r: e.r, w: e.w,
		agreement: agreement{protocol: cmp.Or(e.opt.Protocol, MaxProtocol)},
		tell:      func(line string) { talk.Text(wire.CodeError, line) },
	}
	if s.Host != nil {
		h.protocol = s.Host.Protocol
	}
	if err := h.shake(); err != nil {
		return nil, err
	}
	if s.Host != nil && s.Host.Agreed != nil {
		s.Host.Agreed()
	}
	e.agreement = h.agreement
	e.opt = settle(e.opt, &e.agreement)
	if s.Host != nil && s.Host.Refused != nil && e.push && e.opt.FilesFrom != "" && e.opt.FilesFrom != "-" && e.protocol < rawNames {
		e.w.Byte(0) // the client waits for the names of the list, which is empty
	}
	e.mux()
	talk.speak(e.w, e.protocol, s.Host != nil)
	if s.Host != nil {
		if s.Host.Timeout > 0 && e.protocol >= timeoutProtocol {
			e.w.Message(wire.CodeIOTimeout, binary.LittleEndian.AppendUint32(nil, uint32(s.Host.Timeout)))
		}
		if s.Host.Refused != nil {
			return nil, s.Host.Refused
		}
	}
	if err := e.beginServer(); err != nil {
		return nil, err
	}
	if e.sends() {
		go e.pulse.keepAlive()
	}
	return e.run(ctx, s.paths(e.opt))
}

// timeoutProtocol is the first in which a daemon tells its timeout.
const timeoutProtocol = 31

// paths are the operands of a server, behind the directory that all of them
// begin at.
func (s *Server) paths(opt *option.Set) []string {
	args := opt.Args
	if len(args) == 0 {
		return nil
	}
	base := args[0]
	args = args[1:]
	if base == "." || base == "" || s.Host != nil {
		return args
	}
	joined := make([]string, len(args))
	for i, arg := range args {
		joined[i] = arg
		if !strings.HasPrefix(arg, "/") {
			joined[i] = base + "/" + arg
		}
	}
	return joined
}

// Bounds of the second round of a server's words (rsync-session 2.5).
const maxSecluded = 64 << 20 // bytes, all of them

// readSecluded reads the words that a client does not want to show to a shell,
// and takes everything together. Names among the paths may have wildcards,
// since no shell has seen them.
func (s *Server) readSecluded(r *wire.Reader, env func(string) string) error {
	words, err := readWords(r)
	if err != nil {
		return err
	}
	set, err := iconvOf(s.Opt, true, env)
	if err != nil {
		return err
	}
	for i := range words {
		words[i] = set.textFromWire(words[i])
	}
	if len(words) == 0 {
		return fmt.Errorf("no secluded arguments: %w", wire.ErrStream)
	}
	opt, err := option.Parse(option.Input{Words: append(leading(s.Words), words[1:]...), Getenv: env})
	if err != nil {
		return err
	}
	if opt.Sender && len(opt.Args) > 1 {
		opt.Args = append(opt.Args[:1:1], expand(opt.Args[1:])...)
	}
	s.Opt = opt
	return nil
}

// leading are the words of the first round as far as they count: up to the
// bundle of letters, and --iconv.
func leading(words []string) []string {
	var kept []string
	for _, word := range words {
		if word == "--server" || word == "--sender" || strings.HasPrefix(word, "--iconv=") ||
			strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") {
			kept = append(kept, word)
		}
	}
	return kept
}

// readWords reads words that end in NUL, up to an empty one.
func readWords(r *wire.Reader) (words []string, err error) {
	var word []byte
	for total := 0; total <= maxSecluded; total++ {
		b, err := r.Byte()
		switch {
		case err != nil:
			return nil, fmt.Errorf("secluded arguments: %w", err)
		case b != 0:
			word = append(word, b)
		case len(word) == 0:
			return words, nil
		case len(words) == maxArgs:
			return nil, fmt.Errorf("more than %d secluded arguments: %w", maxArgs, wire.ErrStream)
		default:
			words = append(words, string(word))
			word = word[:0]
		}
	}
	return nil, fmt.Errorf("more than %d bytes of secluded arguments: %w", maxSecluded, wire.ErrStream)
}
