package session

import (
	"errors"
	"strings"
)

// SplitShell takes a remote shell command apart at its spaces, except within
// '…' and "…"; a doubled quote inside quotes is that quote (rsync-session 1.3).
// "" is ssh.
func SplitShell(command string) ([]string, error) {
	var words []string
	var word strings.Builder
	started := false
	for i := 0; i < len(command); i++ {
		switch c := command[i]; c {
		case ' ':
			if started {
				words = append(words, word.String())
			}
			word.Reset()
			started = false
		case '\'', '"':
			started = true
			for i++; ; i++ {
				if i >= len(command) {
					return nil, errors.New("remote shell: a quote is not closed")
				}
				if command[i] != c {
					word.WriteByte(command[i])
					continue
				}
				if i+1 < len(command) && command[i+1] == c {
					word.WriteByte(c)
					i++
					continue
				}
				break
			}
		default:
			started = true
			word.WriteByte(c)
		}
	}
	if started {
		words = append(words, word.String())
	}
	if len(words) == 0 {
		words = []string{"ssh"}
	}
	return words, nil
}
