// Package change turns file system events into work for targets. It is pure:
// no I/O, no clock of its own, no goroutines; the caller owns every value here
// and passes the time in.
//
// A Set takes watch events in the order the kernel gave them and yields
// Changes: paths that may differ, in an order that is safe to replay, with
// files that are being written held back until they are closed.
//
// A Queue holds what one target has not acknowledged yet. Two facts describe
// a target at any moment: outside the dirty paths it equals the source as it
// was when last looked at, and the pending renames, replayed in order, carry
// its names over to today's. Events only say where to look: an item never says
// what happened, only that the path must be compared with the source again.
package change
