// Package sender is the role that owns the source files: it sends the file
// list, answers the other side's requests with file data and ends the session
// (spec part 3, sections 1 to 3; part 2, sections 2 and 3; part 1, 5.7 and 6).
// It knows no transport: it is given the two ends of a stream after the
// handshake, and a Job.
//
// The states of a run, each left by the DONE of the other side's generator:
//
//	listing ─▶ transferring ─▶ redoing ─▶ delayed ─▶ closing ─▶ farewell ─▶ finished
//	            │  ▲            (below 29: straight    (below 31: straight
//	            └──┘             to closing)            to finished)
//	    one DONE per list, incremental
//
// Four sorts of goroutine work in a run, all of them ended when Run returns:
//
//	main       owns the Writer, the lists and the state; answers in order
//	reader     takes requests off the stream, ahead of main; its queue is
//	           bounded in number and in bytes of block sums, and when it is
//	           full, main has work and the peer's writes wait in the network
//	loaders    open the files of coming requests, and read and hash them whole
//	           if they are small; as long as files come out of the page cache
//	           at once, main does without them
//	scanners   read the directories that will be listed next
//
// It refuses what the protocol does not allow (ErrProtocol): indexes of no
// list, data requests for anything but regular files, impossible sum headers,
// requests in the wrong state, attribute values asked for twice. Memory is
// bounded whatever the peer asks for. Files are read through directory handles,
// beneath the directory that an argument names, and a symlink is followed only
// where an option or an argument asks for it: a file or directory that was listed
// as itself and has been exchanged for a symlink since is not read through it.
// Nothing is read outside of a daemon's module.
//
// A Job has Sources, as the command line of rsync names them, or is one of the
// mirror. With Sources everything is as rsync does it, down to the words said
// through Params.Talk. The mirror is more careful: what can be read only in part
// is never listed as if it were whole, since the other side would take what is
// missing for deleted. Such a directory travels as one without contents, or, where
// that cannot be said any more, with an io_error that calls off all deleting.
// With both, a name under which several files are linked is not sent once it
// belongs to another file: its content would end up under all of them.
package sender
