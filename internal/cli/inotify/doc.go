// Package inotify is inotifywait and inotifywatch, and fsnotifywait and
// fsnotifywatch, which are the same with fanotify as their default: their
// options, messages, output and exit codes (inotify-tools; docs/divergence.md
// has the differences). It stands on the kernel queues of package watch.
//
// A run is one goroutine that marks paths, takes records and prints; the queue
// is drained into memory beside it, so that the kernel's own stays short. What
// has gathered is printed record by record and written in whole lines, at once
// when there is no more. Nothing here may be called concurrently.
package inotify
