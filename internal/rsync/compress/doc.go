// Package compress writes the token stream of a transfer: runs of literal bytes
// and numbers of blocks that the receiver has, plain or compressed with zlib,
// zlibx, zstd or lz4. It also holds the choice of the method between two peers.
// It implements section 3.1 to 3.7 of the transfer specification and the
// compression part of section 4.2 of the session specification. The decoders
// belong to the receiving side and are not here.
//
// It refuses method names it does not know, and nothing else: its input comes
// from our own side. An Encoder belongs to one goroutine and to one session;
// several sessions may compress at the same time. Compressors are pooled, and an
// Encoder allocates nothing per file.
package compress
