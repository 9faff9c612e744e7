package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"lockstep/internal/fs/tree"
)

// Effective is c as a file that says everything: each mirror with all its
// settings, and where each comes from.
func (c *Config) Effective() string {
	var b strings.Builder
	top := reflect.ValueOf(*c)
	for i := range top.NumField() {
		if key := top.Type().Field(i).Tag.Get("toml"); key != "-" {
			line(&b, key, top.Field(i).Interface(), "")
		}
	}
	for i := range c.Mirrors {
		m := &c.Mirrors[i]
		fmt.Fprintf(&b, "\n[mirror.%s]\n", tableKey(m.Name))
		v := reflect.ValueOf(m.Settings)
		for j := range v.NumField() {
			key := v.Type().Field(j).Tag.Get("toml")
			line(&b, key, v.Field(j).Interface(), m.Origin(key))
		}
	}
	return b.String()
}

// line writes one setting; from is a comment.
func line(b *strings.Builder, key string, value any, from string) {
	switch v := reflect.ValueOf(value); {
	case v.Kind() == reflect.Map:
		value = inline(value.(map[string]string))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Interface:
		value = tables(value.([]any))
	case v.Kind() == reflect.Slice && v.IsNil():
		value = []string{}
	}
	text, ok := value.(literal)
	if !ok {
		out, err := toml.Marshal(map[string]any{key: value})
		if err != nil {
			return // strings, numbers, booleans and lists of strings always can be written
		}
		b.WriteString(strings.TrimSuffix(string(out), "\n"))
	} else {
		b.WriteString(key + " = " + string(text))
	}
	if from != "" && from != "mirror" {
		b.WriteString("  # " + from)
	}
	b.WriteByte('\n')
}

// literal is TOML as it stands.
type literal string

// inline writes a table of strings on one line.
func inline(table map[string]string) literal {
	var parts []string
	for k, v := range table {
		parts = append(parts, basic(k)+" = "+basic(v))
	}
	if len(parts) == 0 {
		return "{}"
	}
	slices.Sort(parts)
	return literal("{ " + strings.Join(parts, ", ") + " }")
}

// tables writes a list of strings, or of tables of strings, on one line.
func tables(list []any) literal {
	var parts []string
	for _, item := range list {
		if text, ok := item.(string); ok {
			parts = append(parts, basic(text))
			continue
		}
		words := map[string]string{}
		for k, v := range item.(map[string]any) {
			words[k] = v.(string)
		}
		parts = append(parts, string(inline(words)))
	}
	return literal("[" + strings.Join(parts, ", ") + "]")
}

// tableKey is a mirror's name as a part of a table's name: quoted if it has a
// dot.
func tableKey(name string) string {
	if strings.Contains(name, ".") {
		return basic(name)
	}
	return name
}

// basic writes a basic string (TOML 1.0, "String").
func basic(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString("\\" + string(r))
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

// Key is one documented key.
type Key struct{ Name, Meaning, Default string }

// TopKeys are the keys outside of tables.
func TopKeys() []Key { return keysOf(reflect.TypeFor[Config]()) }

// MirrorKeys are the keys of [mirror.NAME].
func MirrorKeys() []Key {
	keys := keysOf(reflect.TypeFor[Settings]())
	v := reflect.ValueOf(builtIn())
	for i := range keys {
		if keys[i].Default != "" {
			continue
		}
		var b strings.Builder
		line(&b, keys[i].Name, v.Field(i).Interface(), "")
		_, keys[i].Default, _ = strings.Cut(strings.TrimSpace(b.String()), " = ")
	}
	return keys
}

func keysOf(t reflect.Type) []Key {
	var keys []Key
	for i := range t.NumField() {
		f := t.Field(i)
		if name := f.Tag.Get("toml"); name != "-" {
			keys = append(keys, Key{name, f.Tag.Get("doc"), f.Tag.Get("default")})
		}
	}
	return keys
}

// Template is what a new file begins with.
type Template struct {
	Name, Source string
	Targets      []string
	PasswordFile string
}

// Text is a file with the settings of t and, as comments, everything else that
// could be said.
func (t Template) Text() string {
	var b strings.Builder
	b.WriteString("# lockstep keeps the targets of each mirror in step with its source.\n" +
		"# lockstep check looks this file over, lockstep reload applies it.\n\n")
	for _, k := range TopKeys() {
		comment(&b, k.Meaning)
		fmt.Fprintf(&b, "# %s = \"\"  # %s\n\n", k.Name, k.Default)
	}
	b.WriteString("# What mirrors have in common. Each setting below, but for source and targets,\n" +
		"# may stand here; lists of filter rules add up, the mirror's own first.\n[defaults]\n\n")
	fmt.Fprintf(&b, "[mirror.%s]\n", tableKey(t.Name))
	given := map[string]any{"source": t.Source, "targets": t.Targets}
	if t.PasswordFile != "" {
		given["password_file"] = t.PasswordFile
	}
	for _, k := range MirrorKeys() {
		comment(&b, k.Meaning)
		if v, ok := given[k.Name]; ok {
			line(&b, k.Name, v, "")
		} else {
			fmt.Fprintf(&b, "# %s = %s\n", k.Name, k.Default)
		}
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// Validate reports whether the file that t gives is a good one.
func (t Template) Validate() error {
	if err := checkName(t.Name); err != nil {
		return fmt.Errorf("mirror.%s: %w", tree.Quote(t.Name), err)
	}
	_, err := Decode([]byte(t.Text()), ReadRules)
	return err
}

// comment writes text as comment lines of at most 78 characters.
func comment(b *strings.Builder, text string) {
	at := "#"
	for word := range strings.FieldsSeq(text) {
		if len(at)+1+len(word) > 78 {
			b.WriteString(at + "\n")
			at = "#"
		}
		at += " " + word
	}
	b.WriteString(at + "\n")
}

// Entry is a mirror to be written: its settings by key.
type Entry struct {
	Name     string
	Settings map[string]any
}

// Write is a configuration with these mirrors.
func Write(entries []Entry) string {
	var b strings.Builder
	for i, e := range entries {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "[mirror.%s]\n", tableKey(e.Name))
		for _, key := range Keys() {
			if v, ok := e.Settings[key]; ok {
				line(&b, key, v, "")
			}
		}
	}
	return b.String()
}
