// Package generator is the role that decides: it walks through the file list,
// looks at what the destination has, makes directories, links and nodes, sets
// attributes, deletes, asks the sender for the files that differ, and drives the
// phases of a transfer to its end (rsync-transfer 1 and 4.1 to 4.4, 4.11;
// rsync-filelist 2.5, 5.3, 8). It knows no transport: it is given the stream to
// the sender, the lists as the receiver's goroutine reads them, and the notes
// that the receiver writes about each file.
//
// The states of a run; each arrow is a DONE that the generator writes:
//
//	passing ─▶ redoing ─▶ delayed ─▶ closing ─▶ farewell ─▶ finished
//	  │  ▲       (below 29: to farewell) (below 31: to farewell)
//	  └──┘
//	one DONE per list, incremental
//
// Two sorts of goroutine work in a run, both ended when Run returns:
//
//	main     the caller's: owns the Writer, all decisions and all state
//	scouts   stat the destination of the entries whose turn comes next; main
//	         takes the results in order and looks again itself where something
//	         that it did since may have changed them
//
// Main waits in one place only (run.idle): for the next list, for a note, or for
// the end of the context; what is written is flushed before. So the receiver
// must never wait for the generator, and its notes have no bound.
//
// An up-to-date file costs one stat and allocates nothing. Nothing in the lists
// is trusted beyond what package flist has checked: an entry whose parent is not
// listed ends the run (ErrProtocol), notes about indexes that nothing was asked
// for are passed over, and paths are used beneath handles by package dest only.
package generator
