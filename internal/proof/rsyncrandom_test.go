package proof_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// Environment variables of TestRsyncRandom.
const (
	seedVar  = "LOCKSTEP_RSYNC_SEED"  // the first seed, 1 by default; "time" takes it from the clock
	casesVar = "LOCKSTEP_RSYNC_CASES" // how many seeds from there, 300 by default
)

// A randomCase is work that a seed made up: a world, options, a way to connect
// the ends and who is at which of them.
type randomCase struct {
	seed     uint64
	world    []string // lines of a layout
	options  []string // each may be several words
	from, to string
	via      harness.Transport
	protocol int
	corner   corner
}

func (c randomCase) row() row {
	args := strings.Join(c.options, " ")
	return row{
		world: strings.Join(c.world, "\n"), args: args, from: c.from, to: c.to,
		order: strings.Contains(args, "vv") || strings.Contains(args, "=name2") || strings.Contains(args, "=skip"),
	}
}

// trial is what came of a case.
type trial struct {
	found     []string
	reference attempt // without its world
	unstable  bool    // the real rsync does not agree with itself
}

// try runs the reference and the corner. With confirm a difference counts only
// if the reference does the same again and again.
func (c randomCase) try(confirm bool) (trial, error) {
	r := c.row()
	var want, got attempt
	var errs [2]error
	var wait sync.WaitGroup
	wait.Go(func() { want, errs[0] = r.try(c.via, c.protocol, reference) })
	wait.Go(func() { got, errs[1] = r.try(c.via, c.protocol, c.corner) })
	wait.Wait()
	defer want.remove()
	defer got.remove()
	if err := errors.Join(errs[:]...); err != nil {
		return trial{}, err
	}
	// Where both ends give up it is chance which of them says so first.
	r.quiet = want.outcomes[0].Code == 2 || want.outcomes[0].Code == 4
	found, err := r.differences(want, got)
	if err != nil || len(found) == 0 || !confirm {
		return trial{found: found, reference: want}, err
	}
	for range 4 {
		again, err := r.try(c.via, c.protocol, reference)
		if err == nil {
			var itself []string
			itself, err = r.differences(want, again)
			if len(itself) > 0 {
				again.remove()
				return trial{reference: want, unstable: true}, nil
			}
		}
		again.remove()
		if err != nil {
			return trial{}, err
		}
	}
	return trial{found: found, reference: want}, nil
}

// shrinkLimit bounds the time that one failure is made smaller for.
const shrinkLimit = 20 * time.Second

// shrink leaves options and lines of the world out as long as something still
// differs.
func (c randomCase) shrink() randomCase {
	deadline := time.Now().Add(shrinkLimit)
	fails := func(c randomCase) bool {
		if time.Now().After(deadline) {
			return false
		}
		t, err := c.try(true)
		return err == nil && !t.unstable && len(t.found) > 0
	}
	c.options = without(c.options, 1, func(o []string) bool {
		smaller := c
		smaller.options = o
		return fails(smaller)
	})
	for size := max(1, len(c.world)/2); ; size /= 2 {
		c.world = without(c.world, size, func(w []string) bool {
			smaller := c
			smaller.world = w
			return fails(smaller)
		})
		if size <= 1 {
			break
		}
	}
	return c
}

// without leaves out stretches of size items, from the last to the first, for
// which still holds.
func without(items []string, size int, still func([]string) bool) []string {
	for end := len(items); end > 0; end -= size {
		begin := max(0, end-size)
		fewer := append(append([]string{}, items[:begin]...), items[end:]...)
		if still(fewer) {
			items = fewer
		}
	}
	return items
}

func TestRsyncRandom(t *testing.T) {
	needLab(t)
	first, cases := uint64(1), 300
	if text := os.Getenv(casesVar); text != "" {
		n, err := strconv.Atoi(text)
		check(t, err)
		cases = n
	}
	switch text := os.Getenv(seedVar); text {
	case "":
	case "time":
		first = uint64(time.Now().Unix())
	default:
		n, err := strconv.ParseUint(text, 10, 64)
		check(t, err)
		first = n
	}
	t.Logf("seeds %d to %d", first, first+uint64(cases)-1)
	var failures, unstable, faults atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		const lanes = 2
		for lane := range lanes {
			t.Run(fmt.Sprint("lane ", lane+1), func(t *testing.T) {
				t.Parallel()
				for i := lane; i < cases; i += lanes {
					if fickleSeeds[first+uint64(i)] != "" {
						continue
					}
					if c := makeUp(first + uint64(i)); c.faulty() {
						faults.Add(1)
						continue
					}
					switch tried := tryRandom(t, first+uint64(i), failures.Load() < maxShrunk); {
					case tried.unstable:
						unstable.Add(1)
					case len(tried.found) > 0:
						failures.Add(1)
					}
				}
			})
		}
	})
	t.Logf("%d cases differ; in %d more the real rsync does not agree with itself; %d were left out for a fault of it",
		failures.Load(), unstable.Load(), faults.Load())
}

// maxShrunk is how many failures of one run are made smaller, which takes time.
const maxShrunk = 5

// tryRandom tries one seed and reports what differs.
func tryRandom(t *testing.T, seed uint64, small bool) trial {
	t.Helper()
	c := makeUp(seed)
	tried, err := c.try(true)
	for n := 1; n < tries && err == nil && len(tried.found) > 0 && !tried.unstable && knownSeeds[seed] == ""; n++ {
		tried, err = c.try(true)
	}
	if err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	switch reason, known := knownSeeds[seed]; {
	case known && os.Getenv(oursVar) != "":
		return trial{}
	case known && err == nil && !tried.unstable && len(tried.found) == 0:
		t.Errorf("seed %d no longer differs (%s): take it off the list", seed, reason)
		return tried
	case known:
		return trial{}
	case tried.unstable || len(tried.found) == 0:
		return tried
	}
	if small {
		if smaller, err := c.shrink().confirmed(); err == nil {
			c = smaller.randomCase
			tried.found = smaller.found
		}
	}
	script, err := c.script()
	check(t, err)
	t.Errorf("seed %d, %s, protocol %d, %s: %s\n%s\nto repeat: %s=%d %s=1 go test ./internal/proof -run TestRsyncRandom\nby hand:\n%s",
		seed, c.via, c.protocol, c.corner, strings.Join(c.options, " "), strings.Join(tried.found, "\n"), seedVar, seed, casesVar, script)
	return tried
}

// shrunk is a smaller case with what differs in it.
type shrunk struct {
	randomCase
	found []string
}

// confirmed tries a case once more for what differs in it.
func (c randomCase) confirmed() (shrunk, error) {
	t, err := c.try(false)
	if err == nil && len(t.found) == 0 {
		err = fmt.Errorf("it no longer differs")
	}
	return shrunk{c, t.found}, err
}

// makeUp makes the case of a seed.
func makeUp(seed uint64) randomCase {
	g := &maker{rng: rand.New(rand.NewPCG(seed, 42)), root: os.Geteuid() == 0}
	c := randomCase{seed: seed, protocol: newestProtocol}
	c.via = harness.Transports[g.rng.IntN(len(harness.Transports))]
	if g.one(3) {
		c.protocol = oldestProtocol + g.rng.IntN(newestProtocol-oldestProtocol)
	}
	all := corners(c.via)
	c.corner = all[g.rng.IntN(len(all))]
	world := g.world()
	c.options = g.options(c.protocol)
	c.from, c.to = g.operands()
	if c.has("--ignore-existing") {
		world.clearWay()
	}
	if c.has("--no-super") {
		world.plainDirs("acl=") // it closes them to their owner
	}
	if c.has("-H") && c.has("--compare-dest") {
		world.uniqueAlts()
	}
	if c.has("-H") && !c.has("--delete|--force") {
		world.clearLinks()
	}
	if c.protocol < 29 && c.has("-b") && c.has("--inplace|--append") {
		world.clearPipes()
	}
	if c.has("--delete") && c.has("-F|-FF|-C|':|':e") {
		world.ownLinks()
	}
	if c.has("-X") && c.has(withoutPerms) {
		world.plainDirs("user.")
	}
	c.world = world.lines()
	if g.one(25) {
		c.world = append(c.world, g.list())
		c.options = append(c.options, "--files-from=$W/list")
		c.from = "src/"
	}
	return c
}

// script is a case as a program for a shell that shows what both do.
func (c randomCase) script() (string, error) {
	plant, err := harness.Script(strings.Join(c.world, "\n"))
	if err != nil {
		return "", err
	}
	transfer, err := c.row().transfer("/WORLD", c.via, c.protocol, c.corner)
	if err != nil {
		return "", err
	}
	return transfer.Script(plant), nil
}
