package session

import (
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/rsync/output"
)

// writeScript writes the command that replays a batch: the one that made it,
// with the batch in place of the sources and with the filter rules (section 6).
func (r *errand) writeScript(b *batchWriter, protocol int) error {
	if b == nil {
		return nil
	}
	rules := r.rules.Texts()
	var s strings.Builder
	s.WriteString(quoted(r.Argv[0]))
	if len(rules) > 0 {
		if protocol >= sidedProtocol {
			s.WriteString(" --filter=" + quoted("._-"))
		} else {
			s.WriteString(" --exclude-from=" + quoted("-"))
		}
	}
	for _, word := range r.replayWords() {
		s.WriteString(" " + word)
	}
	fmt.Fprintf(&s, " ${1:-%s}", quoted(r.ops.Dest))
	if len(rules) > 0 {
		s.WriteString(" <<'#E#'\n")
		for _, rule := range rules {
			if strings.Contains(rule, "\n") {
				return fatalf(ExitSyntax, "cannot write a filter rule containing a newline to the batch replay script")
			}
			s.WriteString(rule)
			if r.Opt.From0 {
				s.WriteString("\x00;")
			}
			s.WriteString("\n")
		}
		s.WriteString("#E#")
	}
	s.WriteString("\n")
	if _, err := b.script.WriteString(s.String()); err != nil {
		return fatalf(ExitFile, "rsync: batch file \"%s\" write error: %s", absolute(b.script.Name()), output.Strerror(err))
	}
	return nil
}

// dropped are the long options that name what the batch has: with a value that
// stands in the same word or in the next.
var dropped = []string{"files-from", "filter", "include", "include-from", "exclude", "exclude-from"}

// replayWords are the words of the command line as the script has them.
func (r *errand) replayWords() []string {
	given := r.Argv[1:]
	operand := make([]bool, len(given))
	at := len(given)
	for _, arg := range slices.Backward(r.Opt.Args) { // the last of equal words is the operand
		for at--; at >= 0; at-- {
			if given[at] == arg {
				operand[at] = true
				break
			}
		}
	}
	var words []string
	for i := 0; i < len(given); i++ {
		word := given[i]
		name, value, joined := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		long := strings.HasPrefix(word, "--")
		switch {
		case operand[i]:
		case long && slices.Contains(dropped, name):
			if !joined {
				i++
			}
		case word == "-f":
			i++
		case strings.HasPrefix(word, "-f"):
		case long && (name == "write-batch" || name == "only-write-batch"):
			if joined {
				words = append(words, "--read-batch="+quoted(value))
			} else {
				words = append(words, "--read-batch")
			}
		default:
			words = append(words, quotedOption(word))
		}
	}
	return words
}

// quotedOption quotes a word; of a long option with a value only that.
func quotedOption(word string) string {
	name, value, joined := strings.Cut(word, "=")
	plain := strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	if strings.HasPrefix(word, "--") && joined && plain {
		return name + "=" + quoted(value)
	}
	return quoted(word)
}

// quoted is a word in single quotes.
func quoted(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
