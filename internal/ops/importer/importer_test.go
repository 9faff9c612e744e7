package importer_test

import (
	"strings"
	"testing"

	"lockstep/internal/ops/importer"
)

// want is what has to be in the configuration and in the notes.
func want(t *testing.T, r *importer.Result, err error, texts, notes []string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, n := range r.Notes {
		all.WriteString(n.String() + "\n")
	}
	for _, n := range notes {
		if !strings.Contains(all.String(), n) {
			t.Errorf("the notes lack %q:\n%s", n, all.String())
		}
	}
	if texts == nil {
		if !r.Refused() {
			t.Errorf("nothing is refused:\n%s", all.String())
		}
		return
	}
	text, err := r.Text()
	if r.Refused() || err != nil {
		t.Fatalf("%v\n%s", err, all.String())
	}
	for _, line := range texts {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("it lacks %s\n%s", line, text)
		}
	}
}

const confxml = `<?xml version="1.0" encoding="ISO-8859-1"?>
<head version="2.5">
  <host hostip="localhost" port="8008"></host>
  <filter start="true"><exclude expression="(.*)\.part"/><exclude expression="^data/*"/></filter>
  <inotify><delete start="true"/><createFolder start="true"/>
    <closeWrite start="true"/><moveFrom start="true"/><moveTo start="true"/></inotify>
  <sersync>
    <localpath watch="/srv/site"><remote ip="192.0.2.11" name="web1"/># a note <remote ip="192.0.2.12" name="web2"/></localpath>
    <rsync><commonParams params="-artuz"/>
      <auth start="true" users="push" passwordfile="/etc/push.pass"/>
      <userDefinedPort start="false" port="874"/>
      <timeout start="true" time="60"/></rsync>
    <crontab start="true" schedule="720"><crontabfilter start="true">
      <exclude expression="*.part"/></crontabfilter></crontab>
  </sersync>
</head>`

func TestSersync(t *testing.T) {
	r, err := importer.Sersync([]byte(confxml))
	want(t, r, err, []string{
		"[mirror.site]", "source = '/srv/site'", "targets = ['push@192.0.2.11::web1', 'push@192.0.2.12::web2']",
		"exclude = ['*.part', '/data', '*.part']", "verify = '*-*-* 00/12:00'", "delete = true", "compress = true", "password_file = '/etc/push.pass'",
	}, []string{
		"line 3: host: dropped", "line 9: commonParams -u: warning", "line 12: timeout: dropped", "line 13: crontab: mapped, verify = *-*-* 00/12:00",
		"line 4: filter exclude ^data/*: mapped, exclude /data",
	})
	for name, c := range map[string]struct{ from, to, note string }{
		"an expression that is no pattern": {`^data/*`, `(a|b)+x`, "line 4: filter exclude (a|b)+x: refused"},
		"folders that are not followed":    {`<createFolder start="true"/>`, `<createFolder start="false"/>`, "line 5: inotify createFolder: refused"},
		"an unknown option":                {`-artuz`, `-a --chmod=D755`, "commonParams --chmod: refused"},
		"followed links":                   {`-artuz`, `-aL`, "commonParams -L: refused"},
		"a plugin":                         {`</sersync>`, `<plugin start="true" name="command"/></sersync>`, "plugin: refused"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := importer.Sersync([]byte(strings.Replace(confxml, c.from, c.to, 1)))
			want(t, r, err, nil, []string{c.note})
		})
	}
	r, err = importer.Sersync([]byte(strings.Replace(confxml, `<userDefinedPort start="false"`, `<userDefinedPort start="true"`, 1)))
	want(t, r, err, []string{"targets = ['rsync://push@192.0.2.11:874/web1', 'rsync://push@192.0.2.12:874/web2']"}, nil)
	for schedule, when := range map[string]string{"60": "hourly", "15": "*:00/15", "1440": "daily", "0": "daily", "7": "hourly", "480": "*-*-* 00/8:00"} {
		r, err = importer.Sersync([]byte(strings.Replace(confxml, `schedule="720"`, `schedule="`+schedule+`"`, 1)))
		want(t, r, err, []string{"verify = '" + when + "'"}, nil)
	}
	for _, bad := range []string{"", "<x/>", "<head", strings.Repeat("<a>", 100)} {
		if _, err := importer.Sersync([]byte(bad)); err == nil {
			t.Errorf("%q is imported", bad)
		}
	}
}

func TestLsyncd(t *testing.T) {
	for name, c := range map[string]struct {
		text         string
		lines, notes []string
	}{
		"the usual form": {`
settings { logfile = "/var/log/lsyncd.log", insist = true } -- a note
sync {
	default.rsync,
	source = "/web/www", target = "liang@web1::www",
	delay = 5, exclude = { "*.swp", '/cache' },
	rsync = { archive = true, compress = true, password_file = "/etc/web1.pass", bwlimit = 1024*2, _extra = {"--numeric-ids"} },
}`, []string{"[mirror.www]", "source = '/web/www'", "targets = ['liang@web1::www']", "exclude = ['*.swp', '/cache']", "delete = true",
			"password_file = '/etc/web1.pass'", "compress = true", "numeric_ids = true", "bwlimit = '2048'"},
			[]string{"line 2: settings insist: dropped", "line 6: delay: dropped", "line 7: rsync password_file: mapped"}},
		"a loop over targets": {`
local targets = { "web1::www", "web2" .. "::www", }
for _, t in ipairs(targets) do
	sync { default.rsync, source = "/web/www", target = t, delete = false }
end`, []string{"targets = ['web1::www', 'web2::www']", "delete = false"}, []string{"owner, group, permissions"}},
		"a base table": {`base = { default.rsync, source = "/s", rsync = { archive = true, compress = true } }
sync { base, target = "/t", rsync = { compress = false } }
sync { base, target = [[/u]], }`, []string{"[mirror.s]", "[mirror.s-2]", "targets = ['/t']", "targets = ['/u']"}, nil},
		"ssh": {`sync { default.rsyncssh, source="/s", host="deploy@web3", targetdir="/web",
ssh = { port = 2222, identityFile = "/k y", options = { StrictHostKeyChecking = "no" } } }`,
			[]string{"targets = ['deploy@web3:/web']", "shell = \"ssh -p 2222 -i '/k y' -o StrictHostKeyChecking=no\""}, nil},
		"filters":                 {`sync{default.rsync, source="/s", target="/t", filter={"+ /a", "- /*"}}`, []string{"filter = ['+ /a', '- /*']"}, nil},
		"the style of 2.0":        {`settings = { delay = 3 } sync{default.rsync, source="/s", target="/t", rsyncOpts="-z"}`, []string{"compress = true"}, []string{"settings: warning"}},
		"a delete at the start":   {`sync{default.rsync, source="/s", target="/t", delete="startup"}`, nil, []string{"delete: refused"}},
		"no first copy":           {`sync{default.rsync, source="/s", target="/t", init=false}`, nil, []string{"init: refused"}},
		"an action":               {`sync{default.rsync, source="/s", target="/t", onCreate="cp"}`, nil, []string{"onCreate: refused"}},
		"a program":               {`sync{source="/s", target="/t"}`, nil, []string{"it is a program"}},
		"an unknown rsync option": {`sync{default.rsync, source="/s", target="/t", rsync={chmod="D755"}}`, nil, []string{"rsync chmod: refused"}},
		"an unknown setting":      {`settings{colour="red"} sync{default.rsync, source="/s", target="/t"}`, nil, []string{"settings colour: refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := importer.Lsyncd([]byte(c.text))
			want(t, r, err, c.lines, c.notes)
		})
	}
	for text, message := range map[string]string{
		"\nfunction f() end":              "line 2: function cannot be imported; write it out as plain values",
		`require "x"`:                     "line 1: require cannot be imported",
		`x = os.getenv("HOME")`:           "line 1: os cannot be imported",
		"if a then end":                   "line 1: if cannot be imported",
		`x = "open`:                       "a string does not end",
		`sync { a = `:                     "line 1: ",
		"x = 1":                           "there is no sync",
		"for i = 1, 3 do end":             "line 1: ",
		"for _, v in ipairs({}) do":       "",
		strings.Repeat("{", 1000):         "line 1",
		"x = " + strings.Repeat("{", 100): "so deep a table",
	} {
		if _, err := importer.Lsyncd([]byte(text)); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%q gives %v, want %q", text, err, message)
		}
	}
}

func FuzzLsyncd(f *testing.F) {
	f.Add([]byte(`settings{insist=true} sync{default.rsync, source="/s", target="h::m", exclude={'a','b'}, rsync={archive=true}}`))
	f.Add([]byte("l = {1,2} for _, v in ipairs(l) do sync { default.direct, source='/'..v, target=[[/t]]..v } end --[[ x ]]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := importer.Lsyncd(data); err == nil && !r.Refused() {
			_, _ = r.Text()
		}
	})
}

func FuzzSersync(f *testing.F) {
	f.Add([]byte(confxml))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := importer.Sersync(data); err == nil && !r.Refused() {
			_, _ = r.Text()
		}
	})
}
