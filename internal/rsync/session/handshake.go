package session

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/sender"
	"lockstep/internal/rsync/wire"
)

// maxNames bounds a list of names from the peer (rsync-session 4.2).
const maxNames = 255

// muxProtocol is the first protocol in which the client's output is framed
// too (rsync-session 5.2).
const muxProtocol = 30

// handshake is one end of the binary handshake of rsync-session 4. A write that
// fails means that the peer has hung up, perhaps after telling why: reading
// goes on and will see.
type handshake struct {
	opt    *option.Set
	server bool
	push   bool // the client sends
	local  bool // both ends are in this process
	daemon bool // greetings have settled the protocol
	env    func(string) string

	r *wire.Reader
	w *wire.Writer

	tell func(line string) // hears what is to be said before there are frames; nil is nobody

	peer      int // the protocol that the peer would speak
	agreement     // protocol is our highest until the versions are exchanged

	sums, methods offer
	sumsOpen      bool // the checksum is negotiated
	methodOpen    bool // the compression is negotiated
}

// shake goes through it, up to multiplexing.
func (h *handshake) shake() error {
	if !h.daemon {
		if err := h.exchangeVersions(); err != nil {
			return err
		}
	}
	if h.tell != nil && h.opt.Debugs(option.DebugProto, 1) {
		h.tell(h.versions())
	}
	if h.protocol < MinProtocol {
		return fatalf(ExitProtocol, "peer speaks protocol %d, at least %d is needed", h.protocol, MinProtocol)
	}
	if err := fits(h.opt, h.protocol, false); err != nil {
		return err
	}
	if err := h.prepare(); err != nil {
		return err
	}
	if h.protocol >= capsProtocol {
		if err := h.flags(); err != nil {
			return err
		}
	}
	if err := h.names(); err != nil {
		return err
	}
	return h.exchangeSeed()
}

// exchangeVersions agrees on the protocol where no greeting did.
func (h *handshake) exchangeVersions() error {
	h.w.Int(int32(h.protocol))
	h.w.Flush()
	peer, err := h.r.Int()
	if err != nil {
		return fmt.Errorf("protocol version: %w", err)
	}
	if peer < peerVersion || peer > peerNewest {
		first := string([]byte{byte(peer), byte(peer >> 8), byte(peer >> 16), byte(peer >> 24)})
		return fmt.Errorf("%w: its first bytes are %q", errUnclean, first)
	}
	h.peer = int(peer)
	h.protocol = min(h.protocol, h.peer)
	return nil
}

// errUnclean is about a peer that says something else than a version.
var errUnclean error = &fatal{ExitProtocol, "protocol version mismatch -- is your shell clean?\n(see the rsync manpage for an explanation)"}

// prepare finds out what there is to negotiate.
func (h *handshake) prepare() error {
	sum, method := "", ""
	if h.opt.WriteBatch != "" || h.opt.OnlyWriteBatch != "" {
		a, _ := checksum.Default(h.protocol)
		sum, method = a.String(), compress.Zlib.String()
	}
	h.sums = newOffer(checksums, h.server, h.env, sum)
	h.methods = newOffer(compressions, h.server, h.env, method)
	var known bool
	var err error
	if h.xfer, h.file, known, err = chosenSums(h.opt.ChecksumChoice); err != nil {
		return err
	}
	if known {
		err = errors.Join(h.sums.allows(h.xfer.String()), h.sums.allows(h.file.String()))
	} else {
		h.xfer, h.file = checksum.Default(h.protocol)
		h.sumsOpen = true
	}
	if err != nil {
		return err
	}
	if h.compress, known, err = chosenMethod(h.opt); err != nil {
		return err
	}
	switch {
	case !known:
		h.compress, h.methodOpen = compress.Zlib, true
	case h.compress != compress.None:
		err = h.methods.allows(h.compress.String())
	}
	if h.opt.HasCompressLevel {
		h.level = h.opt.CompressLevel
	}
	return err
}

// flags has the server tell the compatibility flags. In the spelling of old
// pre-releases they are one plain byte.
func (h *handshake) flags() error {
	if h.server {
		h.compat = serverFlags(h.opt)
		if strings.Contains(h.opt.ClientInfo, "V") {
			h.w.Byte(byte(h.compat | wire.VarintFlistFlags))
		} else {
			h.w.Varint(int32(h.compat))
		}
		return nil
	}
	flags, err := h.r.Varint()
	if err != nil {
		return fmt.Errorf("compatibility flags: %w", err)
	}
	h.compat = wire.Compat(flags)
	if h.compat.Has(wire.IncRecurse) && !h.opt.AllowIncRecurse(!h.push) {
		return fmt.Errorf("the server wants incremental file lists without being offered any: %w", sender.ErrProtocol)
	}
	return nil
}

// letterFlags are the flags that a server sets for the letters of a client
// (rsync-session 3.2, 4.1).
var letterFlags = map[rune]wire.Compat{
	'f': wire.SafeFlist, 'x': wire.AvoidXattrOptim, 'C': wire.ChecksumSeedFix, 'I': wire.InplacePartialDir,
	'v': wire.VarintFlistFlags, 'V': wire.VarintFlistFlags, 'u': wire.ID0Names,
}

// serverFlags are a server's flags for a client with these options.
func serverFlags(opt *option.Set) wire.Compat {
	flags := wire.SymlinkTimes | wire.SymlinkIconv
	for _, letter := range opt.ClientInfo {
		flags |= letterFlags[letter]
	}
	if strings.Contains(opt.ClientInfo, "i") && opt.AllowIncRecurse(!opt.Sender) {
		flags |= wire.IncRecurse
	}
	return flags
}

// negotiates reports whether lists of names are exchanged.
func (h *handshake) negotiates() bool {
	if h.server && !strings.Contains(h.opt.ClientInfo, "v") {
		return false
	}
	return h.compat.Has(wire.VarintFlistFlags)
}

// names negotiates what was left open. Each side sends its lists before it
// reads.
func (h *handshake) names() error {
	if !h.negotiates() {
		return h.implied()
	}
	var err error
	if h.sumsOpen {
		err = h.w.VString(h.sums.text())
	}
	if h.methodOpen {
		err = errors.Join(err, h.w.VString(h.methods.text()))
	}
	if err != nil {
		return err
	}
	h.w.Flush()
	if h.sumsOpen {
		name, err := h.readChoice(&h.sums)
		if err != nil {
			return err
		}
		h.xfer, _ = checksum.Parse(name) // ours
		h.file = h.xfer
	}
	if h.methodOpen {
		name, err := h.readChoice(&h.methods)
		if err != nil {
			return err
		}
		h.compress, _ = compress.Parse(name)
	}
	return nil
}

func (h *handshake) readChoice(o *offer) (string, error) {
	peer, err := h.r.VString(maxNames)
	if err != nil {
		return "", fmt.Errorf("%s names: %w", o.word, err)
	}
	return o.choose(peer)
}

// implied checks what goes without saying where nothing is negotiated.
func (h *handshake) implied() error {
	h.sums.goes, h.methods.goes = h.xfer.String(), h.compress.String()
	var err error
	if h.sumsOpen {
		err = h.sums.accepts(h.xfer.String())
	}
	if err == nil && h.methodOpen {
		err = h.methods.accepts(h.compress.String())
	}
	return err
}

// exchangeSeed has the server tell the checksum seed.
func (h *handshake) exchangeSeed() error {
	if !h.server {
		seed, err := h.r.Int()
		if err != nil {
			return fmt.Errorf("checksum seed: %w", err)
		}
		h.seed = seed
		return nil
	}
	h.seed = newSeed(h.opt)
	h.w.Int(h.seed)
	return h.w.Flush()
}

// newSeed is the checksum seed that a server tells.
func newSeed(opt *option.Set) int32 {
	if opt.ChecksumSeed != 0 {
		return opt.ChecksumSeed
	}
	return int32(time.Now().Unix()) ^ int32(os.Getpid())<<6
}

// fits reports options that a protocol does not have (rsync-session 4.3), as
// rsync says it. Within one program ACLs and xattrs travel at any protocol.
func fits(opt *option.Set, protocol int, local bool) error {
	lacks := func(what string, need int) error {
		return fatalf(ExitProtocol, "%s requires protocol %d or higher (negotiated %d).", what, need, protocol)
	}
	alternate := ""
	several := false
	for _, dest := range []struct {
		name string
		dirs []string
	}{{"--compare-dest", opt.CompareDest}, {"--copy-dest", opt.CopyDest}, {"--link-dest", opt.LinkDest}} {
		if len(dest.dirs) > 0 {
			alternate, several = dest.name, len(dest.dirs) > 1
		}
	}
	switch {
	case opt.ACLs && protocol < aclProtocol && !local:
		return lacks("--acls", aclProtocol)
	case opt.Xattrs > 0 && protocol < aclProtocol && !local:
		return lacks("--xattrs", aclProtocol)
	case opt.Fuzzy > 0 && protocol < fuzzyProtocol:
		return lacks("--fuzzy", fuzzyProtocol)
	case opt.Inplace && alternate != "" && protocol < altDestProtocol:
		return lacks(alternate+" with --inplace", altDestProtocol)
	case several && protocol < altDestProtocol:
		return lacks("Using more than one "+alternate+" option", altDestProtocol)
	case opt.PruneEmptyDirs && protocol < fuzzyProtocol:
		return lacks("--prune-empty-dirs", fuzzyProtocol)
	}
	return nil
}
