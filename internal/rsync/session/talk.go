package session

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// witness passes on everything and remembers what decides about the exit code.
type witness struct {
	output.Talk
	partial atomic.Bool // something was not transferred
}

func (w *witness) Text(code wire.Code, text string) {
	if code == wire.CodeErrorXfer {
		w.partial.Store(true)
	}
	w.Talk.Text(code, text)
}

// serverTalk is where the roles of a server speak: to the client, as messages,
// and to the standard error of a remote shell (rsync-session 5.3).
type serverTalk struct {
	opt    *option.Set
	stderr io.Writer
	log    output.Talk // a daemon's; nil if there is none

	mu       sync.Mutex
	w        *wire.Writer // nil until there are frames
	protocol int
	framed   bool // errors go to the client too
	charset  *charset
}

// speak begins the time in which there are frames. Below protocol 29 and at a
// daemon errors always go to the client.
func (t *serverTalk) speak(w *wire.Writer, protocol int, always bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.w, t.protocol = w, protocol
	t.framed = always || t.opt.Stderr == 'c' || protocol <= 28
}

// textPiece is how much of a text goes into one message.
const textPiece = 4096

func (t *serverTalk) Text(code wire.Code, text string) {
	if t.log != nil {
		t.log.Text(code, text)
	}
	if code == wire.CodeInfo && t.opt.Quiet > 0 || !code.IsText() {
		return // what is for a client's terminal or log is the client's to say
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	aloud := t.opt.Stderr == 'a' && !t.framed || code != wire.CodeInfo && !t.framed
	if t.w == nil || aloud {
		if t.stderr != nil {
			// No client looks at these bytes before a terminal gets them.
			set := output.ASCII
			if t.opt.EightBit {
				set = output.Bytes
			}
			fmt.Fprintf(t.stderr, "%s\n", output.Escape(nil, text, set))
		}
		return
	}
	if t.protocol < muxProtocol { // which knew no other codes
		switch code {
		case wire.CodeError:
			code = wire.CodeErrorXfer
		case wire.CodeWarning:
			code = wire.CodeInfo
		}
	}
	if t.charset != nil && !utf8.ValidString(text) { // else it has a name as it came
		text = t.charset.textToWire(text)
	}
	for text += "\n"; text != ""; {
		n := min(len(text), textPiece)
		if n < len(text) {
			if end := strings.LastIndexByte(text[:n], '\n'); end >= 0 {
				n = end + 1
			}
		}
		t.w.Message(code, []byte(text[:n])) // a client that is gone shows elsewhere
		text = text[n:]
	}
}

// Item is for a daemon's log alone: the client prints its own.
func (t *serverTalk) Item(e *output.Event, before bool) {
	if t.log != nil {
		t.log.Item(e, before)
	}
}

// deletedProtocol is the first with a message for what was deleted.
const deletedProtocol = 29

func (t *serverTalk) Deleted(name tree.Path, m tree.Meta) {
	if t.log != nil {
		t.log.Deleted(name, m)
	}
	t.mu.Lock()
	w, protocol := t.w, t.protocol
	t.mu.Unlock()
	if protocol < deletedProtocol {
		e := output.Deletion(name, m)
		e.NoGroup = !t.opt.Group
		t.deletedText(e)
		return
	}
	end := ""
	if m.IsDir() {
		end = "\x00"
	}
	if w != nil {
		w.Queue(wire.CodeDeleted, []byte(t.charset.textToWire(string(name))+end))
	}
}

// deletedText is Deleted for old clients: they are told in words, or in the
// format that they gave (rsync-transfer 5.5).
func (t *serverTalk) deletedText(e *output.Event) {
	if t.opt.Info[option.InfoDel] == 0 && t.opt.OutFormat == "" {
		return
	}
	scene := &output.Scene{Times: t.opt.Times, Local: true, Now: time.Now(), Pid: os.Getpid()}
	t.Text(wire.CodeInfo, string(output.ParseFormat(t.opt.OutFormat).Expand(nil, e, scene)))
}

// Progress is shown by the client alone.
func (t *serverTalk) Progress(output.Progress, bool) {}
