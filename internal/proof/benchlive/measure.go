package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/proof/harness"
)

var errStopped = errors.New("stopped by a signal")

// result is what was measured of one tool with one size of tree. Durations
// that were not reached are -1.
type result struct {
	files       int
	tool        tool
	first       time.Duration   // median
	passes      []time.Duration // of which first is the median
	latency     []time.Duration // sorted
	edit        time.Duration   // median
	burst       time.Duration
	cpu         float64 // seconds, of the tool and its children
	daemonCPU   float64
	memory      int64 // peak resident memory of the main process, bytes
	groupMemory int64 // peak anonymous memory of the tool and its children
	differences int   // at the end, -1 if they could not be counted
	failure     error
}

// manyFiles is from where on a tree is too large for several first passes, and
// for keeping what each tool made of it.
const manyFiles = 100_000

type bench struct {
	options
	work     string
	targets  string
	progress io.Writer
	ctx      context.Context // ends when the run is to stop
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// poll waits for done, within the limit and until the run is to stop.
func (b *bench) poll(what string, done func() bool) error {
	err := harness.Poll(b.limit, what, func() bool { return b.ctx.Err() != nil || done() })
	if b.ctx.Err() != nil {
		return errStopped
	}
	return err
}

// size runs all tools over one tree.
func (b *bench) size(files int, tools []tool) ([]result, error) {
	source := filepath.Join(b.work, fmt.Sprintf("source-%d", files))
	if err := os.Mkdir(source, 0o755); err != nil {
		return nil, err
	}
	b.say("making %d files", files)
	if err := (harness.Tree{Files: files, Seed: 1}).Make(source); err != nil {
		return nil, err
	}
	passes := b.passes
	if files > manyFiles {
		passes = 1
	}
	results := make([]result, len(tools))
	for i, t := range tools {
		results[i] = result{files: files, tool: t, first: -1, edit: -1, burst: -1, differences: -1}
	}
	for pass := range passes {
		for i := range results {
			// The last pass goes on to everything else, the others take turns.
			r := &results[(i+pass)%len(results)]
			if b.ctx.Err() != nil {
				return results, errStopped
			}
			if r.failure == nil {
				b.run(source, r, pass, pass == passes-1)
			}
		}
	}
	return results, nil
}

// run takes one tool through its first pass, or through all of the work.
func (b *bench) run(source string, r *result, pass int, all bool) {
	b.say("%s with %d files", r.tool.title, r.files)
	unix.Sync()
	if r.failure = b.one(source, r, pass, all); r.failure != nil {
		b.say("%s with %d files: %v", r.tool.title, r.files, r.failure)
	}
}

func (b *bench) one(source string, r *result, pass int, all bool) error {
	s := &site{dir: filepath.Join(b.targets, fmt.Sprintf("%s-%d-%d", r.tool.name, r.files, pass)), source: source, limit: b.limit}
	s.target = filepath.Join(s.dir, "target")
	if r.files > manyFiles {
		defer os.RemoveAll(s.target)
	}
	if err := os.MkdirAll(s.target, 0o755); err != nil {
		return err
	}
	if !r.tool.local {
		d, err := harness.StartDaemon(harness.DaemonConfig{Dir: s.dir, Path: s.target})
		if err != nil {
			return err
		}
		defer d.End()
		s.daemon = d
	}
	begin := time.Now()
	p, ready, err := r.tool.start(s)
	if err != nil {
		return err
	}
	defer p.End()
	memory := harness.SampleMemory(p.Pid(), 100*time.Millisecond)
	err = b.firstPass(p, ready, begin, r)
	if err == nil && all {
		err = b.phases(s, r)
	}
	r.groupMemory, r.memory = memory.End()
	r.cpu = harness.GroupCPU(p.Pid())
	if s.daemon != nil {
		r.daemonCPU = harness.GroupCPU(s.daemon.Pid())
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, p.Tail(10))
	}
	if !all {
		return nil
	}
	return b.compare(s, r)
}

// firstPass waits for the tool to say that it is done.
func (b *bench) firstPass(p *harness.Process, ready <-chan struct{}, begin time.Time, r *result) error {
	select {
	case <-ready:
	case <-p.Done():
		return errors.New("it ended by itself")
	case <-b.ctx.Done():
		return errStopped
	case <-time.After(b.limit):
		return fmt.Errorf("no first pass after %v", b.limit)
	}
	took := time.Since(begin)
	b.say("  first pass %v", took.Round(time.Millisecond))
	r.passes = append(r.passes, took)
	slices.Sort(r.passes)
	r.first = percentile(r.passes, 50)
	return nil
}

// phases is the work after the first pass.
func (b *bench) phases(s *site, r *result) error {
	seen, err := newArrival()
	if err != nil {
		return err
	}
	defer seen.close()
	// What one tool writes must be news to the next.
	rng := rand.New(rand.NewPCG(uint64(r.files), uint64(time.Now().UnixNano())))
	for _, phase := range []func(*site, *arrival, *rand.Rand, *result) error{b.latencies, b.edits, b.bursts} {
		if b.ctx.Err() != nil {
			return errStopped
		}
		if err := phase(s, seen, rng, r); err != nil {
			return err
		}
	}
	return nil
}

// latencies edits small files one at a time.
func (b *bench) latencies(s *site, seen *arrival, rng *rand.Rand, r *result) error {
	tree := harness.Tree{Files: r.files}
	end := time.Now().Add(b.budget)
	const warmUp = 3
	for i := 0; i < b.samples+warmUp && (i < 10+warmUp || time.Now().Before(end)); i++ {
		name := tree.Name(rng.IntN(r.files))
		text := harness.Noise(rng, 1000+i) // of its own length: peers see nothing else within a second
		start, err := rewrite(filepath.Join(s.source, name), text)
		if err != nil {
			return err
		}
		at := filepath.Join(s.target, name)
		if err := seen.wait(b.ctx, at, b.limit, func() bool {
			got, err := os.ReadFile(at)
			return err == nil && bytes.Equal(got, text)
		}); err != nil {
			return err
		}
		if i >= warmUp {
			r.latency = append(r.latency, time.Since(start))
		}
		// Not in step with any timer of the tool.
		<-time.After(time.Duration(rng.IntN(20_000)) * time.Microsecond)
	}
	slices.Sort(r.latency)
	b.say("  latency p50 %v of %d samples", percentile(r.latency, 50), len(r.latency))
	return nil
}

// rewrite writes a file and returns when it was closed.
func rewrite(path string, text []byte) (time.Time, error) {
	err := os.WriteFile(path, text, 0o644)
	return time.Now(), err
}

// edits changes 4 KiB in the middle of a large file.
func (b *bench) edits(s *site, seen *arrival, rng *rand.Rand, r *result) error {
	if b.options.edits == 0 || b.large == 0 {
		return nil
	}
	name := fmt.Sprintf("large-%s", r.tool.name)
	file, at := filepath.Join(s.source, name), filepath.Join(s.target, name)
	size := int64(b.large) << 20
	defer os.Rename(file, filepath.Join(b.work, fmt.Sprintf("%s-%d", name, r.files)))
	if err := writeLarge(file, b.large, rng); err != nil {
		return err
	}
	if err := seen.wait(b.ctx, at, b.limit, func() bool {
		info, err := os.Stat(at)
		return err == nil && info.Size() == size
	}); err != nil {
		return err
	}
	var all []time.Duration
	for range b.options.edits {
		if err := b.idle(file, at); err != nil {
			return err
		}
		took, err := b.edit(file, at, size, seen, rng)
		if err != nil {
			return err
		}
		all = append(all, took)
	}
	slices.Sort(all)
	r.edit = percentile(all, 50)
	b.say("  4 KiB in %d MiB: %v", b.large, r.edit)
	return nil
}

// idle waits until the large file's time is the same on both sides, which the
// tools set last, so that an edit does not meet the transfer before it; and
// until that second is over, since rsync's quick check by size and whole
// seconds would make the peers miss the edit for good.
func (b *bench) idle(file, at string) error {
	return b.poll("the large file is in step", func() bool {
		a, errA := os.Stat(file)
		c, errB := os.Stat(at)
		return errA == nil && errB == nil && a.ModTime().Unix() == c.ModTime().Unix() && a.Size() == c.Size() &&
			time.Since(a.ModTime().Truncate(time.Second)) > time.Second
	})
}

func (b *bench) edit(file, at string, size int64, seen *arrival, rng *rand.Rand) (time.Duration, error) {
	text := harness.Noise(rng, 4096)
	offset := size/4 + rng.Int64N(size/2)
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	_, err = f.WriteAt(text, offset)
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	start := time.Now()
	got := make([]byte, len(text))
	err = seen.wait(b.ctx, at, b.limit, func() bool {
		f, err := os.Open(at)
		if err != nil {
			return false
		}
		defer f.Close()
		_, err = f.ReadAt(got, offset)
		return err == nil && bytes.Equal(got, text)
	})
	return time.Since(start), err
}

func writeLarge(path string, mib int, rng *rand.Rand) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for range mib {
		if _, err := f.Write(harness.Noise(rng, 1<<20)); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// bursts writes many new files and waits for the last of them to arrive.
func (b *bench) bursts(s *site, seen *arrival, rng *rand.Rand, r *result) error {
	if b.burst == 0 {
		return nil
	}
	top := "burst-" + r.tool.name
	names, sizes := make([]string, b.burst), make([]int64, b.burst)
	for i := range names {
		names[i] = fmt.Sprintf("%s/%03d/new-%06d", top, i/100, i)
		if i%100 == 0 {
			if err := os.MkdirAll(filepath.Join(s.source, filepath.Dir(names[i])), 0o755); err != nil {
				return err
			}
		}
		text := harness.Noise(rng, 1+rng.IntN(2000))
		sizes[i] = int64(len(text))
		if err := os.WriteFile(filepath.Join(s.source, names[i]), text, 0o644); err != nil {
			return err
		}
	}
	start := time.Now()
	arrived := 0
	last := filepath.Join(s.target, names[len(names)-1])
	err := seen.wait(b.ctx, last, b.limit, func() bool {
		for ; arrived < len(names); arrived++ {
			info, err := os.Lstat(filepath.Join(s.target, names[arrived]))
			if err != nil || info.Size() != sizes[arrived] {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("%w (%d of %d)", err, arrived, len(names))
	}
	r.burst = time.Since(start)
	b.say("  burst lag %v", r.burst)
	return nil
}

// compare counts what differs at the end, and takes the burst out of the tree
// so that the next tool finds it as it was.
func (b *bench) compare(s *site, r *result) error {
	// rsync -a as lsyncd and the loop run it keeps whole seconds of the times
	// of directories, so content and names are compared alone.
	want := harness.Comparison{Munged: s.daemon != nil, AnyOwner: true, AnyTime: true}
	_ = harness.Converge(s.source, s.target, want, 30*time.Second)
	found, err := harness.Compare(s.source, s.target, want)
	if err != nil {
		return err
	}
	r.differences = len(found)
	if b.burst == 0 {
		return nil
	}
	burst := "burst-" + r.tool.name
	return os.Rename(filepath.Join(s.source, burst), filepath.Join(b.work, fmt.Sprintf("%s-%d", burst, r.files)))
}

func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return -1
	}
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}
