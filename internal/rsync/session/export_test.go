package session

import (
	"bufio"
	"strings"

	"lockstep/internal/rsync/secure"
)

// What the tests look at beside the API.
var (
	QuoteValue = quoteValue
	ShellPath  = shellPath
	DaemonPath = daemonPath
	EncodeArgs = encodeArgs
)

func (o *Options) ServerArgs(protocol int) []string {
	return o.set(protocol).ServerArgs(protocol, false)
}

// ListedNames are those of a list that a sender reads.
func ListedNames(list string, from0 bool) (names []string) {
	lines := nameReader{r: bufio.NewReader(strings.NewReader(list)), from0: from0, comments: true}
	for {
		name, err := lines.next()
		if err != nil {
			return names
		}
		names = append(names, name)
	}
}

// Negotiated reads a greeting line and returns what a client whose highest
// protocol is own makes of it.
func Negotiated(line string, own int) (protocol int, digests []string, err error) {
	v, err := parseGreeting(line)
	return v.negotiate(own), v.digests, err
}

// Respond answers a challenge as Connect does, given the daemon's digests.
func Respond(protocol int, peer []string, password, challenge string) (name, response string, err error) {
	d, err := secure.ChooseDigest(protocol, peer)
	if err != nil {
		return "", "", err
	}
	return d.Name, d.Respond(password, challenge), nil
}
