package session

import "fmt"

// stage is where a session stands; the diagram is in the package comment.
type stage uint8

const (
	dialling       stage = iota // TCP, or starting the remote shell
	greeting                    // version lines, module, message of the day
	authentication              // answering the daemon's challenge
	ready                       // at "OK"; or a remote shell not yet started
	arguments                   // the server's command line
	handshaking                 // versions, flags, names, seed
	held                        // the binary phase, nothing sent yet
	transfer                    // the sender has the stream
	goodbye                     // the sender is done
	closed
)

var stageNames = [...]string{
	"dialling", "greeting", "authentication", "ready", "arguments", "handshake", "held", "transfer", "goodbye", "closed",
}

func (s stage) String() string {
	if int(s) < len(stageNames) {
		return stageNames[s]
	}
	return fmt.Sprintf("stage(%d)", uint8(s))
}
