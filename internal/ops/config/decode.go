package config

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/target"
)

// document is the shape of the file. Which keys a table really holds is in the
// second reading, a plain map.
type document struct {
	Control       string              `toml:"control"`
	Metrics       string              `toml:"metrics"`
	Page          string              `toml:"page"`
	PageTokenFile string              `toml:"page_token_file"`
	PageCert      string              `toml:"page_cert"`
	PageKey       string              `toml:"page_key"`
	PageClientCA  string              `toml:"page_client_ca"`
	Defaults      Settings            `toml:"defaults"`
	Mirror        map[string]Settings `toml:"mirror"`
}

// maxMirrors bounds the mirrors of one file.
const maxMirrors = 1000

// Decode reads a configuration. read opens the files of patterns that it names.
func Decode(data []byte, read func(name string) ([]byte, error)) (*Config, error) {
	var doc document
	d := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return nil, explain(err)
	}
	var raw struct {
		Defaults map[string]any            `toml:"defaults"`
		Mirror   map[string]map[string]any `toml:"mirror"`
	}
	if err := toml.Unmarshal(data, &raw); err != nil {
		return nil, explain(err)
	}
	if len(raw.Mirror) > maxMirrors {
		return nil, fmt.Errorf("%d mirrors are more than %d", len(raw.Mirror), maxMirrors)
	}
	defaults := builtIn()
	if err := overlay(&defaults, raw.Defaults); err != nil {
		return nil, fmt.Errorf("defaults: %w", err)
	}
	c := &Config{Control: doc.Control, Metrics: doc.Metrics, Page: doc.Page, PageTokenFile: doc.PageTokenFile,
		PageCert: doc.PageCert, PageKey: doc.PageKey, PageClientCA: doc.PageClientCA}
	for _, name := range slices.Sorted(maps.Keys(raw.Mirror)) {
		m, err := newMirror(name, defaults, raw.Defaults, raw.Mirror[name])
		if err != nil {
			return nil, fmt.Errorf("mirror.%s: %w", tree.Quote(name), err)
		}
		c.Mirrors = append(c.Mirrors, m)
	}
	for _, key := range []string{"source", "targets", "password_files"} {
		if _, ok := raw.Defaults[key]; ok {
			return nil, fmt.Errorf("defaults: %s is a setting of single mirrors", key)
		}
	}
	if err := c.validate(read); err != nil {
		return nil, err
	}
	return c, nil
}

// newMirror lays a mirror's own table over the defaults.
func newMirror(name string, defaults Settings, given, own map[string]any) (Mirror, error) {
	m := Mirror{Name: name, Settings: defaults, origins: map[string]string{}}
	for key := range given {
		m.origins[key] = "defaults"
	}
	for key := range own {
		if m.origins[key] != "" && isRuleList(key) {
			m.origins[key] = "both"
			continue
		}
		m.origins[key] = "mirror"
	}
	m.Targets, m.PasswordFiles = nil, nil
	for _, list := range m.ruleLists() {
		*list = nil
	}
	if err := overlay(&m.Settings, own); err != nil {
		return m, err
	}
	if len(m.QuietHours) == 0 {
		m.QuietHours = nil // an empty list says the same as none
	}
	lists, more := m.ruleLists(), defaults.ruleLists()
	for i := range lists {
		*lists[i] = slices.Concat(*lists[i], *more[i])
	}
	return m, nil
}

// overlay sets in s what the table says.
func overlay(s *Settings, table map[string]any) error {
	if len(table) == 0 {
		return nil
	}
	text, err := toml.Marshal(table)
	if err != nil {
		return err
	}
	return toml.Unmarshal(text, s)
}

// ruleLists are the lists of filter rules, in the order in which they count.
func (s *Settings) ruleLists() []*[]string {
	return []*[]string{&s.Filter, &s.Include, &s.IncludeFrom, &s.Exclude, &s.ExcludeFrom}
}

// ruleKeys are their keys, in the same order.
var ruleKeys = []string{"filter", "include", "include_from", "exclude", "exclude_from"}

func isRuleList(key string) bool { return slices.Contains(ruleKeys, key) }

// compile makes the mirror's rules and the digest of what they were read from.
func (m *Mirror) compile(read func(string) ([]byte, error)) error {
	words := BackupRule(target.Backups{Dir: m.BackupDir, Days: m.BackupDays})
	for i, list := range m.ruleLists() {
		for _, value := range *list {
			words = append(words, Rule{strings.ReplaceAll(ruleKeys[i], "_", "-"), value})
		}
	}
	sum := sha256.New()
	rules, err := CompileRules(words, m.CVSExclude, func(name string) ([]byte, error) {
		text, err := read(name)
		fmt.Fprintf(sum, "%q %q\n", name, text)
		return text, err
	})
	if err != nil {
		return err
	}
	m.rules, m.digest = rules, fmt.Sprintf("%x", sum.Sum(nil))
	return nil
}

// explain turns an error of the TOML reader into one that names the line and,
// for an unknown key, what may have been meant.
func explain(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		var all []error
		for i := range strict.Errors {
			e := &strict.Errors[i]
			line, _ := e.Position()
			all = append(all, fmt.Errorf("line %d: %s", line, unknownKey(e.Key())))
		}
		return errors.Join(all...)
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, column := bad.Position()
		text := strings.TrimPrefix(bad.Error(), "toml: ")
		return fmt.Errorf("line %d, column %d: %s", line, column, tree.Quote(text))
	}
	return err
}

// unknownKey says what is wrong with a key that does not exist.
func unknownKey(key []string) string {
	shown := make([]string, len(key))
	for i, k := range key {
		shown[i] = tree.Quote(k)
	}
	text := "unknown key " + strings.Join(shown, ".")
	last := key[len(key)-1]
	if strings.EqualFold(last, "password") || strings.EqualFold(last, "secret") {
		return text + ": passwords are not written here; name a file that holds one with password_file"
	}
	known := Keys()
	if !slices.Contains(topKeys(), key[0]) {
		known, last = topKeys(), key[0]
	}
	if near := nearest(last, known); near != "" {
		return text + ": did you mean " + near + "?"
	}
	if len(key) == 1 && slices.Contains(Keys(), last) {
		return text + ": it belongs into [defaults] or [mirror.NAME]"
	}
	return text
}

func topKeys() []string { return tagged(reflect.TypeFor[document]()) }

// Keys are the keys of a mirror's table, in the order of the documentation.
func Keys() []string { return tagged(reflect.TypeFor[Settings]()) }

func tagged(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("toml"))
	}
	return keys
}

// nearest is the known word that a misspelt one most likely stands for, "" if
// none is close.
func nearest(word string, known []string) string {
	norm := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	best, least := "", 3
	for _, k := range known {
		if d := distance(norm(word), k); d < min(least, len(k)) {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of characters to insert, remove or change to make b
// of a (Levenshtein), both cut to a length that a key can have.
func distance(a, b string) int {
	a, b = a[:min(len(a), 40)], b[:min(len(b), 40)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func readBounded(r io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("larger than %d KiB", cmp.Or(most>>10, 1))
	}
	return data, err
}
