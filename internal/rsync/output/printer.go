package output

import (
	"bufio"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// Config is what a Printer shows things by.
type Config struct {
	Opt      *option.Set
	Out, Err io.Writer // the standard output and standard error; nil for a server, which has a log alone
	Log      *Log      // --log-file; nil is none
	Local    bool      // a local copy
	Charset  Charset   // of the terminal; --8-bit-output is seen to here
	Terminal bool      // Out is a terminal: lines are not held back
	// Background tells that the terminal belongs to somebody else, who is not to
	// be disturbed by progress; nil is never.
	Background func() bool
	Now        func() time.Time // nil is time.Now
}

// Printer is the Talk of a client: its terminal and its log file. It may be used
// from any goroutine. Close it at the end.
type Printer struct {
	c       Config
	silent  bool // but for errors
	charset Charset
	flush   bool      // after every line
	info    io.Writer // where info goes: out, or the standard error with --stderr=all
	format  *Format   // of updated items; nil is none
	logged  *Format
	// itemizing tells that changes of attributes alone are reported: a client
	// logs them only if it shows them.
	itemizing bool
	scene     Scene

	mu    sync.Mutex
	out   *bufio.Writer
	meter *meter // nil is no progress
	open  open   // what the last line is left unended by
	buf   []byte
}

// open is a line that is not ended yet: another text has to begin a new one.
type open uint8

const (
	ended open = iota
	byProgress
	byClient // a text that says it in pieces
)

// outBuffer is how much output is held back at most, in bytes.
const outBuffer = 32 << 10

// NewPrinter returns a Printer.
func NewPrinter(c Config) *Printer {
	if c.Now == nil {
		c.Now = time.Now
	}
	o := c.Opt
	silent := c.Out == nil
	if silent {
		c.Out, c.Err = io.Discard, io.Discard
	}
	p := &Printer{
		c: c, silent: silent || o.Quiet > 0, charset: c.Charset,
		flush: o.Outbuf == 'N' || o.Outbuf == 'L' || o.Outbuf == 0 && c.Terminal,
		out:   bufio.NewWriterSize(c.Out, outBuffer),
		scene: Scene{Times: o.Times, Local: c.Local, Pid: os.Getpid()},
	}
	p.info = p.out
	if o.Stderr == 'a' {
		p.info = c.Err
	}
	if o.EightBit {
		p.charset = Bytes
	}
	if o.HasOutFormat || o.OutFormat != "" {
		p.format = ParseFormat(o.OutFormat)
	}
	if c.Log != nil && !(silent && o.DryRun) {
		p.logged = ParseFormat(o.LogFormat)
	}
	p.itemizing = p.format != nil && p.format.Has('i')
	if silent {
		p.itemizing = p.logged != nil && p.logged.Has('i')
	}
	if level := o.Info[option.InfoProgress]; level > 0 && !p.silent {
		p.meter = &meter{total: level > 1, human: o.HumanReadable}
	}
	return p
}

// Text implements Talk.
func (p *Printer) Text(code wire.Code, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if code != wire.CodeClient && p.c.Log != nil {
		p.c.Log.Line(text)
	}
	switch code {
	case wire.CodeLog:
	case wire.CodeClient:
		if !p.silent {
			p.piece(text)
		}
	case wire.CodeInfo:
		if !p.silent {
			p.line(p.info, text)
		}
	default:
		p.line(p.c.Err, text)
	}
}

// piece writes a text that need not be a whole line.
func (p *Printer) piece(text string) {
	if text == "" {
		p.endLine()
		return
	}
	if p.open == byClient {
		p.open = ended
	}
	p.write(p.info, text)
	if !strings.HasSuffix(text, "\n") {
		p.open = byClient
		_ = p.out.Flush()
	}
}

// line writes a line with its control bytes escaped.
func (p *Printer) line(to io.Writer, text string) {
	p.buf = append(Escape(p.buf[:0], text, p.charset), '\n')
	p.write(to, string(p.buf))
}

// write writes a text as it is. If a line is open the text begins a new one, be
// it on the other stream, as in rsync. What is held back for the standard output
// comes before an error.
func (p *Printer) write(to io.Writer, text string) {
	if p.open != ended {
		p.open = ended
		text = "\n" + text
	}
	if to != io.Writer(p.out) {
		_ = p.out.Flush()
	}
	_, _ = io.WriteString(to, text)
	if p.flush {
		_ = p.out.Flush()
	}
}

// Item implements Talk.
func (p *Printer) Item(e *Event, before bool) {
	transfer := e.Flags&wire.ItemTransfer != 0
	if transfer && before && p.meter != nil {
		p.mu.Lock()
		p.meter.begin(p.c.Now())
		p.mu.Unlock()
	}
	if !p.silent && p.format != nil && p.due(p.format, e, before) {
		p.mu.Lock()
		p.line(p.info, p.expand(p.format, e))
		p.mu.Unlock()
	}
	if p.logs(e) && p.due(p.logged, e, before) {
		p.mu.Lock()
		p.c.Log.Line(p.expand(p.logged, e))
		p.mu.Unlock()
	}
}

// logs decides whether an event is for the log: of a dry run a client's has what
// would be made, but not what would be sent, and a server's nothing.
func (p *Printer) logs(e *Event) bool {
	return p.logged != nil && !p.logged.Empty() && !(p.c.Opt.DryRun && e.Flags&wire.ItemTransfer != 0)
}

// due decides whether an event is shown, and at which of its two calls (5.2,
// 5.3).
func (p *Printer) due(f *Format, e *Event, before bool) bool {
	if e.Flags&wire.ItemTransfer != 0 {
		return before != f.Late()
	}
	significant := e.Flags&wire.ItemSignificant != 0
	named := e.HasXname && e.Leader != ""
	switch {
	case before:
		return false
	case named:
		return true
	case p.itemizing && (significant || p.c.Opt.Itemize > 1 || p.c.Opt.Info[option.InfoName] > 1):
		return true
	}
	return significant && (e.Flags&wire.ItemLocalChange != 0 || e.Meta.IsDir())
}

func (p *Printer) expand(f *Format, e *Event) string {
	p.scene.Now = p.c.Now()
	return string(f.Expand(nil, e, &p.scene))
}

// Deleted implements Talk.
func (p *Printer) Deleted(name tree.Path, m tree.Meta) {
	e := Deletion(name, m)
	e.NoGroup = !p.c.Opt.Group
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.silent && (p.format != nil || p.c.Opt.Info[option.InfoDel] > 0) {
		format := p.format
		if format == nil {
			format = &Format{}
		}
		p.line(p.info, p.expand(format, e))
	}
	if p.logged != nil && !p.c.Opt.DryRun {
		p.c.Log.Line(p.expand(p.logged, e))
	}
}

// Deletion is the event of an item that was removed.
func Deletion(name tree.Path, m tree.Meta) *Event {
	return &Event{Flags: wire.ItemDeleted, Path: name, Meta: tree.Meta{Kind: m.Kind, Perm: m.Perm}}
}

// Progress implements Talk.
func (p *Printer) Progress(state Progress, done bool) {
	if p.meter == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	line := p.meter.update(state, done, p.c.Now())
	if line == "" || !done && p.c.Background != nil && p.c.Background() {
		return
	}
	if p.open == byClient {
		line = "\n" + line
	}
	if p.open = byProgress; strings.HasSuffix(line, "\n") {
		p.open = ended
	}
	_, _ = io.WriteString(p.info, line)
	_ = p.out.Flush()
}

// Close writes what was held back.
func (p *Printer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLine()
	return p.out.Flush()
}

// endLine ends the open line, if there is one.
func (p *Printer) endLine() {
	if p.open != ended {
		p.open = ended
		_, _ = io.WriteString(p.info, "\n")
	}
}

var _ Talk = (*Printer)(nil)
