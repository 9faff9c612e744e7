package rsync

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"lockstep/internal/rsync/session"
)

// impatience is how long after a first signal a second one counts. What comes
// sooner is the same one: supervisors send it to the process and to its group.
const impatience = time.Second

// catchSignals returns a context that SIGINT, SIGTERM or SIGHUP end, and SIGUSR1
// in its own way; a later second of the first ends the process at once. release
// gives the signals back.
func catchSignals(parent context.Context) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(parent)
	in := make(chan os.Signal, 4)
	done := make(chan struct{})
	signal.Notify(in, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	go func() {
		defer close(done)
		var asked time.Time // zero until a signal asks for the end
		for sig := range in {
			if sig == syscall.SIGUSR1 {
				cancel(session.ErrUser1)
				continue
			}
			if asked.IsZero() {
				asked = time.Now()
				cancel(session.ErrSignal)
			} else if number, ok := sig.(syscall.Signal); ok && time.Since(asked) > impatience {
				os.Exit(128 + int(number))
			}
		}
	}()
	return ctx, func() {
		signal.Stop(in)
		close(in)
		<-done
		cancel(nil)
	}
}
