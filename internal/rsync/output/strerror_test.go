package output

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
)

func TestSystemErrorsReadAsInC(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("open x: %w", syscall.ENOENT), "No such file or directory (2)"},
		{syscall.EILSEQ, "Invalid or incomplete multibyte or wide character (84)"},
		{errors.New("ours"), "ours"},
		{syscall.Errno(0), "Success (0)"},
	} {
		if got := Strerror(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
