// Package output is what rsync shows: itemize strings, the escapes of
// --out-format and the log formats, names as they are printed, numbers,
// --stats, progress, --list-only lines, and the channel through which the
// roles say it (rsync-transfer 5).
//
// It formats and decides what is shown at which level; it opens no file. A Talk
// may be used from any goroutine.
package output
