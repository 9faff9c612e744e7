package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/live/target"
)

// maxRuleFile bounds a file of rules, in bytes: what is larger is no such file.
const maxRuleFile = 16 << 20

// Rule is one filter option: filter, include, exclude, include-from or
// exclude-from, with its value. Their order decides what they mean.
type Rule struct{ Option, Value string }

// BackupRule is the rule that leaves the backups alone, none if there are none.
// It comes before all others.
func BackupRule(b target.Backups) []Rule {
	if b.Dir == "" {
		return nil
	}
	return []Rule{{"exclude", b.Pattern()}}
}

// CompileRules turns filter options, in their order, into rules; nil if there
// are none. read opens the files that they name.
func CompileRules(words []Rule, cvs bool, read func(name string) ([]byte, error)) (*filter.Rules, error) {
	b := &filter.Builder{Read: read, CVSEnv: os.Getenv("CVSIGNORE")}
	if home, err := os.UserHomeDir(); err == nil && cvs {
		if text, err := read(filepath.Join(home, ".cvsignore")); err == nil {
			b.CVSHome = string(text)
		}
	}
	add := map[string]func(string) error{
		"filter": b.Filter, "include": b.Include, "exclude": b.Exclude,
		"include-from": b.IncludeFrom, "exclude-from": b.ExcludeFrom,
	}
	for _, w := range words {
		if err := add[w.Option](w.Value); err != nil {
			return nil, fmt.Errorf("%s: %w", w.Option, err)
		}
	}
	return b.Rules(filter.Implied{CVS: cvs})
}

// ReadRules reads a file of rules.
func ReadRules(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return LimitRules(name, f)
}

// LimitRules reads rules from r, which is called name, up to the bound.
func LimitRules(name string, r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxRuleFile+1))
	if err == nil && len(text) > maxRuleFile {
		err = fmt.Errorf("%s: larger than %d MiB", tree.Quote(name), maxRuleFile>>20)
	}
	return text, err
}
