package output

import (
	"io"
	"strconv"
	"sync"
	"time"
)

// logTime is how log files, and %t, write the time.
const logTime = "2006/01/02 15:04:05"

// Log writes a client's or a daemon's log file: every line with the time and the
// process (5.9). It may be used from any goroutine; what cannot be written is
// lost.
type Log struct {
	mu  sync.Mutex
	to  io.Writer
	pid string
	now func() time.Time
	buf []byte
}

// NewLog returns a log that is written to. now is the clock, nil the usual one.
func NewLog(to io.Writer, pid int, now func() time.Time) *Log {
	if now == nil {
		now = time.Now
	}
	return &Log{to: to, pid: " [" + strconv.Itoa(pid) + "] ", now: now}
}

// Line writes a line, with its control bytes escaped.
func (l *Log) Line(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = l.now().AppendFormat(l.buf[:0], logTime)
	l.buf = append(l.buf, l.pid...)
	l.buf = append(escapeLog(l.buf, line), '\n')
	_, _ = l.to.Write(l.buf)
}
