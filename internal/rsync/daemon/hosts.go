package daemon

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Names of peers whose name is not known.
const (
	unknownName      = "UNKNOWN"      // it has none, or one that leads elsewhere
	undeterminedName = "UNDETERMINED" // nobody asked
)

// lookupTime bounds the wait for a name server.
const lookupTime = 5 * time.Second

// resolver asks name servers; *net.Resolver is one.
type resolver interface {
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// peer is who is at the other end. Its name is looked up when it is asked for.
type peer struct {
	addr  netip.Addr // unmapped; the zero value is an unknown one
	names resolver

	once   sync.Once
	name   string
	failed bool // the name servers did not answer
}

// address is the peer's address as logs show it.
func (p *peer) address() string {
	if !p.addr.IsValid() {
		return "0.0.0.0"
	}
	return p.addr.String()
}

// host is the peer's name if it may be looked up.
func (p *peer) host(lookup bool) string {
	if !lookup {
		return undeterminedName
	}
	p.once.Do(func() { p.name = p.reverse() })
	return p.name
}

// reverse is the name of an address, if the name leads back to it.
func (p *peer) reverse() string {
	if !p.addr.IsValid() {
		return unknownName
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	names, err := p.names.LookupAddr(ctx, p.addr.WithZone("").String())
	if err != nil || len(names) == 0 {
		var dns *net.DNSError
		p.failed = err != nil && !(errors.As(err, &dns) && dns.IsNotFound)
		return unknownName
	}
	name := strings.TrimSuffix(names[0], ".")
	if !hostName(name) {
		return unknownName
	}
	addrs, err := p.names.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return unknownName
	}
	for _, a := range addrs {
		if a.Unmap().WithZone("") == p.addr.WithZone("") {
			return name
		}
	}
	return unknownName
}

// hostName reports whether a name has only what names of hosts have.
func hostName(name string) bool {
	for _, c := range []byte(name) {
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return name != "" && len(name) < 256 && !strings.HasPrefix(name, "-")
}

// verdict is what a list says about a peer.
type verdict uint8

const (
	noMatch verdict = iota
	match
	undecided // a token could not be evaluated
)

// access is who may use a module (rsync-session 2.7).
type access struct {
	allow, deny    string
	reverse        bool // names of peers count
	forward        bool // names in the lists are looked up
	warn           func(text string)
	emptyDeniesAll bool // of the proxies: nobody is allowed unless named
}

// admits decides about a peer.
func (a *access) admits(p *peer) bool {
	if a.emptyDeniesAll && strings.TrimSpace(a.allow) == "" {
		return false
	}
	if a.allow != "" {
		if a.matches(a.allow, p) == match {
			return true
		}
		if a.deny == "" {
			return false
		}
	}
	return a.deny == "" || a.matches(a.deny, p) == noMatch
}

// matches looks a peer up in a list. undecided is told only if nothing matches.
func (a *access) matches(list string, p *peer) verdict {
	result := noMatch
	for _, token := range tokens(list) {
		switch a.token(token, p) {
		case match:
			return match
		case undecided:
			result = undecided
		}
	}
	return result
}

// tokens are the parts of a list of hosts.
func tokens(list string) []string {
	return strings.FieldsFunc(strings.ToLower(list), func(r rune) bool { return strings.ContainsRune(" ,\t\r\n", r) })
}

// faultOf is what is wrong with a part of a list of hosts, "" if nothing is.
func faultOf(token string) string {
	if strings.HasPrefix(token, "@") {
		return "a netgroup cannot be looked up"
	}
	text, mask, masked := strings.Cut(token, "/")
	if !masked {
		return ""
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return "it is no address with a mask"
	}
	if _, ok := maskOf(mask, addr.BitLen()); !ok {
		return "the mask is malformed"
	}
	return ""
}

func (a *access) token(token string, p *peer) verdict {
	if group, ok := strings.CutPrefix(token, "@"); ok {
		a.warn("netgroup @" + group + " cannot be looked up here")
		return undecided
	}
	byName := noMatch
	if strings.Trim(token, "0123456789./:*") != "" || strings.ContainsAny(token, "*?[") {
		byName = a.byName(token, p)
	}
	if byName == match {
		return match
	}
	if byAddress := a.byAddress(token, p.addr); byAddress != noMatch {
		return byAddress
	}
	return byName
}

// byName compares a pattern with the peer's name, or the peer's address with
// those of a plain name.
func (a *access) byName(token string, p *peer) verdict {
	if name := strings.ToLower(p.host(a.reverse)); wildMatch(token, name) {
		return match
	}
	if a.reverse && p.failed {
		return undecided
	}
	if !a.forward || strings.ContainsAny(token, ":/*?[") {
		return noMatch
	}
	if _, err := netip.ParseAddr(token); err == nil {
		return noMatch
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	addrs, err := p.names.LookupNetIP(ctx, "ip", token)
	if err != nil {
		a.warn("name lookup failed for " + token)
		return undecided
	}
	for _, addr := range addrs {
		if addr.Unmap() == p.addr.WithZone("") {
			return match
		}
	}
	return noMatch
}

// wildMatch is a shell's pattern against a name without slashes.
func wildMatch(pattern, name string) bool {
	ok, err := path.Match(strings.ReplaceAll(pattern, "[!", "[^"), name)
	return err == nil && ok
}

// byAddress compares ADDRESS, ADDRESS/BITS or ADDRESS/MASK.
func (a *access) byAddress(token string, addr netip.Addr) verdict {
	text, mask, masked := strings.Cut(token, "/")
	want, err := netip.ParseAddr(text)
	if err != nil || !addr.IsValid() {
		return noMatch
	}
	want = want.Unmap()
	if want.Is4() != addr.Is4() || want.Zone() != "" && want.Zone() != addr.Zone() {
		return noMatch
	}
	want, addr = want.WithZone(""), addr.WithZone("")
	if !masked {
		return verdictOf(want == addr)
	}
	bits, ok := maskOf(mask, want.BitLen())
	if !ok {
		a.warn("malformed mask in " + token)
		return undecided
	}
	w, h := want.AsSlice(), addr.AsSlice()
	for i, b := range bits {
		if (w[i]^h[i])&b != 0 {
			return noMatch
		}
	}
	return match
}

func verdictOf(hit bool) verdict {
	if hit {
		return match
	}
	return noMatch
}

// maskOf reads the number of bits, or the mask as an address.
func maskOf(text string, length int) ([]byte, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		if n < 0 || n > length {
			return nil, false
		}
		return net.CIDRMask(n, length), true
	}
	mask, err := netip.ParseAddr(text)
	if err != nil || mask.BitLen() != length {
		return nil, false
	}
	return mask.AsSlice(), true
}
