package proof_test

import (
	"flag"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/proof/harness"
)

// knownDifferences are those that are meant; docs/divergence.md has them.
var knownDifferences = []knownDifference{
	{"iconv to latin1/local copy/*/*", "rsync's receiving half escapes a name that it cannot convert"},
	{"relative with dot dot/push over a shell/3[12]/lockstep to *", "rsync's client leaves a server that waits without a word"},
	{"relative with dot dot/pull over a shell/*/* to *", "rsync's server leaves without a word, so that its client's code is 12"},
	{"relative with dot dot/pull from a daemon/*/*", "rsync's client refuses what it has asked for"},
	{"files from*/pull from a daemon/*/lockstep to *", "rsync's daemon says that the files have vanished"},
	{"hard links from a list/pull from a daemon/*/lockstep to *", "rsync's daemon says that the files have vanished"},
	{"iconv*/pull from a daemon/*/lockstep to *", "rsync's daemon does not wait until its refusal is read"},
	{"copy devices/pull from a daemon/*/lockstep to *", "rsync's daemon does not wait until its refusal is read"},
	{"copy links/pull from a daemon/*/lockstep to *", "rsync's daemon lists what lies outside of the module"},
	{"copy unsafe links/pull from a daemon/*/lockstep to *", "rsync's daemon lists what lies outside of the module"},
	{"remove source files behind unsafe symlinks/pull from a daemon/*/lockstep to *", "rsync's daemon removes what was not asked for"},
}

// knownSeeds are random cases with what differs in them still, or is meant to.
// One that no longer differs fails the test.
var knownSeeds = map[uint64]string{}

// A fault is something in which rsync is plainly wrong, and ours is not; each
// has its line in docs/divergence.md. Cases with all of its options are left
// out.
type fault []string // each is one option or several, of which one will do

var faults = []fault{
	{"-n", "-X", "--compare-dest|--copy-dest|--link-dest"},    // a new directory that the alternate has is an error
	{"-n", "-H", "--link-dest"},                               // a link's leader has the name of the alternate's file
	{"--backup-dir=../bak", "--inplace|--append"},             // the backup has no attributes
	{"-X", "--chmod", withoutPerms},                           // a file of which an attribute is set gets the mode
	{"-S", "--append"},                                        // the first file that ends in zeros ends the run
	{"-y", withoutPerms},                                      // a new file gets the mode of what it resembles
	{"--delete-delay", "-F|-FF|.rsync-filter'"},               // what merge files protect is removed with its directory
	{"--append", "-y|--compare-dest|--copy-dest|--link-dest"}, // a new file lacks what another basis has
}

// withoutPerms are the options that leave permissions alone.
const withoutPerms = "-r|-rlt|-dlt|--no-p"

// archives are the options that preserve owners and groups.
const archives = "-a|-rtpog"

// has reports whether the case has an option that begins with one of words,
// alternatives set apart by a bar.
func (c randomCase) has(words string) bool {
	for _, option := range c.options {
		for given := range strings.FieldsSeq(option) {
			for word := range strings.SplitSeq(words, "|") {
				if given == word || strings.HasPrefix(word, "--") && strings.HasPrefix(given, word) {
					return true
				}
			}
		}
	}
	return false
}

// faulty reports whether the case meets a fault.
func (c randomCase) faulty() bool {
	there := path.Clean(c.to) == "dst" && slices.Contains(c.world, "dst/")
	if c.has("-n") && c.has("-H") && (c.from == "src" || c.has("-R")) && !there {
		return true // links are compared with the source, for want of a destination
	}
	if c.protocol < 30 && c.via.Daemon() && c.has("-s") && c.has("--compare-dest|--copy-dest|--link-dest") {
		return true // the daemon is told of the directory twice
	}
	if c.has("--fake-super") && (!c.has(archives) || c.has("--no-o|--no-g")) {
		return true // owners that are not preserved are made up
	}
	if c.via == harness.DaemonPull && c.corner.sender && c.has("--files-from") {
		return true // rsync's daemon says that the files have vanished
	}
	outward := slices.ContainsFunc(c.world, func(line string) bool { return strings.Contains(line, ` -> "/`) })
	if c.via == harness.DaemonPull && c.corner.sender && c.has("-L|--copy-unsafe-links") && outward {
		return true // rsync's daemon lists what lies outside of the module
	}
	return slices.ContainsFunc(faults, func(f fault) bool {
		return !slices.ContainsFunc(f, func(words string) bool { return !c.has(words) })
	})
}

// fickleSeeds are random cases in which the real rsync alone ends in one way or
// another, or is wrong in a way that the options do not tell, with the reason. They
// are left out.
var fickleSeeds = map[uint64]string{
	25:    "rsync 3.5.0's generator may lose a list that hard links need: File-list index 12 not in 23 - 47 (finish_hard_link)",
	6043:  "the rules of one argument's merge file that begins with \"!\" go on in the next argument",
	9349:  "a file that --fuzzy took for a basis makes way for a directory: got a block match with no basis file",
	93179: "the temporary directory makes way for the file: mkstemp fails, unless it came first",
	93387: "a list that hard links need is gone: hard-link gnum 9 precedes flist start 21",
	94141: "a list that hard links need is gone, the same",
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
