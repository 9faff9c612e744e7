package lockstep

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"lockstep/internal/cli/eventline"
	"lockstep/internal/fs/tree"
)

// maxUnlogged bounds the events that wait for a slow disk.
const maxUnlogged = 1 << 16

// changeLog writes one line for each event to a file, in the order of the
// events. add never blocks; a goroutine writes. Events that find the queue full
// are counted and the count takes their place in the file.
type changeLog struct {
	file   *os.File
	format *eventline.Format
	fail   func(error) // told once

	mu    sync.Mutex
	queue []eventline.Event
	lost  int

	wake chan struct{} // room for one
	stop chan struct{}
	done chan struct{}
}

// openChangeLog opens the file for appending, made with mode 0600 as
// inotifywait does, and starts the writing goroutine; close ends it.
func openChangeLog(name string, format *eventline.Format, fail func(error)) (*changeLog, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	l := &changeLog{file: f, format: format, fail: fail,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l, nil
}

func (l *changeLog) add(ev eventline.Event) {
	l.mu.Lock()
	if len(l.queue) < maxUnlogged {
		l.queue = append(l.queue, ev)
	} else {
		l.lost++
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// close writes what is left.
func (l *changeLog) close() {
	close(l.stop)
	<-l.done
}

func (l *changeLog) run() {
	defer close(l.done)
	for {
		select {
		case <-l.stop:
			l.write()
			if err := l.file.Close(); err != nil {
				l.failed(err)
			}
			return
		case <-l.wake:
			l.write()
		}
	}
}

// write writes the queue in one go.
func (l *changeLog) write() {
	l.mu.Lock()
	queue, lost := l.queue, l.lost
	l.queue, l.lost = nil, 0
	l.mu.Unlock()
	var b []byte
	for _, ev := range queue {
		b = l.format.Append(b, ev)
		if len(b) > 1<<20 {
			l.flush(b)
			b = b[:0]
		}
	}
	if lost > 0 {
		b = fmt.Appendf(b, "%s %s not logged: the log file could not keep up\n", time.Now().Format(time.DateTime), count(lost, "event"))
	}
	l.flush(b)
}

func (l *changeLog) flush(b []byte) {
	if len(b) == 0 {
		return
	}
	if _, err := l.file.Write(b); err != nil {
		l.failed(err)
	}
}

// failed tells the first failure; the mirror goes on without its log.
func (l *changeLog) failed(err error) {
	if l.fail != nil {
		l.fail(fmt.Errorf("log file: %w", err))
		l.fail = nil
	}
}

// outside refuses a file that lies in one of the directories that are
// mirrored: in the source, every line written to it would be a change that
// makes a line; in a target, it would be deleted.
func outside(what, file string, dirs []string) error {
	name, err := realPath(file)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, dir := range dirs {
		real, err := realPath(dir)
		if err != nil {
			continue // the mirror will say what is wrong with it
		}
		if strings.HasPrefix(name+"/", strings.TrimSuffix(real, "/")+"/") {
			return fmt.Errorf("%s: %s lies in %s, which is mirrored: every line would be a change of its own",
				what, tree.Quote(file), tree.Quote(dir))
		}
	}
	return nil
}

// realPath is name without symlinks; its last component may be missing.
func realPath(name string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}
