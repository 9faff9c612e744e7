package lockstep

import (
	"os"
	"os/signal"
	"syscall"
)

// signals serves the signals of the process: the first SIGINT, SIGTERM or
// SIGHUP asks it to end, the second ends it at once, SIGUSR1 asks for the
// state. SIGPIPE is ignored: a reader that went away shows as an error of
// writing, see reporter.
type signals struct {
	in   chan os.Signal
	done chan struct{}
}

// catchSignals starts the goroutine that serves signals; release ends it.
// onState may be nil.
func catchSignals(onFirst, onState func()) *signals {
	s := &signals{in: make(chan os.Signal, 4), done: make(chan struct{})}
	signal.Notify(s.in, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGPIPE)
	go s.serve(onFirst, onState)
	return s
}

func (s *signals) serve(onFirst, onState func()) {
	defer close(s.done)
	ending := false
	for sig := range s.in {
		switch sig {
		case syscall.SIGPIPE:
		case syscall.SIGUSR1:
			if onState != nil {
				onState()
			}
		default:
			if number, ok := sig.(syscall.Signal); ok && ending {
				os.Exit(128 + int(number))
			}
			ending = true
			onFirst()
		}
	}
}

// release gives the signals back.
func (s *signals) release() {
	signal.Stop(s.in)
	close(s.in)
	<-s.done
}
