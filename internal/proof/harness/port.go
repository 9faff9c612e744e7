package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
)

// lowestPort is where the search for a port begins, above those of services.
const lowestPort = 12_000

// firstEphemeral is the first port that the kernel gives to whoever does not
// care, if it does not say another.
const firstEphemeral = 32_768

// given holds the ports that FreePort has returned.
var given sync.Map

// FreePort is a TCP port of loopback that nobody uses, and none that was
// returned before. It lies below those that the kernel picks for connections
// and for listeners without a port: one of them could have it before the daemon
// that it is meant for, or while that daemon is away; and who dials it to see
// whether the daemon is there could be connected to itself.
func FreePort() (int, error) {
	end := firstEphemeral
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, _ = fmt.Sscan(string(text), &end)
	}
	if end <= lowestPort {
		return anyPort("127.0.0.1:0")
	}
	for range 100 {
		port := lowestPort + rand.IntN(end-lowestPort)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		if _, err := anyPort("127.0.0.1:" + strconv.Itoa(port)); err == nil {
			return port, nil
		}
	}
	return anyPort("127.0.0.1:0")
}

// anyPort listens at an address for a moment and returns its port.
func anyPort(address string) (int, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
