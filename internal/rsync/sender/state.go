package sender

import "fmt"

// state is where a run stands; the diagram is in the package comment.
type state uint8

const (
	listing      state = iota // the first list, or the only one, is being sent
	transferring              // answering the normal pass; incremental lists are being sent
	redoing                   // answering the pass for files that failed verification
	delayed                   // protocol 29 and up: the peer's delayed updates; no data any more
	closing                   // our final DONE is out
	farewell                  // protocol 31 and up: waiting for the goodbye
	finished
)

var stateNames = [...]string{"listing", "transferring", "redoing", "delayed", "closing", "farewell", "finished"}

func (s state) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// takesData reports whether file data may be asked for in s.
func (s state) takesData() bool { return s == transferring || s == redoing }

// echoes reports whether item reports are echoed in s. After our final DONE
// they still come, but an echo would break the peer (part 3, 1.8).
func (s state) echoes() bool { return s < closing }

// The protocols that changed the end of a session (part 1, 6.1).
const (
	threePhases  = 29 // redo pass, then delayed updates
	fourGoodbyes = 31 // late deletions, then the goodbye
)

// lastDones is the number of DONEs that follow the last file list: those of
// the passes and the goodbye.
func lastDones(protocol int) int {
	switch {
	case protocol >= fourGoodbyes:
		return 5
	case protocol >= threePhases:
		return 4
	}
	return 3
}
