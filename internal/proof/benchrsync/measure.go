package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/proof/harness"
)

var errStopped = errors.New("stopped by a signal")

// connection is a transport under the name that a flag gives it.
type connection struct {
	name string
	via  harness.Transport
}

var connections = []connection{
	{"local", harness.Local},
	{"shell-push", harness.ShellPush},
	{"shell-pull", harness.ShellPull},
	{"daemon-push", harness.DaemonPush},
	{"daemon-pull", harness.DaemonPull},
}

// pair is who sends and who receives; true is lockstep.
type pair struct {
	name             string
	sender, receiver bool
}

var allPairs = []pair{
	{"rsync", false, false},
	{"lockstep", true, true},
	{"lockstep+rsync", true, false},
	{"rsync+lockstep", false, true},
}

// fits reports whether the pair can meet over the connection: a local copy has
// one program.
func (p pair) fits(via harness.Transport) bool {
	return via != harness.Local || p.sender == p.receiver
}

// sample is what one run took.
type sample struct {
	wall, cpu time.Duration
	memory    int64 // peak of private memory of all processes together, bytes
	largest   int64 // peak of resident memory of the largest process but a daemon's, bytes
	wire      int64 // bytes both ways
}

// result is all runs of one pair over one connection.
type result struct {
	via     connection
	pair    pair
	samples []sample
	failure error
}

type bench struct {
	options
	ctx        context.Context
	progress   io.Writer
	dir        string
	world      string // holds src, and dst while something runs
	real, ours string
	shell      *harness.Shell
	daemons    map[bool]*harness.Daemon // true is lockstep's
}

func (b *bench) close() {
	for _, d := range b.daemons {
		d.End()
	}
	_ = os.RemoveAll(b.dir)
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// work measures one kind of work over all connections.
func (b *bench) work(w work, vias []connection, pairs []pair) ([]result, error) {
	src, dst := filepath.Join(b.world, "src"), filepath.Join(b.world, "dst")
	defer os.RemoveAll(src)
	defer os.RemoveAll(dst)
	b.say("making the source: %s", w.title(b.sizes))
	if err := os.Mkdir(src, 0o755); err != nil {
		return nil, err
	}
	if err := w.source(b, src); err != nil {
		return nil, err
	}
	// A directory of the same second as the destination's is left as it is.
	if err := exec.Command("find", src, "-type", "d", "-exec", "touch", "-d", "2020-01-01", "{}", "+").Run(); err != nil {
		return nil, err
	}
	if w.keep {
		if err := w.before(b, src, dst); err != nil {
			return nil, err
		}
	}
	var results []result
	for _, via := range vias {
		first := len(results)
		for _, p := range pairs {
			if p.fits(via.via) {
				results = append(results, result{via: via, pair: p})
			}
		}
		here := results[first:]
		for round := range b.rounds {
			for i := range here {
				// Who comes first changes from round to round.
				r := &here[(i+round)%len(here)]
				if b.ctx.Err() != nil {
					return results, errStopped
				}
				if r.failure == nil {
					r.failure = b.once(w, src, dst, r)
				}
			}
		}
	}
	return results, nil
}

// once makes the destination, runs one transfer and compares the trees.
func (b *bench) once(w work, src, dst string, r *result) error {
	if !w.keep {
		if err := os.RemoveAll(dst); err != nil {
			return err
		}
		if err := w.before(b, src, dst); err != nil {
			return err
		}
	}
	unix.Sync()
	s, err := b.measure(w, r)
	if err != nil {
		return err
	}
	b.say("  %s, %s: %v, CPU %v", r.via.name, r.pair.name, s.wall.Round(time.Millisecond), s.cpu.Round(time.Millisecond))
	r.samples = append(r.samples, s)
	found, err := harness.Compare(src, dst, harness.Comparison{NoContent: len(r.samples) > 1, AnyOwner: r.via.via.Daemon()})
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("the trees differ: %s", found[0])
	}
	return err
}

func (b *bench) measure(w work, r *result) (sample, error) {
	program := map[bool]string{false: b.real, true: b.ours}
	client, server := r.pair.sender, r.pair.receiver
	if r.via.via.Pull() {
		client, server = server, client
	}
	daemon := b.daemons[server]
	const every = 20 * time.Millisecond
	var memory *harness.MemorySampler
	t := &harness.Transfer{
		Client: program[client], Server: program[server], Via: r.via.via, World: b.world,
		Args: append([]string{"--stats"}, w.args...), From: []string{"src/"}, To: "dst/",
		Shell: b.shell, Daemon: daemon, Limit: b.limit,
		Started: func(pid int) { memory = harness.SampleMemory(pid, every) },
	}
	daemonMemory, daemonCPU := harness.SampleMemory(daemon.Pid(), every), harness.GroupCPU(daemon.Pid())
	o, err := t.Run()
	if err != nil {
		return sample{}, err
	}
	var s sample
	s.memory, s.largest = memory.End()
	there, _ := daemonMemory.End()
	s.wall, s.cpu = o.Took, o.CPU
	if r.via.via.Daemon() {
		s.memory += there
		s.cpu += time.Duration((harness.GroupCPU(daemon.Pid()) - daemonCPU) * float64(time.Second))
	}
	sent, received, ok := harness.Traffic(o.Out)
	if o.Code != 0 || !ok {
		return s, fmt.Errorf("exit code %d: %.300s", o.Code, o.Err+o.Out)
	}
	s.wire = sent + received
	return s, nil
}
