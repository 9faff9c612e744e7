// Package dest is the destination of a receiving side, as its two roles share
// it: where each entry goes, what attributes it is to have, what is there now
// and what of it differs, backups, alternate directories, the output files of
// transfers, and the notes that the receiver sends to the generator
// (rsync-transfer 1.7, 4).
//
// Trees are written through package apply alone. A Dest may be used from any
// goroutine.
package dest
