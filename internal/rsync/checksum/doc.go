// Package checksum holds the sums that rsync sides compare: the rolling sum of
// a block (Sum1, Rolling), the strong sum of a block (Blocks), the digest of a
// whole file (Hash), and the choice of the algorithm between two peers. It
// implements section 2.3 to 2.7 of the transfer specification and the checksum
// part of section 4.2 of the session specification.
//
// All digests leave this package in the byte order of the wire. None of the
// algorithms is used here as a protection against an attacker: the digests find
// equal data and broken transfers, no more.
//
// It refuses names it does not know and peers that share no name with us.
// Values of Algo may be used from any goroutine; a Hash and a Blocks belong to
// one goroutine at a time.
package checksum
