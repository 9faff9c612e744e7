package harness

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Event is one line that a mirror prints with --json. Which keys there are
// depends on the event; `lockstep help output` lists them.
type Event struct {
	Event   string  `json:"event"`
	Target  string  `json:"target"`
	Backend string  `json:"backend"`
	Changes int64   `json:"changes"`
	Files   int64   `json:"files"`
	Deleted int64   `json:"deleted"`
	Failed  int64   `json:"failed"`
	Wire    int64   `json:"wire"` // bytes on the wire, both directions
	LagMS   float64 `json:"lag_ms"`
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error"`
	Next    string  `json:"next"` // when a failing target is tried again, empty for never
	Rescans int     `json:"rescans"`
	Targets []State `json:"targets"`
	Raw     string  `json:"-"` // the line itself
}

// State is what the state event says of one target.
type State struct {
	Target string `json:"target"`
	State  string `json:"state"`
	Behind int    `json:"behind"`
	Error  string `json:"error"`
}

// Mirror is a running `lockstep mirror --json`.
type Mirror struct {
	*Process

	mu     sync.Mutex
	events []Event
	more   chan struct{} // closed and renewed when events grows
}

// MirrorConfig says how to start a mirror.
type MirrorConfig struct {
	Binary string
	Before []string // words to put before the binary, such as WatchLimit
	Args   []string // after the words "mirror --json"
	Env    []string // in addition to this program's environment
	UserID uint32   // the user and group to run as, if not 0
}

// StartMirror starts a mirror.
func StartMirror(config MirrorConfig) (*Mirror, error) {
	m := &Mirror{more: make(chan struct{})}
	words := append(slices.Clone(config.Before), config.Binary, "mirror", "--json")
	words = append(words, config.Args...)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(cmd.Environ(), config.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if config.UserID != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: config.UserID, Gid: config.UserID}
	}
	proc, err := Start("lockstep mirror", cmd, m.take)
	m.Process = proc
	return m, err
}

func (m *Mirror) take(line string) {
	e := Event{Raw: line}
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		e.Event = "not JSON: " + err.Error()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
	close(m.more)
	m.more = make(chan struct{})
}

// Mark is a place in the stream of events: now.
func (m *Mirror) Mark() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.events)
}

// Since is what was printed since a mark.
func (m *Mirror) Since(mark int) []Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Event(nil), m.events[mark:]...)
}

// WaitFor waits for an event at or after mark that match accepts. It gives up
// after limit and when the mirror ends.
func (m *Mirror) WaitFor(limit time.Duration, what string, mark int, match func(Event) bool) (Event, error) {
	timeout := time.After(limit)
	for {
		ended := !m.Running()
		m.mu.Lock()
		more := m.more
		for ; mark < len(m.events); mark++ {
			if match(m.events[mark]) {
				defer m.mu.Unlock()
				return m.events[mark], nil
			}
		}
		m.mu.Unlock()
		if ended {
			return Event{}, fmt.Errorf("the mirror ended while waiting for %s\n%s", what, m.Tail(60))
		}
		select {
		case <-more:
		case <-m.Done():
		case <-timeout:
			return Event{}, fmt.Errorf("waited %v in vain for %s\n%s", limit, what, m.Tail(60))
		}
	}
}

// WaitWatching waits until the mirror says that it watches its source.
func (m *Mirror) WaitWatching(limit time.Duration) error {
	_, err := m.WaitFor(limit, "the source being watched", 0, Named("watching"))
	return err
}

// WaitInStep waits until n targets have said once that they are in step.
func (m *Mirror) WaitInStep(limit time.Duration, n int) error {
	seen := map[string]bool{}
	_, err := m.WaitFor(limit, fmt.Sprintf("%d targets in step", n), 0, func(e Event) bool {
		if e.Event == "in-step" {
			seen[e.Target] = true
		}
		return len(seen) >= n
	})
	return err
}

// Named matches events by their name.
func Named(name string) func(Event) bool {
	return func(e Event) bool { return e.Event == name }
}

// Saying matches events by name and a regular expression on the whole line.
func Saying(name, pattern string) func(Event) bool {
	re := regexp.MustCompile(pattern)
	return func(e Event) bool { return e.Event == name && re.MatchString(e.Raw) }
}

// Wire is the sum of bytes on the wire of the batches in events.
func Wire(events []Event) (n int64) {
	for _, e := range events {
		if e.Event == "batch" {
			n += e.Wire
		}
	}
	return n
}

// AskState sends SIGUSR1 and returns the answer.
func (m *Mirror) AskState(limit time.Duration) (Event, error) {
	mark := m.Mark()
	if err := m.Signal(syscall.SIGUSR1); err != nil {
		return Event{}, err
	}
	return m.WaitFor(limit, "the state", mark, Named("state"))
}
