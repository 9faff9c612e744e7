package inotify

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// paths are what is to be watched, and what -r does not go into.
type paths struct {
	watch []string
	skip  map[string]bool // without a final slash
}

func (p *paths) add(word string) {
	switch {
	case word == "" || word == "@":
	case word[0] == '@':
		p.skip[strings.TrimSuffix(word[1:], "/")] = true
	default:
		p.watch = append(p.watch, word)
	}
}

// maxPathLine is where longer lines of --fromfile are split, in bytes.
const maxPathLine = 4095

// collect gathers the paths of --fromfile and of the command line. A file that
// cannot be read is told and left out.
func (s *settings) collect(in io.Reader, tell func(string)) (paths, error) {
	p := paths{skip: map[string]bool{}}
	if s.daemon && detached() {
		// Relative paths are seen from where a daemon is.
		if err := os.Chdir("/"); err != nil {
			return p, err
		}
		all, err := io.ReadAll(in)
		for word := range strings.SplitSeq(string(all), "\x00") {
			p.add(word)
		}
		return p, err
	}
	if s.fromFile != "" {
		if s.fromFile != "-" {
			f, err := os.Open(s.fromFile)
			if err != nil {
				tell("Couldn't open " + s.fromFile + ": " + strerror(err))
				in = strings.NewReader("")
			} else {
				defer f.Close()
				in = f
			}
		}
		lines := bufio.NewReaderSize(in, maxPathLine)
		for {
			line, err := lines.ReadSlice('\n')
			p.add(strings.TrimSuffix(string(line), "\n"))
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
		}
	}
	for _, word := range s.operands {
		p.add(word)
	}
	if len(p.watch) == 0 {
		return p, wrong("No files specified to watch!")
	}
	return p, nil
}

// strerror is the text of err as the C library has it.
func strerror(err error) string {
	var no unix.Errno
	if !errors.As(err, &no) {
		return err.Error()
	}
	text := []rune(no.Error())
	text[0] = unicode.ToUpper(text[0])
	return string(text)
}
