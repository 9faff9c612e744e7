package lockstep

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/ops/control"
	"lockstep/internal/ops/report"
)

// watchStatus shows the status until a signal ends it. On a terminal it takes
// the whole screen, and waits for a lockstep that does not answer.
func (a *app) watchStatus(o *askOptions, every time.Duration) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(stop)
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	tick := time.NewTicker(max(every, 50*time.Millisecond))
	defer tick.Stop()
	var scr *screen
	var keys <-chan byte
	if !o.json && isTerminal(a.console.out) {
		scr = newScreen(a.console.out.(*os.File))
		defer scr.close()
		keys = scr.keys(a.in)
	}
	var c *control.Client
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for {
		status, err := o.refresh(&c)
		switch {
		case scr != nil:
			columns, rows := scr.size()
			scr.draw(screenText(status, err, time.Now(), columns, rows, a.console.paint))
		case err != nil:
			return err
		default:
			a.tellStatus(o.json, *status)
		}
		if a.console.failure() != nil {
			return nil // the reader went away
		}
		select {
		case <-stop:
			return nil
		case k := <-keys:
			if k == 'q' {
				return nil
			}
		case <-resized:
		case <-tick.C:
		}
	}
}

// refresh asks for a status over a connection that is opened if it has to be.
func (o *askOptions) refresh(c **control.Client) (*report.Status, error) {
	if *c == nil {
		opened, err := o.dial()
		if err != nil {
			return nil, err
		}
		*c = opened
	}
	reply, err := asked((*c).Do(control.Request{Op: control.OpStatus}))
	if err != nil {
		(*c).Close()
		*c = nil
		return nil, err
	}
	return reply.Status, nil
}

// screen is a terminal that is drawn on as a whole: its other buffer, without
// a cursor (xterm's control sequences, "The Alternate Screen Buffer").
type screen struct {
	f    *os.File
	mode *unix.Termios // to be put back
	in   int
}

func newScreen(f *os.File) *screen {
	s := &screen{f: f}
	_, _ = io.WriteString(f, "\x1b[?1049h\x1b[?25l") // what cannot be drawn on shows by what follows
	return s
}

// keys has single keys come in as they are typed, if in is a terminal.
func (s *screen) keys(in io.Reader) <-chan byte {
	f, ok := in.(*os.File)
	if !ok || !isTerminal(f) {
		return nil
	}
	mode, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil
	}
	raw := *mode
	raw.Lflag &^= unix.ICANON | unix.ECHO
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &raw) != nil {
		return nil
	}
	s.mode, s.in = mode, int(f.Fd())
	keys := make(chan byte)
	go func() { // ends with the process, which ends with the view
		var b [1]byte
		for {
			if n, err := f.Read(b[:]); n == 0 || err != nil {
				return
			}
			keys <- b[0]
		}
	}()
	return keys
}

// size is how much fits, a usual terminal if that is not known.
func (s *screen) size() (columns, rows int) {
	if w, err := unix.IoctlGetWinsize(int(s.f.Fd()), unix.TIOCGWINSZ); err == nil && w.Col > 0 && w.Row > 0 {
		return int(w.Col), int(w.Row)
	}
	return 80, 24
}

// draw replaces what is shown, line by line, so that nothing flickers.
func (s *screen) draw(lines []string) {
	_, _ = io.WriteString(s.f, "\x1b[H"+strings.Join(lines, "\x1b[K\r\n")+"\x1b[K\x1b[J") // a terminal that is gone ends us by SIGHUP
}

func (s *screen) close() {
	if s.mode != nil {
		_ = unix.IoctlSetTermios(s.in, unix.TCSETS, s.mode)
	}
	_, _ = io.WriteString(s.f, "\x1b[?25h\x1b[?1049l")
}

// toneStyles are the colours of the tones.
var toneStyles = map[report.Tone]style{report.Good: green, report.Busy: yellow, report.Calm: dim, report.Bad: red}

// screenText is the view: lines that fit. Without a status err says why.
func screenText(s *report.Status, err error, now time.Time, columns, rows int, paint func(style, string) string) []string {
	v := view{columns: columns, paint: paint}
	if s == nil {
		v.line(bold, "lockstep")
		v.line("", "")
		v.line(red, "! "+plain(err.Error()))
		v.line(dim, "It is tried again. q ends this view.")
		return v.lines
	}
	v.line(dim, fmt.Sprintf("%s · pid %d · up %s · %s · %s", plain(s.Version), s.PID, span(now.Sub(s.Started)), tree.Quote(s.File), clock(now)))
	tone, verdict := s.Verdict()
	v.line(toneStyles[tone], tone.Sign()+" "+verdict)
	for i := range s.Mirrors {
		v.mirror(&s.Mirrors[i], now)
	}
	if len(v.lines) > rows-1 {
		v.lines = v.lines[:max(rows-2, 1)]
		v.line(dim, "… more than fits; lockstep status shows all")
	}
	v.line(dim, "q ends this view")
	return v.lines
}

// view collects lines.
type view struct {
	columns int
	paint   func(style, string) string
	lines   []string
}

// line adds a line, cut to what fits.
func (v *view) line(s style, text string) {
	v.lines = append(v.lines, v.paint(s, cutTo(text, v.columns)))
}

func (v *view) mirror(m *report.Mirror, now time.Time) {
	v.line("", "")
	head := m.Name + "  " + tree.Quote(m.Source)
	if m.Backend != "" {
		head += fmt.Sprintf(" · %s · %s", count(m.Entries, "entry"), m.Backend)
	}
	if m.State != report.Running {
		head += " · " + m.State + " for " + span(now.Sub(m.Since))
	}
	v.line(bold, head)
	if m.State != report.Running && m.Error != "" {
		v.trouble(report.Explain(m.Error, m.Hint))
	}
	name := 0
	for _, t := range m.Targets {
		name = max(name, utf8.RuneCountInString(tree.Quote(t.Target)))
	}
	name = min(name, max(v.columns-52, 16))
	for _, t := range m.Targets {
		v.target(&t, name, now)
	}
}

func (v *view) target(t *report.Target, name int, now time.Time) {
	tone, lag := t.Tone(), ""
	if t.Oldest != nil {
		lag = "lag " + span(time.Duration(t.LagSeconds*float64(time.Second)))
	}
	if t.Behind > 0 {
		lag = strings.TrimSpace(lag + ", " + count(t.Behind, "path"))
	} else if t.PerMinute > 0 && lag == "" {
		lag = count(t.PerMinute, "batch") + "/min"
	}
	label := cutTo(tree.Quote(t.Target), name)
	text := fmt.Sprintf("  %s %-*s  %-10s %-8s %s", tone.Sign(), name, label, t.State, span(now.Sub(t.Since)), lag)
	v.line(toneStyles[tone], strings.TrimRight(text, " "))
	if t.Pass != (report.Pass{}) {
		v.line("", "      "+bar(t.Pass.Percent(), 20)+" "+t.Pass.Words(span))
	}
	if tone == report.Bad && t.Error != "" {
		v.trouble(report.Explain(t.Error, t.Hint))
	}
}

func (v *view) trouble(t report.Trouble) {
	v.line("", "      "+plain(t.Words))
	v.line(dim, "      "+plain(t.Next))
}

// bar draws how much of something is done.
func bar(percent, width int) string {
	done := min(max(percent, 0), 100) * width / 100
	return strings.Repeat("█", done) + strings.Repeat("░", width-done)
}
