package dest

// Note is what the receiver tells the generator (rsync-transfer 1.7).
type Note struct {
	Kind  NoteKind
	Index int32 // of the entry, where there is one
}

// NoteKind says what a Note is about.
type NoteKind uint8

// The notes.
const (
	Installed NoteKind = iota // the entry's data is in place
	Redo                      // its digest was wrong, once
	Failed                    // it could not be stored, or its digest was wrong twice
	NotSent                   // the sender will not send it (MSG_NO_SEND)
	PhaseDone                 // the sender's DONE of a phase, or of a list, was read
	Ended                     // the receiver has read everything up to the goodbye
)
