package service_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/internal/ops/service"
)

// supervisor gives what is told to it.
func supervisor(t *testing.T, name string) func() string {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return func() string {
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestTheSupervisorHears(t *testing.T) {
	for name, socket := range map[string]string{"a path": filepath.Join(t.TempDir(), "n"), "an abstract name": "@lockstep-test-" + strconv.Itoa(os.Getpid())} {
		t.Run(name, func(t *testing.T) {
			heard := supervisor(t, socket)
			t.Setenv("NOTIFY_SOCKET", socket)
			t.Setenv("WATCHDOG_USEC", "3000000")
			t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
			n := service.NewNotifier()
			if n.Watchdog() != 3*time.Second {
				t.Errorf("the watchdog is %v", n.Watchdog())
			}
			if _, still := os.LookupEnv("NOTIFY_SOCKET"); still {
				t.Error("children would inherit the socket")
			}
			for want, say := range map[string]func() error{
				"READY=1\nSTATUS=all well":     func() error { return n.Ready("all\nwell") },
				"STATUS=busy":                  func() error { return n.Status("busy") },
				"RELOADING=1\nMONOTONIC_USEC=": n.Reloading,
				"STOPPING=1":                   n.Stopping,
				"WATCHDOG=1":                   n.Alive,
			} {
				if err := say(); err != nil {
					t.Fatal(err)
				}
				if got := heard(); !strings.HasPrefix(got, want) {
					t.Errorf("heard %q, want %q", got, want)
				}
			}
		})
	}
}

func TestTheWatchdogOfAnotherIsNotOurs(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/nowhere")
	t.Setenv("WATCHDOG_USEC", "3000000")
	t.Setenv("WATCHDOG_PID", "1")
	n := service.NewNotifier()
	if n.Watchdog() != 0 {
		t.Error("a watchdog for another process is taken")
	}
	if err := n.Alive(); err == nil || !strings.Contains(err.Error(), "notify: ") {
		t.Errorf("a socket that is not there gives %v", err)
	}
}

func TestWithoutASupervisorNothingHappens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n := service.NewNotifier()
	for _, err := range []error{n.Ready(""), n.Alive(), n.Stopping(), n.Reloading()} {
		if err != nil {
			t.Error(err)
		}
	}
}
