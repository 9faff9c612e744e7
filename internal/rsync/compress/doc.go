// Package compress writes and reads the token stream of a transfer: runs of
// literal bytes and numbers of blocks that the receiver has, plain or compressed
// with zlib, zlibx, zstd or lz4. It also holds the choice of the method between
// two peers. It implements section 3.1 to 3.7 of the transfer specification and
// the compression part of section 4.2 of the session specification.
//
// An Encoder takes its input from our own side and refuses nothing. What a
// Decoder reads is a hostile peer's: it refuses blocks that the basis does not
// have, packets and runs that the framing does not allow, and compressed data
// that does not unpack, and hands out literals in pieces of the caller's buffer,
// whatever they unpack to. Its memory is bounded by 64 KiB, and with zstd by the
// frame's window of at most 128 MiB.
//
// An Encoder or Decoder belongs to one goroutine and to one session; several
// sessions may go on at the same time. With zstd, long literals are compressed by
// goroutines of the Encoder's own, which have ended when Close returns.
// Compressors are pooled, and neither allocates anything per short file.
package compress
