// Package session is one rsync session: a client that reaches a daemon over
// TCP, through a proxy or a program, a daemon behind a remote shell, or a server
// started by a remote shell, and pushes, pulls or lists; the server's end; both
// ends in one process for a local copy; and batch files in place of one end. It
// does the text and binary handshakes of protocols 27 to 32, hears what the peer
// says beside its data, runs the roles and says how it ended (rsync-session,
// rsync-transfer 6, rsync-filelist 7.1, 9.2).
//
//	Client.Run   a command of rsync
//	Server.Run   the other end of one, also a daemon's once it has its arguments
//	Connect      for who prepares sessions in advance, and sends:
//
//	Connect ─▶ dialling ─▶ greeting ─▶ authentication ─▶ ready        (a Conn)
//	Start   ─▶ arguments ─▶ handshake ─▶ held                         (a Session)
//	Send    ─▶ transfer ─▶ goodbye ─▶ closed
//
// A Conn may be kept at ready, a Session at held, to have the round trips
// behind it when there is something to send. A daemon ends a Conn after a
// minute at most; a Session keeps itself alive from protocol 30 on. Alive and
// Lost tell when the peer has gone, the next call says why.
//
// Everything the peer says is bounded and checked: lines, lists, versions,
// names. What a protocol version or a text line cannot carry is refused before
// anything is sent. Failures are an *Error with rsync's exit code and the
// peer's own words; passwords appear in none.
//
// When a context ends, the connection is closed at once, whatever the state.
// Each call's context covers that call only.
//
// Goroutines of one connection, all ended by Close and by the end of Send or
// Run:
//
//	read-ahead   owns reading from the connection; a ring of 64 KiB, and
//	             when it is full the peer waits in the network
//	watch        while held: handles messages, notices the end
//	keep-alive   from held on: an empty frame when nothing was written for long
//	timer        while sending with a timeout: ends a silent connection
//	stderr       of a remote shell: collects lines
//	generator    while receiving; the receiver has the caller's goroutine
//	names        while a list of files is forwarded to the sender
//	server       the other half of a local copy, over a ring of 256 KiB
//
// Conn and Session belong to one goroutine, apart from Alive, Lost, Close and
// KeepAlive, which any may call.
package session
