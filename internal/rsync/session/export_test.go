package session

import "lockstep/internal/rsync/secure"

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
