package proof_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// churnSettled is the limit for the trees to become equal. It covers the
// longest pause between two tries of a target that was away.
const churnSettled = time.Minute

// TestChurn runs random operations against one mirror with a directory, a
// daemon and a remote shell as targets. During it the mirror is killed and
// started again, the targets go away and come back, and the inotify queue
// overflows. At the end there must be no difference. The backend and the
// flags follow from the seed.
func TestChurn(t *testing.T) {
	need(t, "rsync")
	first, count := churnSeeds(t)
	t.Logf("seeds %d to %d", first, first+count-1)
	for seed := first; seed < first+count; seed++ {
		plan := planFor(seed)
		t.Run(fmt.Sprintf("seed %d %s", seed, plan), func(t *testing.T) {
			t.Parallel()
			if plan.backend == "fanotify" {
				needRoot(t, "fanotify")
			}
			newChurnRun(t, seed, plan).run()
		})
	}
}

func churnSeeds(t *testing.T) (first, count uint64) {
	t.Helper()
	first = 1
	if os.Getenv("LOCKSTEP_CHURN_SEED") == "time" {
		first = uint64(time.Now().UnixNano()/1e6) % 1e9
	} else {
		first = number(t, "LOCKSTEP_CHURN_SEED", 1)
	}
	return first, number(t, "LOCKSTEP_CHURN_SEEDS", 21)
}

func number(t *testing.T, name string, byDefault uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return byDefault
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// churnPlan is what a seed decides besides the operations.
type churnPlan struct {
	backend   string
	hardLinks bool
	xattrs    bool
	flags     []string
}

func (p churnPlan) String() string { return strings.Join(append([]string{p.backend}, p.flags...), " ") }

func planFor(seed uint64) churnPlan {
	rng := rand.New(rand.NewPCG(seed, 2))
	p := churnPlan{backend: []string{"fanotify", "inotify", "poll"}[seed%3]}
	if rng.IntN(3) > 0 {
		p.hardLinks, p.flags = true, append(p.flags, "-H")
	}
	if rng.IntN(3) == 0 {
		p.xattrs, p.flags = true, append(p.flags, "-X")
	}
	if rng.IntN(4) == 0 {
		p.flags = append(p.flags, "-z")
	}
	return p
}

// churnRun is one seed at work.
type churnRun struct {
	t      *testing.T
	plan   churnPlan
	rng    *rand.Rand // for the faults; the operations have their own
	churn  *harness.Churn
	steps  int
	args   []string
	mirror *harness.Mirror
	daemon *harness.Daemon
	shell  *harness.Shell
	copies []replica
}

// replica is where one target keeps its files, and what they must be like.
type replica struct {
	kind, dir string
	want      harness.Comparison
}

func newChurnRun(t *testing.T, seed uint64, plan churnPlan) *churnRun {
	t.Helper()
	r := &churnRun{
		t: t, plan: plan, rng: rand.New(rand.NewPCG(seed, 3)),
		churn: harness.NewChurn(t.TempDir(), t.TempDir(), seed),
		steps: int(number(t, "LOCKSTEP_CHURN_STEPS", 400)),
		shell: newShell(t), daemon: startDaemon(t, harness.DaemonConfig{}),
	}
	r.churn.Xattrs = plan.xattrs
	want := harness.Comparison{HardLinks: plan.hardLinks, Xattrs: plan.xattrs}
	directory, remote := t.TempDir(), t.TempDir()
	wantMunged := want
	wantMunged.Munged = true
	r.copies = []replica{{"directory", directory, want}, {"remote shell", remote, want}, {"daemon", r.daemon.Path, wantMunged}}
	r.args = append([]string{"--watch", plan.backend, "--poll-interval", "100ms"}, plan.flags...)
	r.args = append(r.args, "--rsh", r.shell.Path, "--password-file", r.daemon.PasswordFile,
		r.churn.Root, directory, r.daemon.URL(), "host:"+remote)
	return r
}

func (r *churnRun) run() {
	// Stealthy rewrites that are not acknowledged when the mirror is killed
	// cannot be found by the next one's full pass.
	settled := r.rng.IntN(2) == 0
	r.churn.Stealth = settled
	r.step(r.steps / 5)
	r.start()
	r.step(r.steps / 5)
	r.settle(settled)

	r.churn.Stealth = false
	r.killAndRestart(r.steps / 5)
	r.settle(r.rng.IntN(2) == 0)

	r.targetsAway(r.steps / 5)
	r.overflow(r.steps / 5)
	r.settle(true)
	stopMirror(r.t, r.mirror)
}

func (r *churnRun) start() {
	r.t.Helper()
	r.mirror = startMirror(r.t, r.args...)
}

// step does n operations. Now and then it pauses, so that some operations come
// in a burst and others find the mirror idle.
func (r *churnRun) step(n int) {
	r.t.Helper()
	for range n {
		if err := r.churn.Step(); err != nil {
			r.t.Fatal(err)
		}
		if r.rng.IntN(25) == 0 {
			<-time.After(time.Duration(r.rng.IntN(60)) * time.Millisecond)
		}
	}
}

// settle waits until every target equals the source, if it is to happen now.
func (r *churnRun) settle(now bool) {
	r.t.Helper()
	if !now {
		return
	}
	check(r.t, r.churn.Close())
	deadline := time.Now().Add(churnSettled)
	for _, c := range r.copies {
		if err := harness.Converge(r.churn.Root, c.dir, c.want, max(time.Second, time.Until(deadline))); err != nil {
			r.t.Errorf("%s: %v", c.kind, err)
			r.explain(err)
		}
	}
	if r.t.Failed() {
		steps := filepath.Join(r.t.ArtifactDir(), "steps")
		check(r.t, os.WriteFile(steps, []byte(r.churn.Log(1<<30)), 0o644))
		state, err := r.mirror.AskState(soon)
		entries, countErr := harness.Count(r.churn.Root)
		r.t.Logf("the source has %d entries (%v); the mirror says %s (%v)", entries, countErr, state.Raw, err)
		r.t.FailNow()
	}
}

// explain prints the steps that named what the first difference is about.
func (r *churnRun) explain(err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		quoted, _, ok := strings.Cut(strings.TrimSpace(line), `": `)
		if !ok || !strings.HasPrefix(quoted, `"`) {
			continue
		}
		if path, err := strconv.Unquote(quoted + `"`); err == nil {
			r.t.Logf("steps that named %q:\n%s", path, strings.Join(r.churn.Mentions(path), "\n"))
			return
		}
	}
}

// killAndRestart kills the mirror twice in the midst of work.
func (r *churnRun) killAndRestart(n int) {
	r.t.Helper()
	for range 2 {
		r.step(n / 4)
		check(r.t, r.mirror.Crash())
		r.step(n / 4)
		r.start()
	}
}

// targetsAway takes the daemon and the remote shell away and back.
func (r *churnRun) targetsAway(n int) {
	r.t.Helper()
	check(r.t, r.daemon.Crash())
	check(r.t, r.shell.SetDown(true))
	r.step(n / 2)
	check(r.t, r.daemon.Start())
	check(r.t, r.shell.SetDown(false))
	r.step(n / 2)
}

// overflow starts the mirror anew with a short queue and floods it.
func (r *churnRun) overflow(n int) {
	r.t.Helper()
	if r.plan.backend != "inotify" || os.Geteuid() != 0 {
		r.step(n)
		return
	}
	check(r.t, r.mirror.WaitWatching(churnSettled)) // it may have been started just now
	stopMirror(r.t, r.mirror)
	check(r.t, harness.WithQueueLimit(8, func() error {
		r.start()
		return r.mirror.WaitWatching(churnSettled)
	}))
	for range n {
		if err := r.churn.Step(); err != nil {
			r.t.Fatal(err)
		}
	}
}
