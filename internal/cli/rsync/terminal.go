package rsync

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/session"
)

// isTerminal tells if a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// inBackground tells if a stream is a terminal that another process group has.
func inBackground(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group != unix.Getpgrp()
}

// charset is the character set of the locale, as far as it matters: UTF-8, or
// one of which nothing but ASCII is known.
func charset(getenv func(string) string) output.Charset {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToLower(getenv(name)); locale != "" {
			if strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8") {
				return output.UTF8
			}
			break
		}
	}
	return output.ASCII
}

// maxPassword bounds what is typed.
const maxPassword = 1024

// askPassword asks at the process's terminal, which does not show what is typed.
// A process without one reads a line of its standard input.
func (c *Command) askPassword(prompt string) (password string, err error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		fmt.Fprint(c.Err, prompt)
		return session.ReadPassword(c.In)
	}
	defer func() { err = errors.Join(err, tty.Close()) }()
	shown, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("ask for the password: %w", err)
	}
	hidden := *shown
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETSF, &hidden); err != nil {
		return "", fmt.Errorf("ask for the password: %w", err)
	}
	defer func() {
		err = errors.Join(err, unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETSF, shown))
		_, _ = io.WriteString(tty, "\n")
	}()
	if _, err := io.WriteString(tty, prompt); err != nil {
		return "", fmt.Errorf("ask for the password: %w", err)
	}
	line := make([]byte, maxPassword)
	n, err := tty.Read(line)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("ask for the password: %w", err)
	}
	return strings.TrimRight(string(line[:n]), "\r\n"), nil
}
