// Package walk reads trees through directory handles.
//
// A Root is an open directory. Every name below it is resolved by the kernel
// beneath that handle (openat2 with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and
// RESOLVE_NO_MAGICLINKS; component by component with O_NOFOLLOW where openat2
// is missing), so a symlink that is swapped in at any moment leads nowhere:
// the path then counts as not existing. Paths that are not in the form of
// tree.Path ("..", absolute, NUL) are refused. Mount points are crossed; a
// caller who minds compares Meta.Dev.
//
// It never writes, and opens nothing but directories and regular files.
//
// Root and Dir are safe for concurrent use. Close waits for nobody: calls that
// are under way finish, later ones fail with fs.ErrClosed. A Walk holds one
// file handle per worker, whatever the depth or width of the tree.
//
// Linux 4.11 (statx) or later is needed.
package walk
