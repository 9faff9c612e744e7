package proof_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

var (
	saysFull      = regexp.MustCompile(`(?i)no space left on device`)
	saysReadOnly  = regexp.MustCompile(`(?i)read-only file system`)
	saysMaxDelete = regexp.MustCompile(`(?i)max-delete`)
)

// One of four daemons is frozen: the others keep their latency.
func TestAFrozenTargetDelaysNoOther(t *testing.T) {
	source := t.TempDir()
	makeTree(t, source, 1000)
	var daemons []*harness.Daemon
	args := []string{source}
	for i := range 4 {
		d := startDaemon(t, harness.DaemonConfig{Module: fmt.Sprintf("web%d", i)})
		daemons = append(daemons, d)
		args = append(args, d.URL())
	}
	m := startMirror(t, append([]string{"--password-file", daemons[0].PasswordFile}, args...)...)
	check(t, m.WaitInStep(soon, 4))
	frozen, others := daemons[3], daemons[:3]

	// What else the machine does can delay one of the measurements, not each.
	var said []string
	slower := true
	for range tries {
		before := latencies(t, source, others, 25)
		check(t, frozen.Freeze())
		during := latencies(t, source, others, 25)
		check(t, frozen.Thaw())
		said = append(said, fmt.Sprintf("median latency %v before, %v with a frozen target", before, during))
		if slower = during > 3*before+20*time.Millisecond; !slower {
			break
		}
		converge(t, source, frozen.Path, munged)
	}
	if t.Log(said); slower {
		t.Error("a frozen target delays the others each time")
	}
	for _, d := range daemons {
		converge(t, source, d.Path, munged)
	}
	stopMirror(t, m)
}

// latencies is the median time from the end of a small write to its content
// being at all of the daemons.
func latencies(t *testing.T, source string, daemons []*harness.Daemon, n int) time.Duration {
	t.Helper()
	var all []time.Duration
	for i := range n {
		text := fmt.Sprintf("sample %d %d", i, time.Now().UnixNano())
		write(t, filepath.Join(source, "sample"), text)
		start := time.Now()
		for _, d := range daemons {
			expectAt(t, filepath.Join(d.Path, "sample"), text)
		}
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	return all[n/2]
}

// A file that is rewritten while it is being sent: what arrives in between is
// an older whole version or the newer one, and the last version wins.
func TestAFileThatChangesWhileItIsSent(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			source, target := t.TempDir(), t.TempDir()
			flags, url := p.open(t, target)
			m := startMirror(t, append(flags, source, url)...)
			check(t, m.WaitInStep(soon, 1))
			rng := rand.New(rand.NewPCG(1, 1))
			file := filepath.Join(source, "changing")
			for round := range 40 {
				f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o644)
				check(t, err)
				for part := range 8 {
					_, err = f.WriteAt(harness.Noise(rng, 100_000), int64(part)*1_000_000+int64(round)*10_000)
					check(t, err)
				}
				check(t, f.Close())
			}
			converge(t, source, target, p.want)
			stopMirror(t, m)
		})
	}
}

// Writers that rewrite, replace, append and rename the same few files as fast
// as they can, while targets take them.
func TestHotFilesEndEqual(t *testing.T) {
	source, target := t.TempDir(), t.TempDir()
	d := startDaemon(t, harness.DaemonConfig{})
	m := startMirror(t, "--password-file", d.PasswordFile, source, target, d.URL())
	check(t, m.WaitInStep(soon, 2))
	sh(t, source, `
		for i in $(seq 400); do
			echo "$i" > a; echo "$i" >> log; echo "$i" > t; mv t b; mv a c; [ $((i % 3)) != 0 ] || rm -f b
			mkdir -p d$((i % 5)); echo $i > d$((i % 5))/x; mv d$((i % 5)) e$((i % 7)) 2> /dev/null || rm -rf e$((i % 7))
		done`)
	converge(t, source, target, plain)
	converge(t, source, d.Path, munged)
	stopMirror(t, m)
}
