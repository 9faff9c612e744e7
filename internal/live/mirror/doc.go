// Package mirror keeps any number of targets in step with one source.
//
// One owner goroutine (Mirror.own) holds all state that changes: the set of
// events being settled, the index of what was last seen, and a queue for each
// target. One worker goroutine for each target carries out what the owner
// hands it and answers with what was done; a worker that hangs delays nobody.
// One scanner goroutine at a time reads the whole source, at the start and
// after lost events. Channels between them carry values, never shared state:
//
//	watch ──events──▶ owner ──batch──▶ worker ──▶ target
//	scanner ─listings─▶ owner ◀─result── worker
//
// The owner never waits for a worker: a worker gets a batch only when it has
// asked for one, and its channel has room for exactly that.
package mirror
