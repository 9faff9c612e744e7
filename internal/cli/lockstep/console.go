package lockstep

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// console writes for people. Lines about the work go to out; warnings, errors
// and hints go to err. On a terminal the last line of err may be a status that
// is rewritten in place; every other line moves it down. It may be used from
// several goroutines.
type console struct {
	out, err io.Writer
	terminal bool // err is one
	colour   bool // out shows colours
	columns  func() int

	mu     sync.Mutex
	status string // what stands on the terminal's last line
	broken error  // the first failure of out
}

// newConsole makes a console of two streams and finds out whether err is a
// terminal.
func newConsole(out, errs io.Writer) *console {
	c := &console{out: out, err: errs, colour: colourful(out)}
	if f, ok := errs.(*os.File); ok && isTerminal(errs) {
		c.terminal = true
		c.columns = func() int {
			if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
				return int(size.Col)
			}
			return 80
		}
	}
	return c
}

// isTerminal reports whether what is written to w is seen at once by a person.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// width is how many columns help text may take.
func (c *console) width() int {
	if c.columns == nil {
		return 80
	}
	return min(c.columns(), 110)
}

// printf writes a line about the work.
func (c *console) printf(format string, args ...any) {
	c.write(c.out, fmt.Sprintf(format, args...))
}

// warnf writes a line about something that is not as it should be.
func (c *console) warnf(format string, args ...any) {
	c.write(c.err, "lockstep: warning: "+fmt.Sprintf(format, args...))
}

// errorf writes a line about something that failed.
func (c *console) errorf(format string, args ...any) {
	c.write(c.err, "lockstep: error: "+fmt.Sprintf(format, args...))
}

// hintf writes the step that helps after a warning or an error.
func (c *console) hintf(format string, args ...any) {
	c.write(c.err, "lockstep: hint: "+fmt.Sprintf(format, args...))
}

func (c *console) write(w io.Writer, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status != "" {
		fmt.Fprint(c.err, "\r\x1b[K")
	}
	if _, err := io.WriteString(w, line+"\n"); err != nil && w == c.out && c.broken == nil {
		c.broken = err
	}
	if c.status != "" {
		fmt.Fprint(c.err, c.status)
	}
}

// setStatus rewrites the status line, "" takes it away. It does nothing where
// there is no terminal.
func (c *console) setStatus(line string) {
	if !c.terminal {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	line = cutTo(line, c.columns()-1)
	if line == c.status {
		return
	}
	c.status = line
	fmt.Fprint(c.err, "\r\x1b[K"+line)
}

// failure is the first error of writing to out.
func (c *console) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// cutTo shortens a line to a number of characters.
func cutTo(line string, columns int) string {
	if columns < 1 || utf8.RuneCountInString(line) <= columns {
		return line
	}
	runes := []rune(line)
	return strings.TrimRight(string(runes[:columns-1]), " ") + "…"
}
