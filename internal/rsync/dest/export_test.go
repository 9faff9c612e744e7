package dest

import "lockstep/internal/fs/tree"

// HiddenTemp and ScratchTemp make temporary names.
func HiddenTemp(base string) string  { return hiddenTemp(base) }
func ScratchTemp(base string) string { return scratchTemp(base) }

// Harmless reduces a name from a peer.
func Harmless(name string) string { return harmless(name) }

// UnsafeTarget judges the target of a symlink.
func UnsafeTarget(target string, from tree.Path) bool { return unsafeTarget(target, from) }
