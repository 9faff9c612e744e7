package session

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"lockstep/internal/rsync/wire"
)

// journalEnd is how many messages are kept from the beginning, and how many
// from the end.
const journalEnd = 32

// journal keeps what the peer said, bounded. It may be used by any goroutine.
type journal struct {
	mu      sync.Mutex
	first   []string
	last    []string
	dropped int
	partial bool // the peer failed to store something
	limited bool // the peer stopped deleting at --max-delete
}

// deleteLimit begins the peer's words about --max-delete; no code tells.
const deleteLimit = "Deletions stopped due to --max-delete limit"

// hear takes note of a text message; informative ones are not kept.
func (j *journal) hear(code wire.Code, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.partial = j.partial || code == wire.CodeErrorXfer
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r")
		j.limited = j.limited || strings.HasPrefix(line, deleteLimit)
		if line == "" || code == wire.CodeInfo {
			continue
		}
		if len(j.first) < journalEnd {
			j.first = append(j.first, line)
			continue
		}
		if len(j.last) == journalEnd {
			j.last = slices.Delete(j.last, 0, 1)
			j.dropped++
		}
		j.last = append(j.last, line)
	}
}

// messages are the errors and warnings so far.
func (j *journal) messages() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := slices.Clone(j.first)
	if j.dropped > 0 {
		list = append(list, fmt.Sprintf("(%d more messages)", j.dropped))
	}
	return append(list, j.last...)
}

// outcome is what the messages say about the exit code.
func (j *journal) outcome() (partial, limited bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.partial, j.limited
}
