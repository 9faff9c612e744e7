package session

import (
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// agreement is what the two ends of a session have come to in the handshake.
type agreement struct {
	protocol   int
	compat     wire.Compat
	seed       int32
	xfer, file checksum.Algo // for data; for the digests of -c
	compress   compress.Method
	level      int // as asked for
}

// subject is one thing that is agreed on by lists of names (rsync-session 4.2).
type subject struct {
	word      string // in messages
	env       string // the variable that replaces our list
	names     string // our list, best first
	canonical func(name string) (string, error)
}

var (
	checksums = subject{"checksum", "RSYNC_CHECKSUM_LIST", checksum.Names(), func(name string) (string, error) {
		a, err := checksum.Parse(name)
		return a.String(), err
	}}
	compressions = subject{"compress", "RSYNC_COMPRESS_LIST", compress.Names(), func(name string) (string, error) {
		m, err := compress.Parse(name)
		return m.String(), err
	}}
)

// invalid is sent in place of a list that the user left without a valid name.
const invalid = "INVALID"

// offer is what one end has to say about a subject.
type offer struct {
	subject
	server  bool
	list    []string // canonical names, best first
	limited bool     // the environment says so
	peer    string   // the list that the peer has sent
	goes    string   // without saying, where none was
}

// newOffer makes an end's offer. A batch file has no room for names, so who
// writes one keeps to forced, the only name that its reader will assume.
func newOffer(s subject, server bool, env func(string) string, forced string) offer {
	o := offer{subject: s, server: server}
	if forced != "" {
		o.list, o.limited = []string{forced}, server
		return o
	}
	value := env(s.env)
	if client, own, split := strings.Cut(value, "&"); split {
		value = client
		if server {
			value = own
		}
	}
	o.limited = strings.TrimSpace(value) != ""
	if !o.limited {
		o.list = strings.Fields(s.names)
		if server {
			o.list = append(o.list, "none")
		}
		return o
	}
	for _, word := range strings.Fields(value) {
		if name, err := s.canonical(word); err == nil && !slices.Contains(o.list, name) {
			o.list = append(o.list, name)
		}
	}
	return o
}

// text is the list as it is sent.
func (o *offer) text() string {
	if len(o.list) == 0 {
		return invalid
	}
	return strings.Join(o.list, " ")
}

// choose picks from the peer's list. A client goes by its own order. A server
// takes the first of the client's names that it knows: whatever the client's
// order, that is what the client comes to.
func (o *offer) choose(peer string) (string, error) {
	o.peer = peer
	var theirs []string
	for _, word := range strings.Fields(peer) {
		if name, err := o.canonical(word); err == nil {
			theirs = append(theirs, name)
		}
	}
	first, second := o.list, theirs
	if o.server {
		first, second = theirs, o.list
	}
	for _, name := range first {
		if slices.Contains(second, name) {
			return name, nil
		}
	}
	client, server := o.text(), tree.Quote(peer)
	if o.server {
		client, server = server, client
	}
	return "", unsupported("Failed to negotiate a %s choice.\nClient list: %s\nServer list: %s", o.word, client, server)
}

// accepts fails if the environment leaves out a name that needs no
// negotiation.
func (o *offer) accepts(name string) error {
	if !o.limited || slices.Contains(o.list, name) {
		return nil
	}
	client, server := name, o.text()
	if !o.server {
		client, server = server, client
	}
	return unsupported("Failed to negotiate a %s choice.\nClient list: %s\nServer list: %s", o.word, client, server)
}

// allows fails at a server whose environment leaves out what the client chose.
func (o *offer) allows(name string) error {
	if !o.server || !o.limited || slices.Contains(o.list, name) {
		return nil
	}
	word := o.word
	return unsupported("Your --%s-choice value (%s) was refused by the server.", word, name)
}

func unsupported(format string, args ...any) error {
	return &fatal{code: ExitUnsupported, text: fmt.Sprintf(format, args...)}
}

// chosenSums is an explicit --checksum-choice, known false if there is none.
func chosenSums(choice string) (xfer, file checksum.Algo, known bool, err error) {
	first, second, two := strings.Cut(choice, ",")
	if !two {
		second = first
	}
	auto := func(s string) bool { return s == "" || strings.EqualFold(s, compressAuto) }
	if auto(first) && auto(second) {
		return 0, 0, false, nil
	}
	if xfer, err = checksum.Parse(first); err == nil {
		file, err = checksum.Parse(second)
	}
	if err != nil {
		name := first
		if _, bad := checksum.Parse(first); bad == nil {
			name = second
		}
		return 0, 0, false, unsupported("unknown checksum name: %s", name)
	}
	return xfer, file, true, nil
}

// chosenMethod is an explicit way to compress, known false if it is left to
// negotiation.
func chosenMethod(opt *option.Set) (method compress.Method, known bool, err error) {
	switch {
	case !opt.Compress:
		return compress.None, true, nil
	case opt.CompressChoice == "" || strings.EqualFold(opt.CompressChoice, compressAuto):
		return compress.None, false, nil
	}
	method, err = compress.Parse(opt.CompressChoice)
	if err != nil {
		return compress.None, false, unsupported("unknown compress name: %s", opt.CompressChoice)
	}
	return method, true, nil
}
