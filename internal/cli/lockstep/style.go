package lockstep

import (
	"io"
	"os"
)

// style is how a word looks on a terminal: an SGR parameter (ECMA-48 8.3.117).
type style string

const (
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// colourful reports whether w wants colours: a terminal that has some, and
// nobody who asked for none (no-color.org).
func colourful(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// paint gives text for the output a style, if that shows any.
func (c *console) paint(s style, text string) string {
	if !c.colour || s == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}
