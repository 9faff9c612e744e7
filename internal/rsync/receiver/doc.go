// Package receiver is the half of a receiving side that reads: file lists that
// come while data does, the sender's echoes, and file data, which it builds,
// verifies and installs; and it tells the generator by notes what became of each
// file (rsync-transfer 1.3, 1.5, 1.7 to 1.10, 3, 4.5 to 4.8; rsync-session 6).
//
// # Goroutines
//
// The goroutine that calls Run reads everything from the peer. It gathers what
// belongs to a file in chunks of at most 256 KiB and hands them to a few workers,
// which open, copy, hash, write and install; a file that fits in one chunk is one
// step for a worker. While a worker writes what is mostly blocks of a large basis,
// a goroutine of its own reads and hashes what comes next (applyAhead), and what
// it has replaced is closed by another. The reading goroutine waits for the disk
// only when the queues are full: their memory is bounded by about 25 MiB. At the
// end of each phase it waits until all files are finished.
//
//	receiving ──▶ redoing ──▶ delayed ──▶ farewell ──▶ finished
//
// are the states; every arrow is a DONE of the sender. Before protocol 29 there
// is no delayed, before 31 and in a batch file no farewell.
//
// # Trust
//
// Everything read is a hostile peer's. Indexes are looked up in the lists, block
// numbers are checked against the sum head, literals come in bounded pieces, and
// nothing is installed whose digest is wrong unless --partial or --inplace ask
// for it. Names are those of the lists, which have been checked; paths are
// resolved by package dest.
package receiver
