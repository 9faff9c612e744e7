package proof_test

import (
	"flag"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
)

// knownDifferences are those that are meant; docs/divergence.md has them.
var knownDifferences = []knownDifference{
	{"iconv to latin1/local copy/*/*", "rsync's receiving half escapes a name that it cannot convert"},
	{"relative with dot dot/push over a shell/3[12]/lockstep to *", "rsync's client leaves a server that waits without a word"},
	{"relative with dot dot/pull over a shell/*/* to *", "rsync's server leaves without a word, so that its client's code is 12"},
	{"relative with dot dot/pull from a daemon/*/*", "rsync's client refuses what it has asked for"},
}

// knownSeeds are random cases with what differs in them still, or is meant to.
// One that no longer differs fails the test.
var knownSeeds = map[uint64]string{
	106: "%B without -p: rsync shows the mode that the file gets, ours the one in the list",
	169: "--no-super: rsync leaves a directory that its owner must not search open to him",
}

// fickleSeeds are random cases in which the real rsync alone ends in one way or
// another, with the reason. They are left out.
var fickleSeeds = map[uint64]string{
	25: "rsync 3.5.0's generator may lose a list that hard links need: File-list index 12 not in 23 - 47 (finish_hard_link)",
}

// A knownDifference is one that is left as it is. An entry that no longer differs
// fails the test.
type knownDifference struct {
	cases  string // a pattern as of path.Match for ROW/TRANSPORT/PROTOCOL/CORNER, batch/NAME/PROTOCOL/WRITER/READER or habit/NAME
	reason string
}

// knownTally counts what came of the cases that a known difference names.
type knownTally struct {
	mu   sync.Mutex
	fine map[string]string // pattern -> a case of it that passed
	bad  map[string]bool   // patterns of which something differs still
}

// report fails the test for what was found, the first line of which says what
// was tried, unless it is known.
func (k *knownTally) report(t *testing.T, name string, found []string) {
	t.Helper()
	if len(found) <= 1 {
		k.passed(name)
	} else if reason, known := k.failed(name); known {
		t.Logf("known: %s\n%s", reason, strings.Join(found, "\n"))
	} else {
		t.Error(strings.Join(found, "\n"))
	}
}

// failed is the reason for a difference that is known.
func (k *knownTally) failed(name string) (reason string, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range knownDifferences {
		if ok, _ := path.Match(d.cases, name); ok {
			if k.bad == nil {
				k.bad = map[string]bool{}
			}
			k.bad[d.cases] = true
			return d.reason, true
		}
	}
	return "", false
}

func (k *knownTally) passed(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range knownDifferences {
		if ok, _ := path.Match(d.cases, name); ok {
			if k.fine == nil {
				k.fine = map[string]string{}
			}
			k.fine[d.cases] = name
		}
	}
}

// unused fails for each entry of which everything that was tried is equal.
func (k *knownTally) unused(t *testing.T) {
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") || os.Getenv(oursVar) != "" {
		return // what still differs was not tried
	}
	for pattern, name := range k.fine {
		if !k.bad[pattern] {
			t.Errorf("the known difference %q is gone (%s): take it off the list", pattern, name)
		}
	}
}
