package lockstep

import (
	"io"

	"lockstep/internal/fs/filter"
	"lockstep/internal/ops/config"
)

// compileRules turns the filter options, in their order, into rules; nil if
// there are none. stdin is what the file "-" stands for.
func compileRules(words []ruleWord, cvs bool, stdin io.Reader) (*filter.Rules, error) {
	return config.CompileRules(words, cvs, func(name string) ([]byte, error) {
		if name == "-" {
			return config.LimitRules(name, stdin)
		}
		return config.ReadRules(name)
	})
}
