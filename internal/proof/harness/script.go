package harness

import (
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Patience is how long a script waits for something before it fails: a machine
// that is busy with other tests may take its time.
const Patience = time.Minute

// ScriptCommands are what scripts about running programs need beyond
// testscript's own commands: await and signal.
func ScriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){"await": await, "signal": signalBackground}
}

// await FILE [TEXT] waits until FILE is there and holds TEXT; ! await waits
// until that is no longer so.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: [!] await FILE [TEXT]")
	}
	deadline := time.Now().Add(Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var text []byte
	for ; time.Now().Before(deadline); <-tick.C {
		var err error
		text, err = os.ReadFile(ts.MkAbs(args[0]))
		if met := err == nil && (len(args) == 1 || strings.Contains(string(text), args[1])); met != neg {
			return
		}
	}
	ts.Fatalf("waited %v in vain; %s holds\n%s", Patience, args[0], text)
}

// signal NAME sends a signal to the last background command.
func signalBackground(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1}
	running := ts.BackgroundCmds()
	if neg || len(args) != 1 || signals[args[0]] == 0 || len(running) == 0 {
		ts.Fatalf("usage: signal INT|TERM|HUP|USR1, with a command in the background")
	}
	ts.Check(running[len(running)-1].Process.Signal(signals[args[0]]))
}
