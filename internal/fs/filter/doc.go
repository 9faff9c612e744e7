// Package filter decides which names of a tree are left out: rsync's filter
// language (rsync(1) FILTER RULES; rsync-filelist section 7), compiled once and
// asked for every event, every scanned name and every deletion.
//
// A Builder takes the options in command-line order and yields Rules, which are
// immutable. A Scope applies Rules to one tree: it reads per-directory merge
// files lazily, through a function of the caller, once per directory, and
// answers Hidden (the sender leaves the path out) and Protected (the receiver
// does not delete it). Rules.Wire renders what a receiving server must be told.
//
// The package is pure: it opens no file, knows no clock and writes no log.
// Rules and Scope may be used from any goroutine, a Builder from one. A nil
// *Rules and a nil *Scope are valid and leave nothing out.
//
// It refuses rules that rsync refuses, and some that rsync silently drops:
// patterns of more than 4095 bytes and per-directory rules that name no file.
// Merge files come from the tree and are hostile: their size, number, depth
// and effect are bounded, errors never repeat their contents, and a pattern
// takes at most time in proportion to its length times that of the name.
//
// A per-directory file with an error makes rsync stop, and one that may not be
// read counts as missing. Here everything in the directory of either, and
// below, counts as hidden and as protected, so that nothing is sent and nothing
// deleted on a guess, and Scope.Err says why.
//
// Kept as rsync 3.5.0 does it, though the manual does not say so: an anchored
// rule of a per-directory file is the directory's path put before the pattern,
// so a wildcard in the directory's own name is a wildcard; of several
// per-directory rules with the same file name the first counts; a file merged
// with "." from a per-directory file anchors its rules at the transfer root,
// and is looked for there if its name has no slash.
//
// Done as the manual says, though rsync 3.5.0 does not: "- foo" is one rule in
// word-split files, and the sides of rules hold in files merged with "." from
// a per-directory file.
package filter
