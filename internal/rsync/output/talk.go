package output

import (
	"errors"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/wire"
)

// Talk is where the roles of one side say what happens. At a client it is the
// terminal and the log file; at a server it becomes messages to the peer, and
// the daemon's log. All methods may be called from any goroutine and do not
// fail.
type Talk interface {
	// Text says one line, without its end; a line feed in it is part of a name,
	// and shown escaped as all names are. The code tells the channel: CodeInfo,
	// CodeWarning, CodeError, or CodeErrorXfer for what makes the exit code 23.
	// CodeClient is for the client's terminal alone and shown as it is, with no
	// end of a line added, but "" ends a line that is open; CodeLog is for the log file alone.
	Text(code wire.Code, text string)
	// Item reports a transferred or changed entry. Before tells that its data,
	// if any, is still to come: it is called twice for a transfer, and the
	// format decides which of the two calls prints (5.3).
	Item(e *Event, before bool)
	// Deleted reports an item that was removed at the destination. Of m its kind
	// and permissions count; a peer tells no more than whether it was a
	// directory.
	Deleted(name tree.Path, m tree.Meta)
	// Progress tells how far the file under way is; done ends it.
	Progress(p Progress, done bool)
}

// TellRefusal says that a symlink of another user's is in the way, if err says so,
// and reports whether it does.
func TellRefusal(t Talk, err error) bool {
	var refused walk.UntrustedLink
	if !errors.As(err, &refused) {
		return false
	}
	if t != nil {
		t.Text(wire.CodeError, refused.Error())
	}
	return true
}

// Event is one entry for the formats of 5.3.
type Event struct {
	Flags  wire.Item
	Path   tree.Path // as it is printed; "" is the root
	Dir    string    // the sender's directory in front of Path, for %f
	Meta   tree.Meta
	Target string // of a symlink
	// Leader is the name after "=>": what a hard link is linked to. HasXname
	// tells an empty one from none.
	Leader   string
	HasXname bool
	Sending  bool   // %o: send, not recv
	Bytes    int64  // %b
	SumBytes int64  // %c
	Digest   string // %C, hexadecimal; "" is none
	Digits   int    // how long a digest is; 0 is as long as most are
	NoGroup  bool   // %G is DEFAULT
}

// Progress is the state of a file's transfer.
type Progress struct {
	At, Size    int64 // bytes of the file
	Transferred int   // files so far, this one included: xfr#
	Left, All   int   // to-chk=Left/All
	Incomplete  bool  // more lists will come: ir-chk
	TotalAt     int64 // bytes of all files, for progress2
	TotalSize   int64
}
