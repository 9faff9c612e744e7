// Package wire is the bottom of the rsync protocol: integers, indexes and
// strings (rsync-session 5.5), and the frames that carry data and messages in
// one stream (5.1 to 5.4). A Writer turns values into bytes, a Reader turns
// bytes into values; both begin raw and change to frames with StartMux.
//
// It refuses whatever the specification does not allow: unknown, internal-only
// or wrongly sized messages, integers with too many bytes, indexes that
// overflow, strings beyond the caller's limit. All of these wrap ErrStream,
// rsync's exit code 12. No length from the peer decides how much memory is
// taken.
//
// It is pure: no files, sockets, clock or log. A Reader belongs to one
// goroutine at a time, and so does a Writer, apart from the methods that say
// otherwise: those that put a whole frame on the wire (KeepAlive, Message) and
// those that only report (Count, Err).
package wire
