package option_test

import (
	"strings"
	"testing"

	"lockstep/internal/rsync/option"
)

func TestWhereTLSIsSpoken(t *testing.T) {
	for _, c := range []struct {
		words string
		tls   bool // by the URL
		err   string
	}{
		{"-r rsyncs://h/m d", true, ""},
		{"-r RSYNCS://u@h:999/m d", true, ""},
		{"-r s rsyncs://[::1]/m", true, ""},
		{"-r rsync://h/m d", false, ""},
		{"-r rsyncs:/h/m d", false, ""}, // a path on a host of that name
		{"-r --tls h::m d", false, ""},
		{"-r --tls-ca=f rsyncs://h/m d", true, ""},
		{"-r --tls-ca=f rsync://h/m d", false, "The connection would have no TLS"},
		{"-r --tls-cert=f h::m d", false, "The connection would have no TLS"},
		{"-r --tls h:m d", false, "only be used when connecting to an rsync daemon"},
		{"-r --tls s d", false, "only be used when connecting to an rsync daemon"},
		{"-r -e ssh rsyncs://h/m d", false, "TLS and --rsh cannot be used together"},
		{"-r rsyncs://h/m/a rsync://h/m/b d", false, "All source args must use TLS, or none"},
	} {
		set, err := option.Parse(option.Input{Words: strings.Fields(c.words), Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		ops, err := set.Operands()
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.words, err)
			}
		case err != nil || ops.Remote.TLS != c.tls:
			t.Errorf("%s: %+v, %v", c.words, ops, err)
		}
	}
}
