// Package eventline writes what happened to a file as a line of text: the
// conversions of inotifywait's --format and those of strftime(3) in the C locale
// (inotify-tools 5). It serves the log of a mirror and the faces of
// inotify-tools.
//
// It is pure; values may be used from any goroutine.
package eventline
