package importer

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/ops/config"
)

// Lsyncd imports an lsyncd.conf.lua.
func Lsyncd(data []byte) (*Result, error) {
	if len(data) > maxInput {
		return nil, fmt.Errorf("larger than %d KiB", maxInput>>10)
	}
	calls, err := parseLua(string(data))
	if err != nil {
		return nil, err
	}
	r := &Result{}
	syncs := 0
	for _, c := range calls {
		if c.name == "settings" {
			r.settings(c)
			continue
		}
		syncs++
		s := &sync{r: r, line: c.line, settings: map[string]any{}}
		s.read(c.arg)
	}
	if syncs == 0 {
		return nil, errors.New("there is no sync: nothing to import")
	}
	r.sort()
	return r, nil
}

// lsyncdSettings are the names that settings may have; none has a counterpart.
var lsyncdSettings = map[string]string{
	"logfile": "lockstep writes to standard output and error", "logfacility": "", "logident": "", "pidfile": "a service needs none",
	"nodaemon": "", "statusFile": "ask lockstep status", "statusInterval": "ask lockstep status", "onepass": "",
	"insist": "a target that is down is always tried again", "maxProcesses": "each target has a worker of its own",
	"maxDelays": "changes go as soon as a target is idle", "delay": "changes go as soon as a target is idle",
	"inotifyMode": "a file is sent when it is closed, or after max_hold",
}

func (r *Result) settings(c call) {
	if c.old {
		r.note(c.line, "settings", Warned, "an assignment is the style of lsyncd 2.0")
	}
	for _, f := range c.arg.fields {
		name := f.key
		if s, ok := f.value.(string); ok && name == "" {
			name = s // a word means true
		}
		why, known := lsyncdSettings[name]
		switch {
		case !known:
			r.note(f.line, "settings "+quoted(name), Refused, "lsyncd does not know it either")
		default:
			r.note(f.line, "settings "+name, Dropped, "%s", why)
		}
	}
}

// sync is one sync{…} on its way to a mirror.
type sync struct {
	r        *Result
	line     int
	layer    layer
	fields   []field
	settings map[string]any
	shell    []string
}

// flatten merges base tables into the fields: what is set later wins, nested
// tables key by key.
func (s *sync) flatten(t *table) {
	for _, f := range t.fields {
		switch v := f.value.(type) {
		case layer:
			s.layer = v
			continue
		case *table:
			if f.key == "" {
				s.flatten(v)
			}
		}
	}
	for _, f := range t.fields {
		if f.key != "" {
			s.set(f)
		} else if _, base := f.value.(*table); !base && f.value != nil {
			if _, isLayer := f.value.(layer); !isLayer {
				s.r.note(f.line, "sync", Refused, "a value without a name")
			}
		}
	}
}

func (s *sync) set(f field) {
	for i, o := range s.fields {
		if o.key != f.key {
			continue
		}
		a, nested := o.value.(*table)
		b, too := f.value.(*table)
		if nested && too && (f.key == "rsync" || f.key == "ssh") {
			kept := slices.DeleteFunc(slices.Clone(a.fields), func(o field) bool {
				_, again := b.get(o.key)
				return again
			})
			f.value = &table{fields: slices.Concat(kept, b.fields), line: b.line}
		}
		s.fields[i] = f
		return
	}
	s.fields = append(s.fields, f)
}

// read makes a mirror, or joins one that differs only in its target.
func (s *sync) read(t *table) {
	s.flatten(t)
	r := s.r
	switch s.layer {
	case "rsync", "rsyncssh", "direct":
	case "":
		r.note(s.line, "sync", Refused, "without default.rsync, default.rsyncssh or default.direct it is a program")
	default:
		r.note(s.line, "sync", Refused, "default.%s is not known", quoted(string(s.layer)))
	}
	s.settings["delete"] = true
	kept := false
	for _, f := range s.fields {
		s.field(f)
		if rsync, ok := f.value.(*table); ok && f.key == "rsync" {
			v, _ := rsync.get("archive")
			kept = v == true
		}
	}
	if !kept {
		r.note(s.line, "sync", Warned, "owner, group, permissions, devices and specials are kept too")
	}
	if len(s.shell) > 0 {
		s.settings["shell"] = strings.Join(append([]string{"ssh"}, s.shell...), " ")
	}
	s.place()
}

// place adds the mirror to the result.
func (s *sync) place() {
	r := s.r
	get := func(key string) string { v, _ := (&table{fields: s.fields}).get(key); return text(v) }
	source, target := get("source"), get("target")
	if s.layer == "rsyncssh" {
		target = get("host") + ":" + get("targetdir")
	}
	if source == "" || strings.Trim(target, ":") == "" {
		r.note(s.line, "sync", Refused, "source or target is missing")
		return
	}
	s.settings["source"] = source
	for i := range r.Mirrors {
		have := r.Mirrors[i].Settings
		targets := have["targets"].([]string)
		delete(have, "targets")
		same := reflect.DeepEqual(have, s.settings) && !slices.Contains(targets, target)
		if same {
			targets = append(targets, target)
		}
		have["targets"] = targets
		if same {
			return
		}
	}
	s.settings["targets"] = []string{target}
	r.Mirrors = append(r.Mirrors, config.Entry{Name: r.mirrorName(source), Settings: s.settings})
}

// dropped are fields of sync without a counterpart.
var dropped = map[string]string{
	"delay": "changes go as soon as a target is idle; batch_delay collects them", "maxDelays": "changes go as soon as a target is idle",
	"maxProcesses": "each target has a worker of its own", "batchSizeLimit": "", "exitcodes": "", "rsyncBinary": "",
}

// field maps one field.
func (s *sync) field(f field) {
	r := s.r
	why, drop := dropped[f.key]
	switch {
	case drop:
		r.note(f.line, f.key, Dropped, "%s", why)
	case f.key == "source" || f.key == "target" || f.key == "host" || f.key == "targetdir":
		r.note(f.line, f.key, Mapped, "%s", quoted(text(f.value)))
	case f.key == "delete":
		s.deletion(f)
	case f.key == "init":
		if f.value == false {
			r.note(f.line, f.key, Refused, "a mirror always begins with a full pass")
		} else {
			r.note(f.line, f.key, Dropped, "")
		}
	case f.key == "exclude" || f.key == "filter":
		s.patterns(f)
	case f.key == "excludeFrom" || f.key == "filterFrom":
		s.patternFile(f)
	case f.key == "crontab":
		r.note(f.line, f.key, Warned, "for full comparisons at set times: verify, of which lockstep service install makes timers")
	case f.key == "rsyncOpts":
		r.words(f.line, f.key, list(f.value), s.settings)
	case f.key == "rsync" || f.key == "ssh":
		s.options(f)
	default:
		r.note(f.line, quoted(f.key), Refused, "it has no counterpart")
	}
}

func (s *sync) deletion(f field) {
	if v, ok := f.value.(bool); ok {
		s.settings["delete"] = v
		s.r.note(f.line, f.key, Mapped, "delete = %v", v)
		return
	}
	s.r.note(f.line, f.key, Refused, "a mirror deletes always or never: true or false")
}

// list is a string or a list of strings.
func list(v any) []string {
	if t, ok := v.(*table); ok {
		var all []string
		for _, f := range t.fields {
			all = append(all, text(f.value))
		}
		return all
	}
	if text(v) == "" {
		return nil
	}
	return []string{text(v)}
}

func (s *sync) patterns(f field) {
	ps := list(f.value)
	for _, p := range ps {
		if f.key == "filter" && !strings.HasPrefix(p, "+ ") && !strings.HasPrefix(p, "- ") {
			s.r.note(f.line, f.key, Refused, "%s does not begin with + or -", quoted(p))
			return
		}
		if strings.Contains(p, "[") {
			s.r.note(f.line, f.key, Warned, "[ ] in %s is a class of characters here; to lsyncd's watcher it is not", quoted(p))
		}
	}
	if len(ps) > 0 {
		s.settings[f.key] = ps
	}
	s.r.note(f.line, f.key, Mapped, "%d patterns", len(ps))
}

func (s *sync) patternFile(f field) {
	name := text(f.value)
	if !filepath.IsAbs(name) {
		s.r.note(f.line, f.key, Refused, "%s is not an absolute path", quoted(name))
		return
	}
	if f.key == "filterFrom" {
		have, _ := s.settings["filter"].([]string)
		s.settings["filter"] = append(have, ". "+name)
	} else {
		s.settings["exclude_from"] = []string{name}
		s.r.note(f.line, f.key, Warned, "lines that begin with + include here; lsyncd skips them")
	}
	s.r.note(f.line, f.key, Mapped, "%s", quoted(name))
}

// options maps the tables rsync and ssh.
func (s *sync) options(f field) {
	t, ok := f.value.(*table)
	if !ok {
		s.r.note(f.line, f.key, Refused, "it is no table")
		return
	}
	for _, o := range t.fields {
		if f.key == "ssh" {
			s.ssh(o)
		} else {
			s.rsync(o)
		}
	}
}

func (s *sync) rsync(o field) {
	shown, name := "rsync "+quoted(o.key), strings.ReplaceAll(o.key, "_", "-")
	switch {
	case o.key == "_extra":
		s.r.words(o.line, "rsync _extra", list(o.value), s.settings)
	case o.key == "binary":
		s.r.note(o.line, shown, Dropped, "lockstep speaks the protocol itself")
	case o.key == "delete" || o.key == "":
		s.r.note(o.line, shown, Refused, "lsyncd does not know it either")
	case o.value == false && (rsyncOptions[name].text == always):
		s.r.note(o.line, shown, Warned, "%s", always)
	case o.value == false:
		s.r.note(o.line, shown, Dropped, "it is off")
	default:
		value := text(o.value)
		if e := rsyncOptions[name]; e.verdict == Mapped && e.value == nil && value == "" {
			s.r.note(o.line, shown, Refused, "it has no value")
			return
		}
		s.r.option(o.line, shown, name, value, s.settings)
	}
}

// ssh collects the words of the remote shell.
func (s *sync) ssh(o field) {
	shown := "ssh " + quoted(o.key)
	switch o.key {
	case "binary":
		if text(o.value) != "ssh" && !strings.HasSuffix(text(o.value), "/ssh") {
			s.r.note(o.line, shown, Refused, "name the whole command in shell")
			return
		}
	case "identityFile":
		s.shell = append(s.shell, "-i", tree.ShellWord(text(o.value)))
	case "port":
		s.shell = append(s.shell, "-p", tree.ShellWord(text(o.value)))
	case "options":
		t, ok := o.value.(*table)
		if !ok {
			s.r.note(o.line, shown, Refused, "it is no table")
			return
		}
		for _, kv := range t.fields {
			s.shell = append(s.shell, "-o", tree.ShellWord(kv.key+"="+text(kv.value)))
		}
	case "_extra":
		for _, w := range list(o.value) {
			s.shell = append(s.shell, tree.ShellWord(w))
		}
	case "xargs":
		s.r.note(o.line, shown, Dropped, "")
		return
	default:
		s.r.note(o.line, shown, Refused, "it has no counterpart")
		return
	}
	s.r.note(o.line, shown, Mapped, "shell")
}
