package lockstep_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lockstep/internal/cli/lockstep"
	"lockstep/internal/proof/harness"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"lockstep":   func() { os.Exit(lockstep.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
		"stubborn":   stubborn,
		"supervisor": supervisor,
	})
}

// stubborn is a program that takes its first signal and does not end.
func stubborn() {
	done := make(chan struct{})
	lockstep.CatchSignals(func() { fmt.Println("one signal") }, func() { fmt.Println("asked") })
	fmt.Println("ready")
	<-done
}

// supervisor prints the state changes that a service tells to the socket that
// is its argument, until it is stopping.
func supervisor() {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: os.Args[1], Net: "unixgram"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			fmt.Println(err)
			return
		}
		text := string(buf[:n])
		fmt.Println(strings.ReplaceAll(text, "\n", " "))
		if strings.HasPrefix(text, "STOPPING=1") {
			return
		}
	}
}

// get URL CODE TEXT fetches a page until it has that code and holds that text.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: get URL CODE TEXT")
	}
	deadline := time.Now().Add(harness.Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	got := ""
	for ; time.Now().Before(deadline); <-tick.C {
		r, err := http.Get(args[0])
		if err != nil {
			got = err.Error()
			continue
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		got = fmt.Sprint(r.StatusCode, " ", string(body), " ", err)
		if err == nil && fmt.Sprint(r.StatusCode) == args[1] && strings.Contains(string(body), args[2]) {
			return
		}
	}
	ts.Fatalf("waited %v in vain; got %s", harness.Patience, got)
}

// freePort VAR sets a variable to a TCP port on loopback that nobody uses.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: port VAR")
	}
	port, err := harness.FreePort()
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(port))
}

func TestScripts(t *testing.T) {
	commands := harness.ScriptCommands()
	commands["get"], commands["port"] = get, freePort
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Deadline:            time.Now().Add(5 * time.Minute),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// Temporary directories of the commands lie below the script's own.
			env.Setenv("TMPDIR", env.WorkDir)
			return nil
		},
		Cmds: commands,
	})
}
