package proof_test

import (
	"flag"
	"path"
	"strings"
	"sync"
	"testing"
)

// knownDifferences are those that are not mended yet.
var knownDifferences = []knownDifference{}

// knownSeeds are random cases that are not mended yet, with what differs in
// them. One that no longer differs fails the test.
var knownSeeds = map[uint64]string{}

// A knownDifference is one that is not mended yet. An entry that no longer
// differs fails the test: the list is to shrink until it is gone.
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
		t.Log("known: ", reason)
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
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return // what still differs may not have been tried
	}
	for pattern, name := range k.fine {
		if !k.bad[pattern] {
			t.Errorf("the known difference %q is gone (%s): take it off the list", pattern, name)
		}
	}
}
