package receiver

// state says which of the sender's DONEs comes next.
type state uint8

const (
	receiving state = iota // the normal pass
	redoing                // the pass for files whose digest was wrong
	delayed                // no more data: delayed updates are in place
	farewell               // the sender's answer to the last DONE but one
	finished
)

func (s state) String() string {
	switch s {
	case receiving:
		return "receiving"
	case redoing:
		return "redoing"
	case delayed:
		return "delayed"
	case farewell:
		return "farewell"
	}
	return "finished"
}

// Protocols that brought a change.
const (
	itemFlagsMin  = 29 // item flags, the phase of delayed updates, list times in the statistics
	shortIntsMin  = 30 // variable-length integers, incremental lists
	xattrShortcut = 31
	farewellMin   = 31 // deletion statistics, DONE before the goodbye
)
