// Package delta finds out what of a file its receiver already has. The receiving
// side chooses the lengths of blocks and sums for its basis file (Choice) and
// computes the sums (Signer); the sending side reads them (Head, Sums) and
// searches the new file for the basis's blocks (Searcher), in one pass, so that
// only the rest crosses the wire. It implements sections 1.4, 2.1, 2.2 and 3.8 of
// the transfer specification.
//
// Sums come from a hostile peer: a header outside the protocol's limits is
// refused, one that asks for more than MaxMemory too, and memory grows only with
// the bytes that really arrive. Whatever sums a peer makes up, the search ends,
// and what it emits is the file. Besides the sums a search takes 256 KiB and two
// blocks of memory, whatever the size of the file.
//
// The package knows no files, only readers and a Sink. A Sums, a Searcher and a
// Signer are for one goroutine at a time; they are meant to be used again for the
// next file and then allocate nothing. Sign has a goroutine to help it with a
// basis of more than 4 MiB.
package delta
