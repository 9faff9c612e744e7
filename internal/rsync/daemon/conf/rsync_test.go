package conf_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/rsync/daemon/conf"
)

// configurations are files as people may write them; what is written in
// comments shows in a listing. DIR stands for a directory with further files.
var configurations = []struct{ name, text string }{
	{"modules in the order of the file", "[b]\ncomment = one\n[a]\ncomment=two\n"},
	{"names in any case and with spaces", "[m]\n  CoM mEnt\t= x  y \n"},
	{"white space in module names", "[  two \t words ]\ncomment = x\n"},
	{"comments, also indented", "# x\n[m]\n  # comment = no\ncomment = a # b\n"},
	{"a semicolon at the start", "[m]\ncomment = a\n;comment = b\n"},
	{"a semicolon inside", "[m]\ncomment = a ; b\n"},
	{"a continued value", "[m]\ncomment = a \\\n   b\\\nc \n"},
	{"a continued value without an end", "[m]\ncomment = a \\"},
	{"a backslash with white space behind it", "[m]\ncomment = a \\  \nlist = no\n"},
	{"a continued comment", "[m]\n# comment \\\ncomment = b\n"},
	{"a comment within a continuation", "[m]\ncomment = a \\\n# b\nlist = yes\n"},
	{"a continued name", "[m]\ncom\\\nment = a\n"},
	{"a continued section", "[a\\\nb]\ncomment = c\n"},
	{"a value with equals signs", "[m]\ncomment = a = b\n"},
	{"an empty value", "comment = x\n[m]\ncomment =\n"},
	{"defaults", "comment = x\n[a]\n[b]\ncomment = y\n[c]\n"},
	{"defaults that change", "comment = x\n[a]\n[global]\ncomment = y\n[b]\n"},
	{"a module twice", "[a]\ncomment = x\n[b]\n[a]\ncomment = y\n"},
	{"a module twice in another case", "[a]\ncomment = x\n[A]\ncomment = y\n"},
	{"text behind a section", "[a]b\ncomment = x\n"},
	{"a section that is not closed", "[a\ncomment = x\n"},
	{"a section without a name", "[ ]\ncomment = x\n"},
	{"a slash in a name", "[a/b]\n"},
	{"a parameter without a name", "[a]\n = x\n"},
	{"a line without an equals sign", "[a]\nbogus\ncomment = x\n"},
	{"unknown parameters", "stric mode = yes\n[a]\nlist all = no\ncomment = x\n"},
	{"a global parameter in a module", "[a]\nport = 7\ncomment = x\n"},
	{"booleans", "[a]\nlist = TRUE\n[b]\nlist = No\n[c]\nlist = 0\n[d]\nlist = 1\n[e]\nlist = False\n"},
	{"bad booleans", "[a]\nlist = off\n[b]\nlist = 2\n[c]\nlist =\n[d]\nlist = unset\n[e]\nlist = -1\n"},
	{"variables", "[a]\ncomment = %CONFVAR% %NOPE% %% 5% %CONFVAR\n"},
	{"variables next to each other", "[a]\ncomment = %CONFVAR%%CONFVAR%%%CONFVAR%%\n"},
	{"a variable in a boolean", "[a]\nlist = %CONFNO%\n[b]\nlist = %CONFNOPE%\n"},
	{"an empty file", ""},
	{"a file without a last line end", "[a]\ncomment = x"},
	{"carriage returns", "[a]\r\ncomment = x\r\n[b]\r\nlist = no\r\n"},
	{"an included file", "comment = x\n&include DIR/one.conf\n[z]\n"},
	{"a merged file", "comment = x\n&merge DIR/one.conf\n[z]\n"},
	{"an included directory", "comment = x\n&include DIR\n[z]\n"},
	{"a merged directory", "comment = x\n&merge DIR\n[z]\n"},
	{"a merged file within a module", "[m]\n&merge DIR/part.inc\n"},
	{"an included file within a module", "[m]\n&include DIR/part.inc\ncomment = after\n"},
	{"a directive in capitals", "&INCLUDE DIR/one.conf\n"},
	{"a directive with a tab", "&include\tDIR/one.conf\n"},
	{"a directive with an equals sign", "&include = DIR/one.conf\n"},
	{"an unknown directive", "&includes DIR/one.conf\n"},
	{"a file that is not there", "[a]\n&include DIR/none\n"},
	{"a variable in a directive", "&include %CONFDIR%/one.conf\n"},
	{"a file that includes itself", "&include DIR/loop\n"},
	{"indented sections and directives", "  [a]\n  &include DIR/one.conf\n"},
	{"bytes that are no UTF-8", "[a\xff]\ncomment = \xfe\xa0\n"},
}

var environment = []string{"CONFVAR=value", "CONFNO=no"}

// included are the files in DIR.
var included = map[string]string{
	"one.conf":    "[one]\n[global]\ncomment = inner\n[two]\n",
	"b.conf":      "[b]\n",
	"a.conf":      "[a]\n[global]\nlist = yes\n",
	"part.inc":    "comment = part\n",
	"sub.inc":     "[sub]\n",
	".hidden.inc": "[hidden]\n",
	"loop":        "&include DIR/loop\n",
}

// listed is what a daemon with that configuration lists, "refused" if it does
// not serve.
func listed(c *conf.Config, err error) string {
	if err != nil {
		return "refused"
	}
	var b strings.Builder
	for _, m := range c.Modules {
		if m.Bool(conf.List) {
			fmt.Fprintf(&b, "%-15s\t%s\n", m.Name, m.Text(conf.Comment, env))
		}
	}
	return b.String()
}

func env(name string) (string, bool) {
	for _, e := range environment {
		if n, v, _ := strings.Cut(e, "="); n == name {
			return v, true
		}
	}
	return "", false
}

func TestSameAsRsync(t *testing.T) {
	program, err := exec.LookPath("rsync")
	if err != nil {
		t.Skip("rsync is not installed")
	}
	dir := t.TempDir()
	environment = append(environment, "CONFDIR="+dir)
	for name, text := range included {
		write(t, filepath.Join(dir, name), strings.ReplaceAll(text, "DIR", dir))
	}
	for _, c := range configurations {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "rsyncd.conf")
			write(t, file, strings.ReplaceAll(c.text, "DIR", dir))
			cmd := exec.Command(program, "--server", "--daemon", "--config="+file, "--log-file="+filepath.Join(t.TempDir(), "log"), ".")
			cmd.Env = environment
			cmd.Stdin = strings.NewReader("@RSYNCD: 31.0\n#list\n")
			out, _ := cmd.Output()
			want := "refused"
			if body, ok := strings.CutPrefix(string(out), "@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n"); ok {
				want, _ = strings.CutSuffix(body, "@RSYNCD: EXIT\n")
			}
			if got := listed(conf.Load(file, options())); got != want {
				t.Errorf("got\n%q\nrsync lists\n%q", got, want)
			}
		})
	}
}

func options() conf.Options { return conf.Options{Files: conf.Disk{}, Env: env} }

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzLoad(f *testing.F) {
	for _, c := range configurations {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		files := memory{"rsyncd.conf": data}
		c, err := conf.Load("rsyncd.conf", conf.Options{Files: files, Env: env})
		for _, m := range c.Modules {
			for _, p := range conf.All() {
				m.Text(p, env)
				m.Tri(p)
				m.Int(p)
			}
			if err == nil && c.Module(m.Name) == nil {
				t.Errorf("module %q cannot be found", m.Name)
			}
			if strings.Contains(m.Name, "/") || m.Name == "" {
				t.Errorf("a module is called %q", m.Name)
			}
		}
	})
}

// memory is a place with one file.
type memory map[string][]byte

func (m memory) ReadFile(name string, _ int64) ([]byte, error) {
	if data, ok := m[name]; ok {
		return bytes.Clone(data), nil
	}
	return nil, os.ErrNotExist
}

func (m memory) ReadDir(name string) ([]string, error) {
	if _, ok := m[name]; ok {
		return nil, conf.ErrNotDirectory
	}
	return nil, os.ErrNotExist
}
