package option_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/rsync/option"
)

var update = flag.Bool("update", false, "write the recorded results anew")

// recorded compares a text with the one in a file, or writes it.
func recorded(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i, line := range gotLines {
		if i >= len(wantLines) || line != wantLines[i] {
			t.Fatalf("%s, line %d:\n got %s\n(write it anew with -update)", name, i+1, line)
		}
	}
	if len(gotLines) != len(wantLines) {
		t.Fatalf("%s has %d lines, want %d", name, len(wantLines), len(gotLines))
	}
}

func TestTheTableIsSound(t *testing.T) {
	for _, table := range [][]*option.Option{option.Table(), option.DaemonTable()} {
		seen := map[string]bool{}
		byLong := map[string]*option.Option{}
		for _, o := range table {
			byLong[o.Long] = o
			if o.Long == "" && o.Short == 0 {
				t.Error("an option without a name")
			}
			if o.Int && o.Arg == "" {
				t.Errorf("%s is an integer without an argument", o.Name())
			}
			for _, n := range o.Names() {
				if seen[n] {
					t.Errorf("%s is there twice", n)
				}
				seen[n] = true
			}
			for _, n := range o.Off {
				if !strings.HasPrefix(n, "no-") {
					t.Errorf("%s is taken back by --%s", o.Name(), n)
				}
			}
		}
		for _, o := range table {
			for _, n := range o.Implies {
				if byLong[n] == nil || byLong[n].Arg != "" {
					t.Errorf("%s implies --%s", o.Name(), n)
				}
			}
		}
	}
}

func TestRulesNameOptions(t *testing.T) {
	known := map[string]bool{}
	for _, o := range option.Table() {
		known[o.Long] = true
	}
	for _, r := range option.Rules() {
		for _, n := range r.About {
			if !known[n] {
				t.Errorf("the rule %q is about --%s", r.Text, n)
			}
		}
	}
}

// sample is what an option is given to see what it does.
func sample(o *option.Option) string {
	samples := map[string]string{
		"info": "name2", "debug": "del", "stderr": "all", "chmod": "u+x", "block-size": "700", "max-size": "1k", "min-size": "1k",
		"max-alloc": "2m", "bwlimit": "1m", "outbuf": "L", "stop-after": "5", "stop-at": "2199-01-01", "remote-option": "--x",
		"chown": "u:g", "config": "x", "confine-root": "/x", "dparam": "a=b", "compress-level": "3", "protocol": "29",
	}
	switch {
	case samples[o.Long] != "":
		return samples[o.Long]
	case o.Int:
		return "7"
	}
	return "x"
}

// fields are what differs between two Sets, or what they hold.
func fields(from, to reflect.Value, prefix string) map[string]string {
	diff := map[string]string{}
	for i := range to.NumField() {
		f := to.Type().Field(i)
		if !f.IsExported() || f.Name == "Args" {
			continue
		}
		old, now := from.Field(i), to.Field(i)
		if f.Type.Kind() == reflect.Pointer && !now.IsNil() {
			if old.IsNil() {
				old = reflect.New(f.Type.Elem())
			}
			maps.Copy(diff, fields(old.Elem(), now.Elem(), prefix+f.Name+"."))
			continue
		}
		if f.Type.Kind() == reflect.Array {
			for n := range now.Len() {
				if !reflect.DeepEqual(old.Index(n).Interface(), now.Index(n).Interface()) {
					diff[fmt.Sprintf("%s%s[%d]", prefix, f.Name, n)] = fmt.Sprint(now.Index(n).Interface())
				}
			}
			continue
		}
		if !reflect.DeepEqual(old.Interface(), now.Interface()) {
			text := fmt.Sprintf("%+v", now.Interface())
			if at, ok := now.Interface().(time.Time); ok {
				text = at.UTC().Format(time.DateTime)
			}
			diff[prefix+f.Name] = text
		}
	}
	return diff
}

func effect(t *testing.T, table string, words ...string) string {
	t.Helper()
	in := option.Input{Now: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)}
	if table == "daemon" {
		in.Words = append([]string{"--daemon"}, words...)
	} else {
		in.Words = append(words, "src", "dst")
	}
	plain := in
	plain.Words = []string{"src", "dst"}
	base, err := option.Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	set, err := option.Parse(in)
	if err != nil {
		return "refused: " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	diff := fields(reflect.ValueOf(*base), reflect.ValueOf(*set), "")
	var list []string
	for _, name := range slices.Sorted(maps.Keys(diff)) {
		list = append(list, name+"="+diff[name])
	}
	return strings.Join(list, " ")
}

// TestWhatEveryOptionSets goes through the whole table, under every name.
func TestWhatEveryOptionSets(t *testing.T) {
	var b strings.Builder
	for _, table := range []string{"main", "daemon"} {
		rows := option.Table()
		if table == "daemon" {
			rows = option.DaemonTable()
		}
		for _, o := range rows {
			for _, name := range o.Names() {
				words := []string{name}
				if o.Arg != "" && !slices.Contains(o.Off, strings.TrimPrefix(name, "--")) {
					words = append(words, sample(o))
				}
				if strings.HasPrefix(o.Long, "del") && o.Long != "delete-missing-args" {
					words = append(words, "-r")
				}
				fmt.Fprintf(&b, "%s: %s => %s\n", table, strings.Join(words, " "), effect(t, table, words...))
			}
		}
	}
	recorded(t, "testdata/effects.txt", b.String())
}

// TestTakingBackLeavesNothing holds that an option and the name that takes it
// back are nothing together. Where more happens, what it is stands here.
func TestTakingBackLeavesNothing(t *testing.T) {
	more := map[string]string{
		"acls":           "Perms=true",
		"motd":           "NoMotd=true",
		"write-devices":  "",
		"msgs2stderr":    "Stderr=99",
		"inc-recursive":  "IncRecurse=false",
		"super":          "Super=-1",
		"whole-file":     "WholeFile=-1",
		"human-readable": "HumanReadable=0",
		"detach":         "refused: Daemon option(s) used without --daemon. (Type \"rsync --daemon --help\" for assistance with daemon mode.)",
		"crtimes":        "refused: rsync: This rsync does not support --crtimes (-N)",
	}
	for _, o := range option.Table() {
		for _, off := range o.Off {
			words := []string{"--" + o.Long}
			if o.Long == "" {
				words = []string{"-" + string(rune(o.Short))}
			}
			if o.Arg != "" {
				words = append(words, sample(o))
			}
			if got := effect(t, "main", append(words, "--"+off)...); got != more[o.Long] {
				t.Errorf("%q --%s: %s", words, off, got)
			}
		}
	}
}

// TestOptionsAreSentToWhomTheTableSays compares what is sent with and without
// each option.
func TestOptionsAreSentToWhomTheTableSays(t *testing.T) {
	with := map[string][]string{ // what some need to be sent at all
		"implied-dirs": {"-R"}, "from0": {"--files-from=h:f"}, "whole-file": {"--inplace", "-S"},
		"delete": {"-r"}, "delete-before": {"-r"}, "delete-during": {"-r"}, "delete-delay": {"-r"}, "delete-after": {"-r"},
		"delete-excluded": {"-r"}, "del": {"-r"},
	}
	silent := []string{"archive", "help", "version", "server", "sender", "daemon", "config", "dparam", "detach", "crtimes", "recursive",
		"inc-recursive", "progress", "protocol", "old-dirs", "read-batch"}
	through := map[string]option.Whom{ // what they imply is sent further, or the client's abilities change
		"write-devices": option.ToSender, "delete-before": option.ToSender, "delete-after": option.ToSender,
		"usermap": option.ToSender, "groupmap": option.ToSender, "chown": option.ToSender,
	}
	for _, o := range option.Table() {
		if slices.Contains(silent, o.Long) || o.Long == "" {
			continue
		}
		name := "--" + o.Long
		if len(o.Off) > 0 && (o.Long == "implied-dirs" || o.Long == "motd") {
			name = "--" + o.Off[0]
		}
		words := append(slices.Clone(with[o.Long]), name)
		if o.Arg != "" {
			words = append(words, sample(o))
		}
		also := through[o.Long]
		sent := option.ToNone
		for _, to := range []option.Whom{option.ToReceiver, option.ToSender} {
			if !slices.Equal(serverArgs(t, to == option.ToSender, words...), serverArgs(t, to == option.ToSender, with[o.Long]...)) {
				sent |= to
			}
		}
		if want := option.SentTo(o) | also; sent != want {
			t.Errorf("%s is sent to %d, the table says %d", name, sent, want)
		}
	}
}

func serverArgs(t *testing.T, remoteSends bool, words ...string) []string {
	t.Helper()
	set, err := option.Parse(option.Input{Words: append(words, "src", "dst")})
	if err != nil {
		t.Fatalf("%q: %v", words, err)
	}
	return set.ServerArgs(32, remoteSends)
}
