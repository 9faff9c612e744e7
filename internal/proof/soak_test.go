package proof_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// soakTime is how long the soak test works, LOCKSTEP_SOAK or a few seconds.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("LOCKSTEP_SOAK")
	if text == "" {
		return 4 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second {
		t.Fatalf("LOCKSTEP_SOAK=%s: want a time of at least 1s, such as 20m", text)
	}
	return d
}

// TestSoak keeps `lockstep run` at work for a while: churn, targets that
// crash, vanish and come back, reloads that add and take away a mirror. In the
// first half it is ended, killed and started again, too. In the second half one
// process has to bear everything: at its end it may hold no more files,
// goroutines and memory than at its beginning. Then flush says that all is
// there, and verify, which reads everything, must find no difference.
func TestSoak(t *testing.T) {
	need(t, "rsync")
	s := newSoak(t, soakTime(t))
	s.start()
	s.work(s.length/2, s.startAgain, s.crash, s.loseDaemon, s.loseDirectory, s.reload)
	s.flush()
	// What a process keeps for good it has once it did everything.
	s.everyFault()
	s.alone()
	s.flush()
	before := s.use()
	s.work(s.length/2, s.loseDaemon, s.loseDirectory, s.reload)
	s.everyFault()
	s.alone()
	s.flush()
	s.staysFlat(before)
	s.verify()
	for _, c := range s.copies {
		converge(t, s.churn.Root, c.dir, c.want)
	}
	check(t, s.run.Signal(syscall.SIGTERM))
	if code, err := s.run.Wait(soon); err != nil || code != 0 {
		t.Errorf("it ended with %d, %v\n%s", code, err, s.run.Tail(40))
	}
	t.Logf("%v with seed %d: %d steps, faults: %v", s.length, s.seed, s.steps, s.faults)
}

// soak is the world of the soak test.
type soak struct {
	t       *testing.T
	length  time.Duration
	seed    uint64
	rng     *rand.Rand
	churn   *harness.Churn
	steps   int
	faults  map[string]int
	daemon  *harness.Daemon
	copies  []replica
	dir     string // the configuration and the socket
	metrics string // address
	extra   bool   // the configuration has a second mirror
	run     *harness.Process
}

func newSoak(t *testing.T, length time.Duration) *soak {
	t.Helper()
	dir, err := os.MkdirTemp("", "soak-") // short enough for a socket
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	port, err := harness.FreePort()
	check(t, err)
	seed := number(t, "LOCKSTEP_CHURN_SEED", 1)
	s := &soak{
		t: t, length: length, seed: seed, dir: dir, metrics: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), faults: map[string]int{},
		rng: rand.New(rand.NewPCG(seed, 5)), churn: harness.NewChurn(t.TempDir(), t.TempDir(), seed),
		daemon: startDaemon(t, harness.DaemonConfig{}),
	}
	s.churn.Stealth = false // of what a killed process did not send nobody can know
	want := harness.Comparison{HardLinks: true}
	munged := want
	munged.Munged = true
	s.copies = []replica{{"directory", filepath.Join(dir, "copy"), want}, {"daemon", s.daemon.Path, munged}}
	for _, d := range []string{"copy", "extra", "extra-copy"} {
		check(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	write(t, filepath.Join(dir, "extra/file"), "text")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d after %d steps, faults: %v\n%s", s.seed, s.steps, s.faults, s.churn.Log(30))
		}
	})
	return s
}

func (s *soak) config() string { return filepath.Join(s.dir, "lockstep.toml") }

func (s *soak) writeConfig() {
	s.t.Helper()
	text := fmt.Sprintf("control = %q\nmetrics = %q\n[mirror.www]\nsource = %q\ntargets = [%q, %q]\npassword_file = %q\nhard_links = true\n",
		filepath.Join(s.dir, "control"), s.metrics, s.churn.Root, s.copies[0].dir, s.daemon.URL(), s.daemon.PasswordFile)
	if s.extra {
		text += fmt.Sprintf("[mirror.extra]\nsource = %q\ntargets = [%q]\n", filepath.Join(s.dir, "extra"), filepath.Join(s.dir, "extra-copy"))
	}
	check(s.t, os.WriteFile(s.config(), []byte(text), 0o600))
}

// lockstep runs a command to its end.
func (s *soak) lockstep(args ...string) (int, string) {
	s.t.Helper()
	cmd := exec.Command(binary(s.t), append(args, "-c", s.config())...)
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func (s *soak) start() {
	s.t.Helper()
	s.writeConfig()
	p, err := harness.Start("lockstep run", exec.Command(binary(s.t), "run", "-c", s.config()), nil)
	check(s.t, err)
	s.run = p
	s.t.Cleanup(func() {
		p.End()
		if s.t.Failed() {
			s.t.Log(p.Tail(60))
		}
	})
	check(s.t, harness.Poll(soon, "the control socket", func() bool {
		code, _ := s.lockstep("status")
		return code == 0
	}))
}

// work churns for so long, and has a fault every now and then.
func (s *soak) work(length time.Duration, faults ...func()) {
	s.t.Helper()
	for end := time.Now().Add(length); time.Now().Before(end); {
		for range 40 {
			check(s.t, s.churn.Step())
			s.steps++
			if s.rng.IntN(8) == 0 {
				<-time.After(time.Duration(s.rng.IntN(20)) * time.Millisecond)
			}
		}
		faults[s.rng.IntN(len(faults))]()
	}
}

// everyFault lets what one process has to bear happen once each.
func (s *soak) everyFault() {
	for _, fault := range []func(){s.loseDaemon, s.loseDirectory, s.reload, s.reload} {
		fault()
		for range 20 {
			check(s.t, s.churn.Step())
			s.steps++
		}
	}
}

func (s *soak) startAgain() {
	s.faults["ended"]++
	check(s.t, s.run.Signal(syscall.SIGTERM))
	_, err := s.run.Wait(soon)
	check(s.t, err)
	s.start()
}

func (s *soak) crash() {
	s.faults["killed"]++
	check(s.t, s.run.Crash())
	s.start()
}

func (s *soak) loseDaemon() {
	s.faults["daemon lost"]++
	check(s.t, s.daemon.Crash())
	for range 10 {
		check(s.t, s.churn.Step())
		s.steps++
	}
	check(s.t, s.daemon.Start())
}

func (s *soak) loseDirectory() {
	gone := filepath.Join(s.dir, "gone")
	if err := os.Rename(s.copies[0].dir, gone); errors.Is(err, fs.ErrNotExist) {
		return // it has not been made anew yet
	} else if err != nil {
		s.t.Fatal(err)
	}
	s.faults["directory lost"]++
	// A batch that has it open may go on writing to it.
	check(s.t, harness.Poll(soon, "the lost directory is removed", func() bool { return os.RemoveAll(gone) == nil }))
}

func (s *soak) reload() {
	s.faults["reloaded"]++
	s.extra = !s.extra
	s.writeConfig()
	if s.rng.IntN(2) == 0 {
		check(s.t, s.run.Signal(syscall.SIGHUP))
		return
	}
	s.take()
}

// take has the process take its configuration, and waits until it has.
func (s *soak) take() {
	s.t.Helper()
	if code, out := s.lockstep("reload"); code != 0 {
		s.t.Fatalf("reload: exit code %d\n%s", code, out)
	}
}

// alone takes the second mirror away, which would count for what is held.
func (s *soak) alone() {
	s.t.Helper()
	s.extra = false
	s.writeConfig()
	s.take()
}

// flush waits until everything is at all targets.
func (s *soak) flush() {
	s.t.Helper()
	check(s.t, s.churn.Close())
	if code, out := s.lockstep("flush", "--timeout", "90s"); code != 0 {
		s.t.Fatalf("flush: exit code %d\n%s", code, out)
	}
}

// temporary is what verify says of a file that an rsync daemon which was killed
// left behind. Only a full pass removes those.
var temporary = regexp.MustCompile(`(?m)^www: rsync://\S+: extra \S*\.[A-Za-z0-9]{6}\n`)

// verify compares everything: apart from what a killed daemon left there must
// be no difference, and after a full pass not even that.
func (s *soak) verify() {
	s.t.Helper()
	code, out := s.lockstep("verify")
	if left := temporary.FindAllString(out, -1); len(left) > 0 {
		if !strings.Contains(out, fmt.Sprintf("www: %d difference", len(left))) {
			s.t.Errorf("verify: exit code %d\n%s", code, out)
		}
		s.faults["temporary files left"] += len(left)
		if code, out := s.lockstep("resync", "www"); code != 0 {
			s.t.Fatalf("resync: exit code %d\n%s", code, out)
		}
		s.flush()
		code, out = s.lockstep("verify")
	}
	if code != 0 || !strings.Contains(out, "www: 0 differences") {
		s.t.Errorf("verify: exit code %d\n%s", code, out)
	}
}

// holding is what a process uses.
type holding struct {
	files, goroutines int
	heap              int // bytes in use
}

var gauge = regexp.MustCompile(`(?m)^(process_open_fds|go_goroutines|go_memstats_heap_inuse_bytes) (\S+)$`)

// use asks the process that runs.
func (s *soak) use() (h holding) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.metrics+"/metrics", nil)
	check(s.t, err)
	req.Close = true // a connection kept open would count
	resp, err := http.DefaultClient.Do(req)
	check(s.t, err)
	defer resp.Body.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(resp.Body)
	check(s.t, err)
	found := gauge.FindAllStringSubmatch(text.String(), -1)
	if len(found) != 3 {
		s.t.Fatalf("the metrics have %d of 3 values:\n%s", len(found), &text)
	}
	for _, m := range found {
		v, err := strconv.ParseFloat(m[2], 64)
		check(s.t, err)
		switch m[1] {
		case "process_open_fds":
			h.files = int(v)
		case "go_goroutines":
			h.goroutines = int(v)
		default:
			h.heap = int(v)
		}
	}
	return h
}

// What two moments that are alike may differ by: the session that is held for
// the daemon's next batch was or was not there, and the heap. What every fault
// leaves behind is more.
const (
	heldFiles      = 1
	heldGoroutines = 10
	slack          = 16 << 20
)

// staysFlat checks that the process comes to hold no more than before. What is
// on its way to an end is waited for.
func (s *soak) staysFlat(before holding) {
	s.t.Helper()
	var now holding
	err := harness.Poll(settled, "no more files, goroutines and memory than before", func() bool {
		now = s.use()
		return now.files <= before.files+heldFiles && now.goroutines <= before.goroutines+heldGoroutines && now.heap <= before.heap+slack
	})
	if err != nil {
		s.t.Errorf("%v: %+v, before %+v", err, now, before)
	}
}
