package rsync

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"lockstep/internal/rsync/session"
)

// catchSignals returns a context that SIGINT, SIGTERM or SIGHUP end, and SIGUSR1
// in its own way; a second of the first ends the process at once. release gives
// the signals back.
func catchSignals(parent context.Context) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(parent)
	in := make(chan os.Signal, 4)
	done := make(chan struct{})
	signal.Notify(in, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	go func() {
		defer close(done)
		ending := false
		for sig := range in {
			if sig == syscall.SIGUSR1 {
				cancel(session.ErrUser1)
				continue
			}
			if number, ok := sig.(syscall.Signal); ok && ending {
				os.Exit(128 + int(number))
			}
			ending = true
			cancel(session.ErrSignal)
		}
	}()
	return ctx, func() {
		signal.Stop(in)
		close(in)
		<-done
		cancel(nil)
	}
}
