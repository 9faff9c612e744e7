package lockstep

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
)

// maxRuleFile bounds a file of rules: what is larger is no such file.
const maxRuleFile = 16 << 20

// compileRules turns the filter options, in their order, into rules; nil if
// there are none. stdin is what the file "-" stands for.
func compileRules(words []ruleWord, cvs bool, stdin io.Reader) (*filter.Rules, error) {
	b := &filter.Builder{
		Read:   func(name string) ([]byte, error) { return readRules(name, stdin) },
		CVSEnv: os.Getenv("CVSIGNORE"),
	}
	if home, err := os.UserHomeDir(); err == nil {
		if text, err := readRules(filepath.Join(home, ".cvsignore"), stdin); err == nil {
			b.CVSHome = string(text)
		}
	}
	add := map[string]func(string) error{
		"filter": b.Filter, "include": b.Include, "exclude": b.Exclude,
		"include-from": b.IncludeFrom, "exclude-from": b.ExcludeFrom,
	}
	for _, w := range words {
		if err := add[w.option](w.value); err != nil {
			return nil, fmt.Errorf("%s: %w", w.option, err)
		}
	}
	return b.Rules(filter.Implied{CVS: cvs})
}

func readRules(name string, stdin io.Reader) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxRuleFile+1))
	if err == nil && len(text) > maxRuleFile {
		err = fmt.Errorf("%s: larger than %s", tree.Quote(name), byteCount(maxRuleFile))
	}
	return text, err
}
