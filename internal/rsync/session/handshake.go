package session

import (
	"errors"
	"fmt"
	"strings"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/wire"
)

// maxNames bounds a list of names from the peer (rsync-session 4.2).
const maxNames = 255

// muxProtocol is the first protocol in which the client's output is framed
// too (rsync-session 5.2).
const muxProtocol = 30

// shake does the binary handshake of rsync-session 4, up to multiplexing. A
// write that fails means that the server has hung up, perhaps after telling
// why: reading goes on and will see.
func (s *Session) shake() error {
	if !s.ep.Daemon {
		if err := s.exchangeVersions(); err != nil {
			return err
		}
	}
	p := &s.params
	p.Protocol = s.protocol
	p.Xfer, p.File = checksum.Default(s.protocol)
	if s.opts.Compress == compressAuto {
		p.Compress = compress.Zlib
	}
	if s.protocol >= capsProtocol {
		if err := s.readFlags(); err != nil {
			return err
		}
	}
	seed, err := s.r.Int()
	if err != nil {
		return fmt.Errorf("checksum seed: %w", err)
	}
	p.Seed = seed
	s.r.StartMux(s.onMessage)
	if s.protocol >= muxProtocol {
		s.w.StartMux()
	}
	return s.w.Err()
}

// exchangeVersions agrees on the protocol with a server that a remote shell
// started.
func (s *Session) exchangeVersions() error {
	own := s.ep.protocol()
	s.w.Int(int32(own))
	s.w.Flush()
	peer, err := s.r.Int()
	if err != nil {
		return fmt.Errorf("protocol version: %w", err)
	}
	if peer < peerVersion || peer > peerNewest {
		first := string([]byte{byte(peer), byte(peer >> 8), byte(peer >> 16), byte(peer >> 24)})
		return fmt.Errorf("the first bytes from the server are %q, no protocol version: "+
			"does a login script on the other host print something? %w", first, sender.ErrProtocol)
	}
	s.protocol = min(own, int(peer))
	if s.protocol < MinProtocol {
		return refuse(s.stage, ExitProtocol, fmt.Errorf("the server speaks protocol %d, at least %d is needed", peer, MinProtocol))
	}
	if err := s.opts.fits(s.protocol); err != nil {
		return refuse(s.stage, ExitProtocol, err)
	}
	return nil
}

// readFlags reads the compatibility flags, and exchanges the lists of names if
// the flags say so.
func (s *Session) readFlags() error {
	flags, err := s.r.Varint()
	if err != nil {
		return fmt.Errorf("compatibility flags: %w", err)
	}
	s.params.Compat = wire.Compat(flags)
	if s.params.Compat.Has(wire.IncRecurse) && !s.opts.incremental() {
		return fmt.Errorf("the server wants incremental file lists without being offered any: %w", sender.ErrProtocol)
	}
	if s.params.Compat.Has(wire.VarintFlistFlags) {
		return s.exchangeNames()
	}
	return nil
}

// exchangeNames negotiates the checksum, and the compression if that was left
// open. Each side sends its lists before it reads.
func (s *Session) exchangeNames() error {
	auto := s.opts.Compress == compressAuto
	err := s.w.VString(checksum.Names())
	if auto {
		err = errors.Join(err, s.w.VString(compress.Names()))
	}
	if err != nil {
		return err
	}
	s.w.Flush()
	names, err := s.r.VString(maxNames)
	if err != nil {
		return fmt.Errorf("checksum names: %w", err)
	}
	algo, err := checksum.Negotiate(checksum.Names(), names)
	if err != nil {
		return refuse(s.stage, ExitUnsupported, err)
	}
	s.params.Xfer, s.params.File = algo, algo
	if !auto {
		return nil
	}
	if names, err = s.r.VString(maxNames); err != nil {
		return fmt.Errorf("compression names: %w", err)
	}
	if s.params.Compress, err = compress.Negotiate(compress.Names(), names); err != nil {
		return refuse(s.stage, ExitUnsupported, err)
	}
	return nil
}

// filterRules are the rules that are due at the beginning of the transfer; nil
// and false if none are.
func (s *Session) filterRules() (rules []string, due bool, err error) {
	if !s.opts.filtersDue(s.protocol) {
		return nil, false, nil
	}
	if s.opts.Filters != nil {
		if rules, err = s.opts.Filters(s.protocol); err != nil {
			return nil, true, fmt.Errorf("filter rules: %w", err)
		}
	}
	for _, rule := range rules {
		if len(rule) == 0 || len(rule) > maxRule || strings.Contains(rule, "\x00") {
			return nil, true, fmt.Errorf("filter rule %q cannot be sent", clip(rule))
		}
	}
	return rules, true, nil
}

// maxRule is the longest filter rule in bytes (rsync-session 4.4).
const maxRule = 5119
