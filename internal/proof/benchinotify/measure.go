package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/proof/harness"
)

type bench struct {
	options
	ctx      context.Context // ends when the run is to stop
	work     string
	programs [2]program
	progress io.Writer
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// sample is one run of one program.
type sample struct {
	wall  time.Duration // until it was ready; in a flood, until the last event was read
	cpu   time.Duration
	write time.Duration // how long the writer of the flood took
	peak  int64         // resident memory, bytes
	lines int64         // events told
	lost  bool          // it told, or it is known, that events were lost
}

// watcher is a running inotifywait whose output is counted.
type watcher struct {
	cmd   *exec.Cmd
	begun time.Time
	ready chan time.Time // when it said that it watches; closed without if it did not
	lines atomic.Int64
	ended atomic.Bool // the file that ends a flood was told
	lost  atomic.Bool
	done  chan struct{}
}

// endName is the file that is made last.
const endName = "the-end-of-the-flood"

func start(p program, args ...string) (*watcher, error) {
	w := &watcher{cmd: exec.Command(p.path, args...), ready: make(chan time.Time, 1), done: make(chan struct{})}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	errs, err := w.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	w.begun = time.Now()
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(w.ready)
		for s := bufio.NewScanner(errs); s.Scan(); {
			if strings.Contains(s.Text(), "Watches established") {
				w.ready <- time.Now()
			}
			w.lost.Store(w.lost.Load() || strings.Contains(s.Text(), "lost"))
		}
	}()
	go func() {
		defer close(w.done)
		w.count(out)
	}()
	return w, nil
}

// count counts the lines that r gives.
func (w *watcher) count(r io.Reader) {
	buf := make([]byte, 1<<20)
	kept := 0 // of the last read, in case endName is cut in two
	for {
		n, err := r.Read(buf[kept:])
		got := buf[:kept+n]
		w.lines.Add(int64(bytes.Count(got[kept:], []byte{'\n'})))
		if bytes.Contains(got, []byte("CREATE "+endName)) {
			w.ended.Store(true)
		}
		if bytes.Contains(got, []byte("Q_OVERFLOW")) {
			w.lost.Store(true)
		}
		kept = copy(buf, got[max(0, len(got)-2*len(endName)):])
		if err != nil {
			return
		}
	}
}

// wait waits until the program watches and returns how long that took.
func (w *watcher) wait(b *bench) (time.Duration, error) {
	select {
	case at, ok := <-w.ready:
		if !ok {
			return 0, fmt.Errorf("%s has ended", w.cmd.Path)
		}
		return at.Sub(w.begun), nil
	case <-b.ctx.Done():
		return 0, errors.New("stopped by a signal")
	case <-time.After(b.limit):
		return 0, fmt.Errorf("%s does not watch after %v", w.cmd.Path, b.limit)
	}
}

// end ends the program and fills in what it used.
func (w *watcher) end(s *sample) {
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	<-w.done
	_ = w.cmd.Wait() // ended by the signal
	state := w.cmd.ProcessState
	s.cpu = state.UserTime() + state.SystemTime()
	s.peak = state.SysUsage().(*syscall.Rusage).Maxrss << 10
	s.lines = w.lines.Load()
	s.lost = s.lost || w.lost.Load()
}

// rounds runs both programs in turns.
func (b *bench) turns(what string, one func(p program, round int) (sample, error)) (samples [2][]sample, err error) {
	for round := range b.rounds {
		for i := range b.programs {
			i := (i + round) % len(b.programs)
			b.say("%s, round %d: %s", what, round+1, b.programs[i].name)
			s, err := one(b.programs[i], round)
			if err != nil {
				return samples, fmt.Errorf("%s: %s: %w", what, b.programs[i].name, err)
			}
			samples[i] = append(samples[i], s)
		}
	}
	return samples, nil
}

// fanOut is how many directories a directory of the tree has.
const fanOut = 25

// plant makes n directories below root, each with some files.
func plant(root string, n, files int) error {
	dirs := []string{root}
	for made := 1; ; dirs = dirs[1:] {
		for f := range files {
			if err := os.WriteFile(filepath.Join(dirs[0], fmt.Sprint("file", f)), nil, 0o600); err != nil {
				return err
			}
		}
		for i := 0; i < fanOut && made < n; i++ {
			dir := filepath.Join(dirs[0], fmt.Sprint("directory", i))
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			dirs = append(dirs, dir)
			made++
		}
		if len(dirs) == 1 {
			return nil
		}
	}
}

// starts measures the time until a tree is watched.
func (b *bench) starts(out io.Writer) error {
	root := filepath.Join(b.work, "tree")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	b.say("making %d directories", b.dirs)
	if err := plant(root, b.dirs, b.files); err != nil {
		return err
	}
	samples, err := b.turns("start", func(p program, round int) (s sample, err error) {
		w, err := start(p, "-m", "-r", root)
		if err != nil {
			return s, err
		}
		defer w.end(&s)
		s.wall, err = w.wait(b)
		return s, err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "### %d directories with %d files each, until \"Watches established.\"\n\n", b.dirs, b.files)
	report(out, samples, []row{wallRow("time", 0.5), cpuRow(0), peakRow})
	return os.RemoveAll(root)
}

// perFile is how many events the writer of the flood causes with each file:
// CREATE, OPEN, MODIFY, CLOSE_WRITE, DELETE.
const perFile = 5

// floods measures events that come as fast as they can.
func (b *bench) floods(out io.Writer) error {
	samples, err := b.turns("flood", func(p program, round int) (s sample, err error) {
		err = harness.WithQueueLimit(b.queue, func() error { s, err = b.flood(p); return err })
		return s, err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n### %d events, queue of %d\n\n", b.files1()*perFile, b.queue)
	report(out, samples, []row{wallRow("until the last one was read", 0), cpuRow(1), peakRow, b.toldRow()})
	samples, err = b.turns("flood with the queue as it is", func(p program, round int) (sample, error) { return b.flood(p) })
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n### The same with the queue of this machine\n\n")
	report(out, samples, []row{wallRow("until the last one was read", 0), cpuRow(0), b.toldRow(), lostRow})
	return nil
}

// files1 is how many files the flood makes.
func (b *bench) files1() int { return b.events / perFile }

// flood runs one program while files are made, written and removed.
func (b *bench) flood(p program) (s sample, err error) {
	root := filepath.Join(b.work, "flood")
	if err := os.Mkdir(root, 0o755); err != nil {
		return s, err
	}
	defer os.RemoveAll(root)
	w, err := start(p, "-m", "-r", root)
	if err != nil {
		return s, err
	}
	defer w.end(&s)
	if _, err := w.wait(b); err != nil {
		return s, err
	}
	begun := time.Now()
	if err := churn(root, b.files1()); err != nil {
		return s, err
	}
	s.write = time.Since(begun)
	s.lost = true
	// What was lost may be the end: it is made again until it is told.
	for i := 0; time.Since(begun) < b.limit; i++ {
		if err := os.WriteFile(filepath.Join(root, endName), nil, 0o600); err != nil {
			return s, err
		}
		err := harness.Poll(b.limit/10, "the end", func() bool { return b.ctx.Err() != nil || w.ended.Load() })
		if b.ctx.Err() != nil {
			return s, errors.New("stopped by a signal")
		}
		if err == nil {
			s.lost, s.wall = i > 0, time.Since(begun)
			return s, nil
		}
		if err := os.Remove(filepath.Join(root, endName)); err != nil {
			return s, err
		}
	}
	return s, fmt.Errorf("the last event was not told after %v", b.limit)
}

// churn makes, writes, closes and removes n files.
func churn(root string, n int) error {
	dir, err := os.Open(root)
	if err != nil {
		return err
	}
	defer dir.Close()
	fd := int(dir.Fd())
	for i := range n {
		name := fmt.Sprint("file-", i)
		f, err := unix.Openat(fd, name, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		_, err = unix.Write(f, []byte{'x'})
		if err := errors.Join(err, unix.Close(f), unix.Unlinkat(fd, name, 0)); err != nil {
			return err
		}
	}
	return nil
}
