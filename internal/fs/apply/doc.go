// Package apply is the only writer of user trees.
//
// A Root writes beneath one open directory. The directory that holds a path is
// resolved as in package walk (openat2, beneath, no symlinks), and the work is
// then done on its handle and a single name that is never followed. A symlink
// swapped in at any moment leads nowhere.
//
// A reader of the tree sees the old object or the new one, never a part: a new
// file gets its content and attributes while it has no name (O_TMPFILE) and is
// then linked; what replaces something is made under a temporary name in the
// same directory and renamed. A directory in the way of something else is never
// removed on the quiet: the answer is ErrIsDir, and the caller decides. On any
// error the old object stands and nothing is left behind. Attributes that can't
// be set (an *AttrError) do not hold back content.
//
// # Attributes
//
// Options say which are kept; the order is that of rsync-transfer 4.9: owner
// and group, extended attributes and ACLs, times, mode. Only what differs is
// set. Owners are set by root alone, groups by root and by members, silently
// otherwise, as rsync does. A directory's times change with its entries: they
// are set with SetMeta or SetTimes when its children are done.
//
// # Temporary names
//
// A temporary object is called .BASE.lockstep-XXXXXXXX, where BASE is the final
// name without a leading dot, cut to 124 bytes, and the last three of the eight
// characters (a-z, 2-7) are a check of what stands before them. The shape is
// that of rsync's (rsync-transfer 4.6), so eyes and exclude patterns know it;
// mark and check make sure that no file of a user is taken for one. Temporaries
// exist for the length of some system calls, or while a file is written if the
// file system lacks O_TMPFILE. Only SIGKILL or a crash can leave one. It is an
// extraneous file for any full pass with deletion; RemoveStale and Sweep remove
// it without one, and never one that a living process writes. Options.Temp gives
// them another form, which is then nobody's to sweep.
//
// # Single steps
//
// At, AtDir, Both and Hold give a Place, and Stage a file that is not in place
// yet, for callers with rules of their own about attributes, backups and what
// may replace what (package rsync/dest). They resolve names the same way and
// do single system calls on handles; the order of these, and what is left
// behind between them, is up to the caller.
//
// # Durability
//
// Nothing is synced by default: after a power failure a file may be old, new,
// or, on file systems that reorder data and names, short. Options.Sync writes
// content and name to disk before CopyFile returns.
//
// # Concurrency
//
// All methods may be called concurrently. Two calls on the same path at a time
// leave the result of one of them.
package apply
