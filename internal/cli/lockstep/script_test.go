package lockstep_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lockstep/internal/cli/lockstep"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"lockstep": func() { os.Exit(lockstep.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
		"stubborn": stubborn,
	})
}

// stubborn is a program that takes its first signal and does not end.
func stubborn() {
	done := make(chan struct{})
	lockstep.CatchSignals(func() { fmt.Println("one signal") }, func() { fmt.Println("asked") })
	fmt.Println("ready")
	<-done
}

// patience is how long a script waits for something before it fails.
const patience = 20 * time.Second

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Deadline:            time.Now().Add(2 * time.Minute),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// Temporary directories of the commands lie below the script's own.
			env.Setenv("TMPDIR", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":  await,
			"signal": signalBackground,
		},
	})
}

// await FILE [TEXT] waits until FILE is there and holds TEXT; ! await waits
// until that is no longer so.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: [!] await FILE [TEXT]")
	}
	deadline := time.Now().Add(patience)
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
	ts.Fatalf("waited %v in vain; %s holds\n%s", patience, args[0], text)
}

// signalBackground NAME sends a signal to the last background command.
func signalBackground(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1}
	running := ts.BackgroundCmds()
	if neg || len(args) != 1 || signals[args[0]] == 0 || len(running) == 0 {
		ts.Fatalf("usage: signal INT|TERM|HUP|USR1, with a command in the background")
	}
	ts.Check(running[len(running)-1].Process.Signal(signals[args[0]]))
}
