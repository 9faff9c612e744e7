package config

import (
	"path/filepath"

	"lockstep/internal/live/target"
)

// plainName is the mirror's name where its source gives none.
const plainName = "mirror"

// Plain is a configuration of one mirror that is given by words alone: paths
// may be relative, and password, a file's name, may be "". It is called after
// its source.
func Plain(source string, targets []string, password string) (*Config, error) {
	t := Template{Name: plainName}
	var err error
	if t.Source, err = filepath.Abs(source); err != nil {
		return nil, err
	}
	if name := filepath.Base(t.Source); checkName(name) == nil {
		t.Name = name
	}
	if password != "" {
		if t.PasswordFile, err = filepath.Abs(password); err != nil {
			return nil, err
		}
	}
	for _, name := range targets {
		if sp, err := target.ParseSpec(name); err == nil && sp.Transport == target.Local {
			if name, err = filepath.Abs(sp.Path); err != nil {
				return nil, err
			}
		}
		t.Targets = append(t.Targets, name)
	}
	return Decode([]byte(t.Text()), ReadRules)
}
