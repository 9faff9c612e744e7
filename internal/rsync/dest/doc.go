// Package dest is the destination of a receiving side, as its two roles share
// it: where each entry goes (Open, Path), what is there now (Stat, Folder), what
// of it differs and is to be set (Differs, QuickCheck, SetAttrs, TouchUp), what
// is made and removed (Mkdir, Symlink, Mknod, Link, Delete, DeleteExtra, with backups),
// alternate directories (BestAlt, LinkAlt, CopyAlt), the output files of
// transfers (Create, Store, Output, PlaceDelayed), and the notes that the
// receiver sends to the generator (Notes). It implements sections 4 and 5.2 of
// the transfer specification, 1.12 of it, and 8, 9.3 and 9.4 of the one of file
// lists as far as the destination is concerned.
//
// # Names
//
// Trees are written through package apply alone, beneath one directory handle:
// a symlink in the way leads nowhere, or with --keep-dirlinks to what lies
// beneath the handle too. What the operator names (the destination itself,
// --temp-dir, --backup-dir, --partial-dir, --compare-dest and its like) may lead
// anywhere, but not through symlinks of other users; a daemon's clients stay in
// the module. Names of peers for a fuzzy basis are reduced to harmless ones, and
// numbers of directories that do not exist are refused.
//
// # Messages
//
// Trouble is told by this package in rsync's words, as coming from the role
// whose view a Dest is (As). Where a comment says that it is not, the caller
// does. An *Error ends the run and is never told: the caller says it and exits
// with its code.
//
// In a dry run, and with --only-write-batch, nothing on disk is changed; what
// would be is counted and reported.
//
// # Concurrency
//
// A Dest and its views may be used from any goroutine, an Output from one at a
// time, Notes by one that takes and any that put. The package starts goroutines
// for Delete and DeleteExtra alone, which wait for their end.
package dest
