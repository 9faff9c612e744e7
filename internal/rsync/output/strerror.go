package output

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// Strerror is a system error as rsync prints it: "No such file or directory
// (2)". Any other error is its own text.
func Strerror(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	return fmt.Sprintf("%s (%d)", Sentence(errno), int(errno))
}

// Sentence is the C library's text for an error, which begins with a capital.
func Sentence(errno syscall.Errno) string {
	if errno == 0 {
		return "Success"
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}
