package generator

// state is how far a run is; the package comment has the diagram.
type state uint8

const (
	passing  state = iota // going through the lists
	redoing               // asking again for what arrived damaged
	delayed               // the receiver puts delayed updates in place
	closing               // late deletions, statistics
	farewell              // waiting for the receiver to have read everything
	finished
)

func (s state) String() string {
	switch s {
	case passing:
		return "passing"
	case redoing:
		return "redoing"
	case delayed:
		return "delayed"
	case closing:
		return "closing"
	case farewell:
		return "farewell"
	}
	return "finished"
}

// timing is when extraneous items are deleted (rsync-filelist 8).
type timing uint8

const (
	never  timing = iota
	before        // all at once, before anything is asked for
	during        // each directory when its turn comes
	delay         // found as in during, removed after the last phase
	after         // all at once, after the last phase
)

// late reports whether deletion comes after the last phase.
func (t timing) late() bool { return t == delay || t == after }

// deletion resolves the options; plain --delete depends on the protocol.
func (p *Params) deletion() timing {
	o := p.Opt
	switch {
	case o.ListOnly > 0:
		return never
	case o.DeleteBefore:
		return before
	case o.DeleteAfter:
		return after
	case o.DeleteDelay:
		return delay
	case o.DeleteDuring:
		return during
	case !o.Delete && !o.DeleteExcluded:
		return never
	case p.Protocol < 30:
		return before
	}
	return during
}
