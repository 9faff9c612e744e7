package session

import (
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/option"
)

// settle is opt with what only the handshake could decide.
func settle(opt *option.Set, a *agreement) *option.Set {
	s := *opt
	if s.Append == 1 && a.protocol < muxProtocol {
		s.Append = 2 // all that these protocols have
	}
	if a.xfer == checksum.None {
		s.WholeFile = 1
	}
	return &s
}
