package conf

import (
	"fmt"
	"strings"
)

// Config is a daemon's configuration.
type Config struct {
	Global   *Section
	Modules  []*Section // in the order of the file
	Problems []Problem
}

// Section is a module, or the global part. What it does not set itself it has
// from the defaults at its place in the file.
type Section struct {
	Name   string // "" is the global part
	Where  Place
	Again  []Place // further sections of the same name, which continue it
	values [params]setting
}

// Place is a line of a file.
type Place struct {
	File string
	Line int // from 1; 0 is none
}

func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// setting is the value of a parameter.
type setting struct {
	set   bool
	text  string
	where Place
}

// Problem is something that is passed over.
type Problem struct {
	Where Place
	Lines []string // as rsync's log has it
	Hint  string   // what may be meant; "" if that is not known
}

func (p Problem) String() string {
	s := p.Where.String() + ": " + strings.Join(p.Lines, "; ")
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// Module finds a module by its exact name, nil if there is none.
func (c *Config) Module(name string) *Section {
	for _, m := range c.Modules {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Env is where references to variables are looked up.
type Env func(name string) (string, bool)

// Raw is the value of a parameter as it is written.
func (s *Section) Raw(p Param) string {
	if v := s.values[p]; v.set {
		return v.text
	}
	return table[p].fallback
}

// Set reports whether something sets a parameter, and where.
func (s *Section) Set(p Param) (Place, bool) { return s.values[p].where, s.values[p].set }

// Text is the value of a parameter with its references followed.
func (s *Section) Text(p Param, env Env) string {
	v := Expand(s.Raw(p), env)
	if table[p].kind == place {
		v = trimSlashes(v)
	}
	return v
}

// trimSlashes cuts slashes at the end, but for the root.
func trimSlashes(name string) string {
	for len(name) > 1 && strings.HasSuffix(name, "/") {
		name = name[:len(name)-1]
	}
	return name
}

// Bool is the value of a parameter that is yes or no.
func (s *Section) Bool(p Param) bool { return s.Tri(p) == Yes }

// Tri is yes, no or neither.
type Tri int8

// The values of a Tri.
const (
	Unset Tri = iota
	No
	Yes
)

func (t Tri) String() string { return [...]string{"unset", "no", "yes"}[t] }

// Tri is the value of a parameter that may be unset.
func (s *Section) Tri(p Param) Tri {
	if t, ok := truth(s.Raw(p)); ok {
		return t
	}
	return Unset
}

// truth reads a boolean.
func truth(text string) (Tri, bool) {
	switch strings.ToLower(text) {
	case "yes", "true", "1":
		return Yes, true
	case "no", "false", "0":
		return No, true
	case "unset", "-1":
		return Unset, true
	}
	return Unset, false
}

// Int is the value of a parameter that is a number: what it begins with, as C's
// atoi reads it.
func (s *Section) Int(p Param) int { return atoi(s.Raw(p)) }

// maxInt bounds numbers, as C's int does.
const maxInt = 1<<31 - 1

func atoi(text string) int {
	text = strings.TrimLeftFunc(text, isSpace)
	sign := 1
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		sign, text = -1, rest
	} else {
		text = strings.TrimPrefix(text, "+")
	}
	n := 0
	for i := 0; i < len(text) && '0' <= text[i] && text[i] <= '9'; i++ {
		if n = n*10 + int(text[i]-'0'); n > maxInt {
			n = maxInt
		}
	}
	return sign * n
}

// Expand follows the references to variables in a value: %NAME% is the variable
// if there is one. Everything else stays, also %%.
func Expand(value string, env Env) string {
	if !strings.Contains(value, "%") {
		return value
	}
	var b strings.Builder
	for value != "" {
		before, rest, found := strings.Cut(value, "%")
		b.WriteString(before)
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "%")
		if closed {
			if v, ok := env(name); ok {
				b.WriteString(v)
				value = after
				continue
			}
		}
		b.WriteByte('%')
		value = rest
	}
	return b.String()
}

// References lists the names between percent signs in a value.
func References(value string, env Env) []string {
	var names []string
	Expand(value, func(name string) (string, bool) {
		v, ok := env(name)
		if ok {
			names = append(names, name)
		}
		return v, ok
	})
	return names
}
