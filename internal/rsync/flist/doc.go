// Package flist is the sending half of rsync's file-list codec for protocols
// 27 to 32 (spec part 2, sections 1 to 6): entries in all three flag forms,
// owner names and id lists, device numbers, hard links, checksums, ACLs,
// extended attributes, terminators, and the order in which both sides number
// what was sent.
//
// An Encoder holds what lives as long as a connection (delta state, tables of
// names, hard links, ACLs and attribute sets) and writes lists. A List is what
// stays in memory of one list once it is on the wire: names and kinds, about
// 16 bytes an entry besides its name, so that a million entries fit beside a
// program and an index in a request can be turned back into a path.
//
// It reads no files: metadata, link targets, checksums and attribute values
// come with each Entry; only user and group names are looked up here (Names).
// It refuses names that the wire cannot carry and attribute data that is not
// what the kernel would store. Nothing here may be used from two goroutines at
// once, except Names.
package flist
