package option_test

import (
	"bytes"
	"cmp"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/internal/rsync/option"
)

// rsyncVersion is the version that the words are compared with.
const rsyncVersion = "rsync  version 3.5.0 "

// oracle runs the installed rsync with a remote shell that only notes its words.
type oracle struct {
	dir, shell, notes string
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	out, err := exec.Command("rsync", "--version").Output()
	if err != nil || !bytes.HasPrefix(out, []byte(rsyncVersion)) {
		t.Skip("no rsync 3.5.0 is installed")
	}
	dir := t.TempDir()
	o := &oracle{dir: dir, shell: filepath.Join(dir, "shell"), notes: filepath.Join(dir, "notes")}
	script := "#!/bin/sh\nprintf '%s\\0' \"$@\" > " + o.notes + "\nexit 1\n"
	if err := os.WriteFile(o.shell, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "list"), []byte("a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return o
}

// run returns the words that the remote shell got after the host and the name of
// the program, or what rsync printed and its exit code if it started none.
func (o *oracle) run(t *testing.T, env []string, words ...string) (args []string, errs string, code int) {
	t.Helper()
	if err := os.WriteFile(o.notes, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "rsync", append([]string{"-e", o.shell}, words...)...)
	cmd.Dir = o.dir
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); ctx.Err() != nil {
		t.Fatalf("%q: %v", words, err)
	}
	notes, err := os.ReadFile(o.notes)
	if err != nil {
		t.Fatal(err)
	}
	if len(notes) > 0 {
		args = strings.Split(strings.TrimSuffix(string(notes), "\x00"), "\x00")
		return args[slices.Index(args, "--server"):], "", 0
	}
	text, _, _ := strings.Cut(stderr.String(), "rsync error:")
	return nil, strings.TrimSuffix(text, "\n"), cmd.ProcessState.ExitCode()
}

// ours is what our parser makes of the same words.
func ours(env []string, words ...string) (args []string, errs string, code int) {
	set, err := option.Parse(option.Input{Words: words, Getenv: getenv(env)})
	var ops *option.Operands
	if err == nil {
		ops, err = set.Operands()
	}
	if err != nil {
		return nil, err.Error(), err.(*option.Error).Code
	}
	protocol := 32
	if set.Protocol != 0 {
		protocol = set.Protocol
	}
	args = set.ServerArgs(protocol, ops.Pull)
	if set.SecludedArgs {
		return args, "", 0
	}
	args = append(args, ".")
	paths := []string{ops.Remote.Path}
	if ops.Pull {
		paths = ops.Sources
	}
	for _, path := range paths {
		args = append(args, set.QuotePath(path, ops.Pull))
	}
	return args, "", 0
}

func getenv(env []string) func(string) string {
	return func(name string) string {
		for _, e := range env {
			if n, v, _ := strings.Cut(e, "="); n == name {
				return v
			}
		}
		return ""
	}
}

func (o *oracle) compare(t *testing.T, env []string, words ...string) {
	t.Helper()
	args, errs, code := o.run(t, env, words...)
	gotArgs, gotErrs, gotCode := ours(env, words...)
	if !slices.Equal(args, gotArgs) || errs != gotErrs || code != gotCode {
		t.Errorf("%q %q:\n rsync %q %q %d\n  ours %q %q %d", env, words, args, errs, code, gotArgs, gotErrs, gotCode)
	}
}

// values are what options with an argument are given, besides a few plain words.
var values = map[string][]string{
	"info":             {"name", "all2,name0", "none", "stats2,flist2", "foo", "NAME2,del,skip,remove,backup,nonreg0", "none,misc2,mount2,name2,stats2,symsafe2"},
	"debug":            {"all", "io4,foo"},
	"stderr":           {"e", "all", "cl", "x"},
	"suffix":           {"", "~", ".bak", "a b*", "a/b"},
	"backup-dir":       {"old", "./old", ".", "", "/abs/x", "a b[c]"},
	"partial-dir":      {"p", ".~tmp~", ".", "./a//b/../c/", "/x/y"},
	"chmod":            {"u+x", "D755,F644", "q"},
	"checksum-choice":  {"md5", "auto", "none", "xxh64,md5", "auto,none"},
	"compress-choice":  {"zstd", "auto", "none", "ZLIB", "zlibx", "lz4"},
	"compress-level":   {"0", "3", "-5", "x"},
	"compress-threads": {"2"},
	"block-size":       {"0", "700", "64k", "200k", "1q"},
	"max-delete":       {"0", "5", "-1", "0x10", "x"},
	"max-size":         {"0", "1.5k", "3mb", "1g+1", "5q"},
	"min-size":         {"0", "1b", "2K-1", "-1"},
	"max-alloc":        {"0", "1g", "2m", "3k"},
	"usermap":          {"a:b", "*:0"},
	"groupmap":         {"*:x y"},
	"chown":            {"u:g", "u", ":g", ":"},
	"timeout":          {"0", "60", "-1"},
	"modify-window":    {"0", "1", "-1"},
	"skip-compress":    {"gz/jpg", "", "a b"},
	"files-from":       {"list", "-", "host:list", ":a b", ":-"},
	"outbuf":           {"N", "line", "x"},
	"remote-option":    {"--fake-super", "-x y", "foo"},
	"out-format":       {"%n", "%i", "%o %n", "", "%'10i"},
	"bwlimit":          {"0", "100", "1.5m", "600b", "100b"},
	"stop-after":       {"5", "0"},
	"stop-at":          {"2199-01-01", "x"},
	"protocol":         {"32", "31", "30", "29", "28"},
	"iconv":            {"utf8,latin1", "utf8", "-", "."},
	"checksum-seed":    {"0", "5", "-1"},
	"temp-dir":         {"tmp", "a b"},
	"port":             {"99"},
}

// left are options that are not compared: they need more than words to be
// accepted, print something else, or are no client's.
var left = []string{
	"help", "version", "server", "sender", "daemon", "config", "dparam", "detach",
	"rsh", "rsync-path", "exclude-from", "include-from", "filter", "exclude", "include", "read-batch",
	"write-batch", "only-write-batch", "log-file", "copy-as", "password-file", "contimeout", "confine-root",
}

// someWords picks options at random.
func someWords(r *rand.Rand, n int) []string {
	var words []string
	table := slices.DeleteFunc(slices.Clone(option.Table()), func(o *option.Option) bool { return o.Own })
	for len(words) < n {
		o := table[r.IntN(len(table))]
		if slices.Contains(left, o.Long) {
			continue
		}
		if o.Arg == "" || r.IntN(8) == 0 && len(o.Off) > 0 {
			names := o.Names()
			words = append(words, names[r.IntN(len(names))])
			if o.Arg != "" {
				words[len(words)-1] = "--" + o.Off[0]
			}
			continue
		}
		some := append([]string{"x"}, values[o.Long]...)
		if o.Int {
			some = some[1:]
			if len(some) == 0 {
				some = []string{"7"}
			}
		} else if len(some) > 1 {
			some = some[1:]
		}
		value := some[r.IntN(len(some))]
		switch {
		case o.Short != 0 && r.IntN(2) == 0:
			words = append(words, "-"+string(rune(o.Short)), value)
		case r.IntN(2) == 0:
			words = append(words, "--"+o.Long, value)
		default:
			words = append(words, "--"+o.Long+"="+value)
		}
	}
	return words
}

// TestServerWordsAreThoseOfRsync compares the words for a server, and the
// errors, with those of the installed rsync for random options. OPTION_SEED
// sets which.
func TestServerWordsAreThoseOfRsync(t *testing.T) {
	o := newOracle(t)
	cases := 150
	if testing.Short() {
		cases = 20
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("OPTION_SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	for range cases {
		words := someWords(r, 1+r.IntN(6))
		if r.IntN(2) == 0 {
			words = append(words, "list", "host:x y*")
		} else {
			words = append(words, "host:~a b*", "d")
		}
		o.compare(t, someEnv(r), words...)
	}
}

// someEnv sets one of the variables that are defaults of options, now and then.
func someEnv(r *rand.Rand) []string {
	all := []string{
		"RSYNC_PARTIAL_DIR=pp", "RSYNC_OLD_ARGS=1", "RSYNC_OLD_ARGS=2", "RSYNC_PROTECT_ARGS=1",
		"RSYNC_PROTECT_ARGS=x", "RSYNC_MAX_ALLOC=5m", "RSYNC_MAX_ALLOC=q", "RSYNC_ICONV=utf8,latin1",
	}
	var env []string
	for range r.IntN(3) {
		one := all[r.IntN(len(all))]
		name, _, _ := strings.Cut(one, "=")
		if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") }) {
			env = append(env, one)
		}
	}
	return env
}

// TestServerWordsOfRsync goes through what random options would seldom meet.
func TestServerWordsOfRsync(t *testing.T) {
	o := newOracle(t)
	for _, words := range []string{
		"-a list host:", "-avvvvvvvvvvv host:x", "host:x :y d", "u@host:a :b", "a:b :c", "a:b c:d", "a b:c d", "a:b b:c d",
		"a:b ::c d", "a:b a::c d", "host:x y z", "-- -h:x d", "./a:b host:d", "a/b:c host:d", ":x d", "[::1]:x d", "u@[::1]:x d",
		"a@b@c:x d", "host:-x d", "host:x:y d", "--files-from=:f h:a h:b", "--files-from=u@host:f list u@host:x",
		"--files-from=host:f list u@host:x", "--files-from=:f a d", "--files-from=host::m/f list host:x", "list u@-h:x",
		"--password-file=x list host:y", "--contimeout=5 list host:y", "--contimeout=5 host:y d", "host:a HOST:b d", "u@host:a host:b d",
		"rsync://h:99x/m d", "rsync:/h d", "rsync:x d", "rsync://h/m a b", "host:a rsync://host/b d", "list host:x host:y",
		"-vZ a b", "-vB", "-v@x a b", "-v@ x a b", "--timeout", "--timeout --", "--verbose=3 a b", "--ver a b", "--=5 a",
		"---x a", "-= a", "--nope=1 a", "-B= list host:x", "-B=700 list host:x", "-T list host:x", "-yy --link-dest=a list host:x", "-HH -UU -XX -xx list host:x",
		"--fake-super -XX a b", "--fake-super --super -XX list host:x", "-s --old-args a b", "--old-args --no-old-args -s list host:x",
		"--delete -r --delete-before host:x d", "--delete-before --delete-after -r a b", "--del --delete-delay -r list host:x",
		"--confine-root=x a b", "--confine-root=/x --insecure-links a b", "--confine-root=/x list host:x", "--suffix= --delete a b", "--append -W --suffix=/ a b",
		"--info=all,backup2,copy2,del2,misc2,mount2 list host:x", "--info=all,symsafe2,stats2,misc2,mount2,name2 list host:x",
		"--info=all,backup2,copy2,del3,misc2,mount3,name3 list host:x", "--info=none,skip2,stats2,symsafe2,nonreg2,name2 list host:x",
		"--inplace -S --no-W list host:x", "--write-devices --no-inplace list host:x", "-d -r --no-r list host:x", "-a --no-r --delete list host:x",
		"-a --files-from=list --delete . host:x", "-M--foo -M-x list host:x", "-aM --log-file=x list host:x", "--old-args -M--x --suffix=a host:x d",
		"--log-format=%i%n list host:x", "-P --no-partial --no-progress list host:x", "--protocol=29 -R --no-i-d host:x d", "--protocol=29 -R --no-i-d list host:x",
		"--write-batch=b -n list host:x", "--read-batch=b --write-batch=c a b", "--no-h list host:x",
	} {
		o.compare(t, nil, strings.Fields(words)...)
	}
	for _, path := range []string{
		"a b", "a*b", `a\*b`, `a\b`, `a\\*b`, "~", "~/x", "~x/y", "x/~", "$x", "a'b\"c`d!#&|<>(){}[]?;", "a\tb", "a\rb", "a=b^%", "-", " ", `a\`, `\~x`, "*", "é\x01",
		"x/./~y", "~/./x",
	} {
		for _, style := range []string{"-r", "-R", "--old-args", "--trust-sender"} {
			o.compare(t, nil, style, "host:"+path, "d")
			o.compare(t, nil, style, "list", "host:"+path)
		}
	}
}
