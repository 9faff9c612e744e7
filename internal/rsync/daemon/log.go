package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// LogTo is where a log goes. The file of it is open, and can be handed to
// another process.
type LogTo struct {
	Syslog   bool
	Tag      string // of syslog
	Priority int    // of syslog: facility and level
	ID       int    // stands for the process in every line: the number of the connection
	JSON     bool   // lines are JSON objects
}

// journal is a log: lines of a file, or messages to syslog.
type journal struct {
	LogTo
	shared bool         // the file, with other connections
	file   *os.File     // the file, or a socket
	log    *output.Log  // nil with JSON, and without a file
	json   *slog.Logger // nil without
}

// newJournal writes to file, which may be nil: then nothing is logged.
func newJournal(to LogTo, file *os.File) *journal {
	j := &journal{LogTo: to, file: file}
	if file == nil {
		return j
	}
	var w io.Writer = file
	if to.Syslog {
		w = &syslogWriter{to: file, LogTo: to}
	}
	if to.JSON {
		j.json = newJSON(w).With(slog.Int("connection", to.ID))
	} else {
		j.log = output.NewLog(w, to.ID, nil)
	}
	return j
}

// newJSON writes a line for each record: its time, its event and what belongs to
// that.
func newJSON(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		switch {
		case len(groups) > 0:
		case a.Key == slog.LevelKey:
			return slog.Attr{}
		case a.Key == slog.MessageKey:
			a.Key = "event"
		}
		if a.Value.Kind() == slog.KindDuration {
			return slog.Float64(a.Key+"_seconds", a.Value.Duration().Seconds())
		}
		return a
	}}))
}

// Line logs one line.
func (j *journal) Line(line string) {
	switch {
	case line == "":
	case j.json != nil:
		j.event("line", slog.String("text", line))
	case j.log != nil:
		j.log.Line(line)
	}
}

// event logs what programs want to know, with JSON only: lines have the same for
// people.
func (j *journal) event(name string, about ...slog.Attr) {
	if j.json != nil {
		j.json.LogAttrs(context.Background(), slog.LevelInfo, name, about...)
	}
}

// to is what a further log of the same connection has in common with this one.
func (j *journal) to() LogTo { return LogTo{ID: j.ID, JSON: j.JSON} }

func (j *journal) linef(format string, words ...any) { j.Line(fmt.Sprintf(format, words...)) }

func (j *journal) close() {
	if j.file != nil && j.file != os.Stderr && !j.shared {
		j.file.Close()
	}
}

// facilities are the names of syslog's.
var facilities = map[string]int{
	"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "security": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "cron": 9,
	"authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}

const (
	daemonFacility = 3
	infoLevel      = 6
	syslogSocket   = "/dev/log"
)

// facilityOf is a facility by its name.
func facilityOf(name string) int {
	if n, ok := facilities[strings.ToLower(name)]; ok {
		return n
	}
	return daemonFacility
}

// openJournal opens a log file, or else syslog, or else the last resort. to has
// what is known of the log besides.
func (s *Server) openJournal(j jail, file, facility, tag string, to LogTo) *journal {
	var trouble error
	if file != "" {
		f, err := s.logs.get(j, file)
		if err == nil {
			log := newJournal(to, f)
			log.shared = true
			return log
		}
		trouble = err
	}
	log := newJournal(to, s.lastResort)
	to.Syslog, to.Tag, to.Priority = true, tag, facilityOf(facility)<<3|infoLevel
	if system, err := syslogAt(syslogSocket, to); err == nil {
		log = system
	}
	if trouble != nil {
		log.linef("failed to open log file %q: %v; using syslog instead", file, trouble)
	}
	return log
}

// syslogAt logs to the socket of syslog.
func syslogAt(socket string, to LogTo) (*journal, error) {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	f, err := conn.File()
	if err != nil {
		return nil, err
	}
	return newJournal(to, f), nil
}

// syslogWriter makes datagrams of lines that a file would get.
type syslogWriter struct {
	to io.Writer
	LogTo
}

func (w *syslogWriter) Write(line []byte) (int, error) {
	text := bytes.TrimSuffix(line, []byte("\n"))
	if w.JSON {
		_, err := fmt.Fprintf(w.to, "<%d>%s %s[%d]: %s", w.Priority, time.Now().Format(time.Stamp), w.Tag, w.ID, text)
		return len(line), err
	}
	if _, rest, ok := bytes.Cut(text, []byte("] ")); ok { // syslog has its own time
		text = rest
	}
	stamp := time.Now().Format(time.Stamp)
	_, err := fmt.Fprintf(w.to, "<%d>%s %s[%d]: %s", w.Priority, stamp, w.Tag, w.ID, text)
	return len(line), err
}

// transferTalk logs what happens in a transfer.
type transferTalk struct {
	journal *journal
	format  *output.Format // of transferred files; nil logs none
	scene   output.Scene
	module  string
	way     string // "recv" or "send"
	owner   bool   // owners and groups are part of the transfer
	group   bool
	all     bool // what is the same is logged, too, if the format can tell

	below func() string // the directory that files arrive in; nil at a sender

	mu     sync.Mutex
	totals Totals
	dir    *string // what below gave
}

func newTransferTalk(j *journal, m *Module, opt *option.Set, scene output.DaemonScene) *transferTalk {
	t := &transferTalk{journal: j, module: m.Name, way: "recv", owner: opt.Owner, group: opt.Group, all: opt.Itemize > 1, scene: output.Scene{Times: opt.Times, Pid: j.ID, Daemon: &scene}}
	if opt.Sender {
		t.way = "send"
	}
	if m.LogTransfers && !opt.DryRun {
		t.format = output.ParseFormat(m.LogFormat)
	}
	return t
}

// Text implements output.Talk.
func (t *transferTalk) Text(code wire.Code, text string) {
	if code != wire.CodeClient {
		t.journal.Line(text)
	}
}

// transferred are the flags of an entry whose data came over.
const transferred = wire.ItemTransfer

// Item implements output.Talk. What has changed without data is logged, as by
// rsync, if the format can tell what it is.
func (t *transferTalk) Item(e *output.Event, before bool) {
	switch {
	case before:
		return
	case e.Flags&transferred != 0 && e.Meta.Kind == tree.File:
		t.mu.Lock()
		t.totals.Files++
		t.totals.Bytes += e.Meta.Size
		t.mu.Unlock()
	case e.Flags&wire.ItemSignificant == 0 && !t.all, t.format == nil || !t.format.Has('i'), t.journal.json != nil:
		return
	}
	t.line(e)
}

func (t *transferTalk) line(e *output.Event) {
	if t.format == nil {
		return
	}
	scene := t.scene
	scene.Now = time.Now()
	shown := *e
	if t.below != nil {
		shown.Dir = t.arrival()
	}
	if !t.owner {
		shown.Meta.UID = 0
	}
	shown.NoGroup = shown.NoGroup || !t.group
	if t.journal.json != nil {
		way := t.way
		if e.Flags&wire.ItemDeleted != 0 {
			way = "del."
		}
		t.journal.event("file", slog.String("module", t.module), slog.String("way", way), slog.String("path", path.Join(shown.Dir, string(shown.Path))), slog.Int64("size", e.Meta.Size))
		return
	}
	t.journal.Line(string(t.format.Expand(nil, &shown, &scene)))
}

// arrival is the directory in front of the names of what arrives.
func (t *transferTalk) arrival() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dir == nil {
		dir := t.below()
		t.dir = &dir
	}
	return *t.dir
}

// Deleted implements output.Talk.
func (t *transferTalk) Deleted(name tree.Path, m tree.Meta) {
	t.line(output.Deletion(name, m))
}

// Progress implements output.Talk.
func (t *transferTalk) Progress(output.Progress, bool) {}
