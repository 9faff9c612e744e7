package harness

import (
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Words takes a line apart as a shell does, with single and double quotes and
// backslashes, and nothing else of a shell.
func Words(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			inWord = true
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ' || c == '\t' || c == '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("words of %q: no closing %c", line, quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// QuoteAll is words as a shell takes them.
func QuoteAll(words []string) []string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = ShellQuote(w)
	}
	return quoted
}

// RealRsync is the path of the installed rsync.
func RealRsync() (string, error) {
	p, err := exec.LookPath("rsync")
	if err != nil {
		return "", err
	}
	return filepath.Abs(p)
}

var traffic = regexp.MustCompile(`sent ([\d,]+) bytes  received ([\d,]+) bytes`)

// Traffic is how many bytes a run says that it sent and received.
func Traffic(out string) (sent, received int64, ok bool) {
	m := traffic.FindStringSubmatch(out)
	if m == nil {
		return 0, 0, false
	}
	number := func(s string) int64 {
		n, _ := strconv.ParseInt(strings.ReplaceAll(s, ",", ""), 10, 64)
		return n
	}
	return number(m[1]), number(m[2]), true
}

// TrafficDiffers compares what two runs say that they sent and received. The
// same work costs the same bytes but for where frames and messages begin; it
// returns an empty string if that explains it.
func TrafficDiffers(want, got string) string {
	sentA, receivedA, okA := Traffic(want)
	sentB, receivedB, okB := Traffic(got)
	near := func(a, b int64) bool { return math.Abs(float64(a-b)) <= 450+0.03*float64(a) }
	if okA != okB || near(sentA, sentB) && near(receivedA, receivedB) {
		return ""
	}
	return fmt.Sprintf("sent %d bytes and received %d, want about %d and %d", sentB, receivedB, sentA, receivedA)
}
