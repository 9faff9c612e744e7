package target_test

import (
	"testing"

	"lockstep/internal/live/target"
)

func TestParseSpec(t *testing.T) {
	for _, c := range []struct {
		in   string
		want target.Spec
		bad  bool
	}{
		{in: "/srv/copy", want: target.Spec{Path: "/srv/copy"}},
		{in: "./a:b", want: target.Spec{Path: "./a:b"}},
		{in: "host:dir/x", want: target.Spec{Transport: target.Shell, Host: "host", Path: "dir/x"}},
		{in: "u@host:", want: target.Spec{Transport: target.Shell, User: "u", Host: "host"}},
		{in: "host::web1", want: target.Spec{Transport: target.Daemon, Host: "host", Module: "web1"}},
		{in: "liang@192.0.2.1::web1/a/b", want: target.Spec{Transport: target.Daemon, User: "liang", Host: "192.0.2.1", Module: "web1", Path: "a/b"}},
		{in: "rsync://u@host:8730/mod/p/q", want: target.Spec{Transport: target.Daemon, User: "u", Host: "host", Port: "8730", Module: "mod", Path: "p/q"}},
		{in: "rsync://[2001:db8::1]:8730/mod", want: target.Spec{Transport: target.Daemon, Host: "2001:db8::1", Port: "8730", Module: "mod"}},
		{in: "rsync://[2001:db8::1]/mod", want: target.Spec{Transport: target.Daemon, Host: "2001:db8::1", Module: "mod"}},
		{in: "rsyncs://u@host/mod/p", want: target.Spec{Transport: target.Daemon, TLS: true, User: "u", Host: "host", Module: "mod", Path: "p"}},
		{in: "[2001:db8::1]::mod/x", want: target.Spec{Transport: target.Daemon, Host: "2001:db8::1", Module: "mod", Path: "x"}},
		{in: "u@[::1]:path", want: target.Spec{Transport: target.Shell, User: "u", Host: "::1", Path: "path"}},
		{in: "", bad: true},
		{in: "host::", bad: true},
		{in: "rsync://host/", bad: true},
		{in: "rsync://host:99999/m", bad: true},
		{in: "-oProxyCommand=x:path", bad: true},
		{in: "ho st::m", bad: true},
		{in: "host::m\nx", bad: true},
	} {
		got, err := target.ParseSpec(c.in)
		c.want.Text = c.in
		if (err != nil) != c.bad || !c.bad && got != c.want {
			t.Errorf("ParseSpec(%q) = %+v, %v; want %+v", c.in, got, err, c.want)
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, s := range []string{"/a", "h:p", "u@h::m/p", "rsync://u@[::1]:1/m/p", "[::1]:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sp, err := target.ParseSpec(s)
		if err == nil && sp.Transport != target.Local && (sp.Host == "" || sp.Host[0] == '-') {
			t.Errorf("ParseSpec(%q) accepts host %q", s, sp.Host)
		}
	})
}
