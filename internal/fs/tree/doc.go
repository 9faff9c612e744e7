// Package tree is the one vocabulary for files: Path, Kind, Meta, Time, Entry.
// Kernel structures and wire modes are turned into these once, at the edge, and
// nothing else in the project describes a file.
//
// It is pure: no I/O, no clock, no logging. All values may be copied and used
// from any goroutine.
package tree
