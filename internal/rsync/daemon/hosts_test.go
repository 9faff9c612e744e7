package daemon_test

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"lockstep/internal/rsync/daemon"
)

// names is a name server.
type names struct {
	back  map[string][]string // names by address
	there map[string]string   // addresses by name
	dead  bool
}

func (n names) LookupAddr(_ context.Context, addr string) ([]string, error) {
	if n.dead {
		return nil, &net.DNSError{Err: "timeout", IsTimeout: true}
	}
	if found := n.back[addr]; found != nil {
		return found, nil
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addr, ok := n.there[host]; ok && !n.dead {
		return []netip.Addr{netip.MustParseAddr(addr)}, nil
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

var dns = names{
	back: map[string][]string{
		"192.168.1.30": {"web1.example.com."}, "192.168.1.66": {"liar.example.com."}, "192.168.1.67": {"evil\n.example.com."},
	},
	there: map[string]string{"web1.example.com": "192.168.1.30", "liar.example.com": "10.0.0.1", "other": "192.168.1.30"},
}

func TestHostsAreAdmitted(t *testing.T) {
	rows := []struct {
		name, allow, deny, addr string
		want                    bool
	}{
		{"nothing is said", "", "", "192.168.1.30", true},
		{"an address that is allowed", "192.168.1.30", "*", "192.168.1.30", true},
		{"another address", "192.168.1.30", "*", "192.168.1.31", false},
		{"allowed only, and not named", "192.168.1.30", "", "192.168.1.31", false},
		{"not allowed, and not denied", "192.168.1.30", "10.0.0.0/8", "192.168.1.31", true},
		{"a network by bits", "192.168.1.0/24", "", "192.168.1.200", true},
		{"outside of the network", "192.168.1.0/24", "", "192.168.2.200", false},
		{"a network by its mask", "192.168.0.0/255.255.0.0", "", "192.168.2.200", true},
		{"all addresses of a family", "0.0.0.0/0", "", "8.8.8.8", true},
		{"not those of the other", "0.0.0.0/0", "", "::1", false},
		{"an address of version 6", "fe80::/10", "", "fe80::1", true},
		{"a mask of version 6", "2001:db8::/ffff:ffff::", "", "2001:db8:1::1", true},
		{"commas and tabs", "10.0.0.1,\t10.0.0.2", "", "10.0.0.2", true},
		{"a name with wildcards", "*.example.com", "", "192.168.1.30", true},
		{"a name in capitals", "WEB1.Example.COM", "", "192.168.1.30", true},
		{"a name that leads elsewhere", "liar.example.com", "", "192.168.1.66", false},
		{"a name with a line end", "*.example.com", "", "192.168.1.67", false},
		{"a name of the list is looked up", "other", "", "192.168.1.30", true},
		{"a denied name", "", "*.example.com", "192.168.1.30", false},
		{"a denied name that nobody knows denies", "", "nosuch", "10.0.0.1", false},
		{"an allowed name that nobody knows allows nobody", "nosuch", "", "10.0.0.1", false},
		{"a denied mask that is malformed denies", "", "10.0.0.0/99", "11.0.0.1", false},
		{"an allowed mask that is malformed allows nobody", "10.0.0.0/99", "", "10.0.0.1", false},
		{"a denied netgroup denies", "", "@group", "10.0.0.1", false},
		{"an allowed netgroup allows nobody", "@group", "", "10.0.0.1", false},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if got := daemon.Admits(r.allow, r.deny, true, true, daemon.NewPeer(r.addr, dns)); got != r.want {
				t.Errorf("admitted: %v", got)
			}
		})
	}
}

func TestNameServersThatAreDownDeny(t *testing.T) {
	dead := names{dead: true}
	if daemon.Admits("", "*.evil.com", true, true, daemon.NewPeer("10.0.0.1", dead)) {
		t.Error("a peer of unknown name got past a rule about names")
	}
	if daemon.Admits("*.good.com", "*", true, true, daemon.NewPeer("10.0.0.1", dead)) {
		t.Error("a peer of unknown name was allowed by its name")
	}
	if !daemon.Admits("10.0.0.1", "*", true, true, daemon.NewPeer("10.0.0.1", dead)) {
		t.Error("a peer was not allowed by its address")
	}
}
