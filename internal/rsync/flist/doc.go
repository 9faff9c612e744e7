// Package flist is rsync's file-list codec for protocols 27 to 32 (spec part 2,
// sections 1 to 6): entries in all three flag forms, owner names and id lists,
// device numbers, hard links, checksums, ACLs, extended attributes, terminators,
// and the order in which both sides number what was sent.
//
// The sending half: an Encoder holds what lives as long as a connection (delta
// state, tables of names, hard links, ACLs and attribute sets) and writes lists.
// A List is what stays in memory of one list once it is on the wire: names and
// kinds, about 16 bytes an entry besides its name, so that a million entries fit
// beside a program and an index in a request can be turned back into a path.
//
// The receiving half: a Decoder turns the stream into Received lists of Files,
// sorted, cleaned of duplicates and numbered as the sender numbers them, with
// ids mapped and ACLs in the form of the kernel. Lists hands them from the
// goroutine that reads to the one that works; XattrSets has the attributes and
// the exchange of those values that are too long for a list.
//
// It reads and writes no files: metadata, link targets, checksums and attribute
// values come with each Entry, and are for others to apply; only user and group
// names are looked up here (Names, IDMap). Encoding, it refuses names that the
// wire cannot carry and attribute data that is not what the kernel would store.
// Decoding, it refuses what section 9.1 does: names that are absolute or lead
// upwards, entries whose directory is not listed, and every count, length and
// index that is out of range; no number from the peer decides how much memory is
// taken. Whether a name was asked for is the caller's to say (Receive.Accept).
//
// Encoder, List and Decoder belong to one goroutine each; Names, IDMap, Lists
// and XattrSets may be used from any.
package flist
