package session

import (
	"fmt"
	"os"

	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// debugLeaving is the level of --debug=EXIT that tells each step of an end.
const debugLeaving = 2

// exits says that this process is about to end. failed is the code of what
// ended it, 0 if the transfer came to its end.
func (r *errand) exits(role string, failed, code int) {
	if !r.Opt.Debugs(option.DebugExit, 1) {
		return
	}
	begin := fmt.Sprintf("[%s] _exit_cleanup(code=%d, file=%s, line=0): ", role, failed, place)
	if r.Opt.Debugs(option.DebugExit, debugLeaving) {
		r.talk.Text(wire.CodeInfo, begin+"entered")
	}
	r.talk.Text(wire.CodeInfo, fmt.Sprintf("%sabout to call exit(%d)", begin, code))
}

// awaits says that the other half is waited for: a remote shell, or none but this
// process for a local copy.
func (r *errand) awaits(e *end) {
	pid := r.child
	if e.local {
		pid = os.Getpid()
	}
	switch {
	case pid == 0:
	case e.sends():
		e.debug(option.DebugExit, debugLeaving, "client_run waiting on %d", pid)
	default:
		e.debug(option.DebugRecv, 1, "client_run2 waiting on %d", pid)
	}
}
