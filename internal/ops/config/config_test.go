package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"lockstep/internal/ops/config"
)

// files is a file system for rule files.
type files map[string]string

func (f files) read(name string) ([]byte, error) {
	if text, ok := f[name]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func decode(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Decode([]byte(text), files{"/rules": "*.tmp\n"}.read)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const two = `
control = "/run/x/control"
metrics = "9273"
[defaults]
exclude = ["*.swp"]
max_delete = 100
max_hold = "2m"
delete = false
password_file = "/etc/all.pass"
[mirror.www]
source = "/web/www"
targets = ["liang@web1::www", "/srv/copy"]
exclude = ["cache/"]
delete = true
password_files = { "liang@web1::www" = "/etc/web1.pass" }
[mirror.db]
source = "/db"
targets = ["rsync://h/db"]
bwlimit = "1.5m"
`

func TestMirrorsTakeWhatTheyDoNotSayFromDefaults(t *testing.T) {
	c := decode(t, two)
	if c.Metrics != "127.0.0.1:9273" || len(c.Mirrors) != 2 || c.Mirrors[0].Name != "db" {
		t.Fatalf("got %+v", c)
	}
	www, db := c.Find("www"), c.Find("db")
	if !reflect.DeepEqual(www.Exclude, []string{"cache/", "*.swp"}) || !www.Delete || www.MaxDelete != int64(100) || www.MaxHold != config.Duration(2*time.Minute) {
		t.Errorf("www: got %+v", www)
	}
	if !reflect.DeepEqual(db.Exclude, []string{"*.swp"}) || db.Delete || db.PasswordFile != "/etc/all.pass" || db.Watch != "auto" {
		t.Errorf("db: got %+v", db)
	}
	for key, want := range map[string]string{"exclude": "both", "delete": "mirror", "max_hold": "defaults", "watch": "built in"} {
		if got := www.Origin(key); got != want {
			t.Errorf("%s is from %q, want %q", key, got, want)
		}
	}
	live, err := db.Live()
	if err != nil || live.BwLimit.At(time.Now()) != 1536 || !live.NoDelete || live.Rules == nil {
		t.Errorf("live: %+v, %v", live, err)
	}
}

func TestEffectiveReadsBackAsTheSame(t *testing.T) {
	c := decode(t, two)
	again := decode(t, c.Effective())
	for i := range c.Mirrors {
		if !c.Mirrors[i].Same(&again.Mirrors[i]) {
			t.Errorf("%s is not the same when read back:\n%s", c.Mirrors[i].Name, c.Effective())
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	const good = "source = '/s'\ntargets = ['/t']\n"
	for name, c := range map[string]struct{ text, want string }{
		"a misspelt key":                {"[mirror.a]\n" + good + "exlude = ['x']", "line 4: unknown key mirror.a.exlude: did you mean exclude?"},
		"a dash for an underscore":      {"[mirror.a]\n" + good + "max-delete = 1", "did you mean max_delete?"},
		"a misspelt table":              {"[mirrors.a]\n" + good, "unknown key mirrors.a: did you mean mirror?"},
		"a setting outside of tables":   {"compress = true\n[mirror.a]\n" + good, "belongs into [defaults] or [mirror.NAME]"},
		"a password":                    {"[mirror.a]\n" + good + "password = 'x'", "name a file that holds one with password_file"},
		"a password in a target":        {"[mirror.a]\nsource='/s'\ntargets=['rsync://u:p@h/m']", "passwords are not written here"},
		"not TOML":                      {"[mirror.a\n", "line 1"},
		"a wrong type":                  {"[mirror.a]\n" + good + "delete = 'yes'", "line 4"},
		"a share of more than all":      {"[mirror.a]\n" + good + "max_delete = '101%'", "max_delete: 101%: want a number of entries"},
		"a limit that is no number":     {"[mirror.a]\n" + good + "max_delete = [1]", "max_delete: [1]: want a number of entries"},
		"a bad time":                    {"[mirror.a]\n" + good + "max_hold = '5'", "no time of 0 or more"},
		"no mirror":                     {"", "no mirror is configured"},
		"no source":                     {"[mirror.a]\ntargets = ['/t']", "mirror.a: source: no directory named"},
		"no targets":                    {"[mirror.a]\nsource = '/s'", "mirror.a: targets: none named"},
		"a relative source":             {"[mirror.a]\nsource = 's'\ntargets = ['/t']", "source: s is not an absolute path"},
		"a relative certificate":        {"[mirror.a]\n" + good + "tls_cert = 'x.pem'", "tls_cert: x.pem is not an absolute path"},
		"a relative target":             {"[mirror.a]\nsource = '/s'\ntargets = ['t']", "targets: t is not an absolute path"},
		"a target twice":                {"[mirror.a]\nsource = '/s'\ntargets = ['/t', '/t']", "named twice"},
		"a target of two mirrors":       {"[mirror.a]\n" + good + "[mirror.b]\n" + good, "/t is a target of mirror.a too"},
		"a target inside the source":    {"[mirror.a]\nsource = '/s'\ntargets = ['/s/t']", "mirrored back into its own source"},
		"mirrors in a circle":           {"[mirror.a]\nsource = '/s'\ntargets = ['/t']\n[mirror.b]\nsource = '/t/x'\ntargets = ['/s/y']", "mirrored back into its own source (by mirror.b)"},
		"a bad rate":                    {"[mirror.a]\n" + good + "bwlimit = 'fast'", "bwlimit: "},
		"a bad rule":                    {"[mirror.a]\n" + good + "filter = ['? x']", "mirror.a: filter: "},
		"a rule file that is not there": {"[mirror.a]\n" + good + "exclude_from = ['/nowhere']", "exclude-from: "},
		"a backend that is not there":   {"[mirror.a]\n" + good + "watch = 'magic'", "watch: "},
		"an old protocol":               {"[mirror.a]\n" + good + "protocol = 20", "protocol: 20 is not within 27 to 32"},
		"a bad name":                    {"[mirror.'a b']\n" + good, "begins with none of"},
		"a source in the defaults":      {"[defaults]\nsource='/x'\n[mirror.a]\n" + good, "defaults: source is a setting of single mirrors"},
		"a password file for nothing":   {"[mirror.a]\n" + good + "password_files = { 'x::y' = '/p' }", "x::y is not among targets"},
		"a metrics port out of range":   {"metrics = '99999'\n[mirror.a]\n" + good, "metrics: 99999 is no port"},
		"a relative socket":             {"control = 'c'\n[mirror.a]\n" + good, "control: c is not an absolute path"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Decode([]byte(c.text), files{}.read)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAnEditedRuleFileMakesAMirrorDifferent(t *testing.T) {
	text := []byte("[mirror.a]\nsource = '/s'\ntargets = ['/t']\nexclude_from = ['/rules']")
	read := func(rules string) *config.Mirror {
		c, err := config.Decode(text, files{"/rules": rules}.read)
		if err != nil {
			t.Fatal(err)
		}
		return c.Find("a")
	}
	if a := read("*.o\n"); !a.Same(read("*.o\n")) || a.Same(read("*.obj\n")) {
		t.Error("the contents of rule files do not count as they should")
	}
}

func TestTheTemplateIsAGoodFile(t *testing.T) {
	good := config.Template{Name: "web.1", Source: "/web/www", Targets: []string{"liang@web1::www"}, PasswordFile: "/etc/web1.pass"}
	if err := good.Validate(); err != nil {
		t.Fatalf("%v\n%s", err, good.Text())
	}
	text := good.Text()
	// Every setting that is commented out must be a good one too.
	var b strings.Builder
	for line := range strings.Lines(text) {
		if key, _, found := strings.Cut(strings.TrimPrefix(line, "# "), " = "); found && strings.HasPrefix(line, "# ") && !strings.Contains(key, " ") &&
			key != "control" && key != "metrics" {
			line = strings.TrimPrefix(line, "# ")
		}
		b.WriteString(line)
	}
	if _, err := config.Decode([]byte(b.String()), files{}.read); err != nil {
		t.Errorf("the defaults of the template: %v\n%s", err, b.String())
	}
	for _, bad := range []config.Template{{Name: "a b", Source: "/s", Targets: []string{"/t"}}, {Name: "a", Source: "s", Targets: []string{"/t"}}, {Name: "a", Source: "/s"}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lockstep.toml")
	if _, err := config.Load(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(name, []byte("x = 1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(name); err == nil || !strings.Contains(err.Error(), name+": line 1: unknown key x") {
		t.Errorf("got %v", err)
	}
}

// TestTheKeysAreDocumented holds the tables of docs/config.md against the code.
func TestTheKeysAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `") {
			rows[strings.TrimSpace(line)] = true
		}
	}
	for _, k := range append(config.TopKeys(), config.MirrorKeys()...) {
		if k.Meaning == "" || k.Default == "" {
			t.Errorf("%s has no meaning or no default", k.Name)
		}
		shown := k.Default
		if !strings.ContainsAny(shown, " ,") && shown != "required" || strings.HasPrefix(shown, "{") || strings.HasPrefix(shown, "[") {
			shown = "`" + shown + "`"
		}
		row := fmt.Sprintf("| `%s` | %s | %s |", k.Name, k.Meaning, shown)
		if !rows[row] {
			t.Errorf("docs/config.md lacks\n%s", row)
		}
		delete(rows, row)
	}
	for row := range rows {
		t.Errorf("docs/config.md has a row that is not true:\n%s", row)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(two))
	f.Add([]byte("[mirror.a]\nsource='/s'\ntargets=['h::m', '/t', 'u@h:p']\nfilter=['- *.o', ': .rules']\n"))
	f.Add([]byte("[defaults]\nexclude=['*']\n[mirror.'é']\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Decode(data, files{"/rules": "*.tmp\n"}.read)
		if err != nil {
			return
		}
		text := c.Effective()
		again, err := config.Decode([]byte(text), files{"/rules": "*.tmp\n"}.read)
		if err != nil {
			t.Fatalf("the effective configuration is refused: %v\n%s", err, text)
		}
		for i := range c.Mirrors {
			if !c.Mirrors[i].Same(&again.Mirrors[i]) {
				t.Fatalf("mirror %s is not the same when read back:\n%s", c.Mirrors[i].Name, text)
			}
		}
	})
}

func TestRatesFollowTheClock(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 5, 4, hour, 30, 0, 0, time.UTC) }
	for name, text := range map[string]string{
		"a string":         `bwlimit = "08:00-18:00=10m,22:00-06:00=0,1m"`,
		"a list of tables": `bwlimit = [{from="08:00", to="18:00", rate="10M"}, {from="22:00", to="06:00", rate="0"}, {rate="1m"}]`,
	} {
		for _, text := range []string{"[mirror.a]\nsource='/s'\ntargets=['/t']\n" + text, "[defaults]\n" + text + "\n[mirror.a]\nsource='/s'\ntargets=['/t']\n"} {
			c, err := config.Decode([]byte(text), files{}.read)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			again, err := config.Decode([]byte(c.Effective()), files{}.read)
			if err != nil || !again.Mirrors[0].Same(&c.Mirrors[0]) {
				t.Errorf("%s: read back: %v\n%s", name, err, c.Effective())
			}
			live, err := c.Mirrors[0].Live()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for hour, want := range map[int]int{9: 10240, 23: 0, 3: 0, 19: 1024} {
				if got := live.BwLimit.At(at(hour)); got != want {
					t.Errorf("%s: at %d:30 %d KiB, want %d", name, hour, got, want)
				}
			}
		}
	}
}

func TestGuardsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		`bwlimit = 5`:                                  "bwlimit: want a rate",
		`bwlimit = "8-18=10m"`:                         "bwlimit: 8-18: want a part of the day",
		`bwlimit = [{from="08:00", rate="10M"}]`:       "bwlimit: want a rate",
		`bwlimit = [{from="08:00", to="9", rate="1"}]`: "want a part of the day",
		`bwlimit = [{form="08:00", to="9", rate="1"}]`: "bwlimit: form: want a rate",
		`bwlimit = [{from=8, to="09:00", rate="1"}]`:   "bwlimit: from: want a rate",
		`bwlimit = ["1m"]`:                             "bwlimit: want a rate",
		`quiet_hours = ["22-06"]`:                      "quiet_hours: 22-06: want a part of the day",
	} {
		_, err := config.Decode([]byte("[mirror.a]\nsource='/s'\ntargets=['/t']\n"+text), files{}.read)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestWhenAMirrorIsComparedIsNoChangeOfIt(t *testing.T) {
	const text = "[mirror.a]\nsource = '/s'\ntargets = ['/t']\n"
	one := decode(t, text)
	for more, same := range map[string]bool{"verify = 'daily'\nverify_bwlimit = '1m'": true, "checksum = true": false} {
		if other := decode(t, text+more); one.Mirrors[0].Same(&other.Mirrors[0]) != same {
			t.Errorf("%s: the same is %v", more, !same)
		}
	}
}
