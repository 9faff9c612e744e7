package daemon

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"lockstep/internal/rsync/daemon/conf"
)

// What connections share: the configuration as long as its files stay as they
// are, and the log file. Each that waits would have its own otherwise.

// configCache is the configuration that was read last.
type configCache struct {
	mu     sync.Mutex
	config *conf.Config
	err    error
	seen   map[string]string // the files and directories that it came from, as they were
}

// get gives the configuration, read again by load if a file has changed.
func (c *configCache) get(load func(conf.Files) (*conf.Config, error)) (*conf.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config != nil && c.fresh() {
		return c.config, c.err
	}
	watched := &watchedFiles{seen: map[string]string{}}
	c.config, c.err = load(watched)
	c.seen = watched.seen
	return c.config, c.err
}

func (c *configCache) fresh() bool {
	for name, state := range c.seen {
		if stateOf(name) != state {
			return false
		}
	}
	return true
}

// stateOf tells the states of a file or directory apart.
func stateOf(name string) string {
	var st syscall.Stat_t
	if err := syscall.Stat(name, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprint(st.Dev, st.Ino, st.Mode, st.Size, st.Mtim, st.Ctim)
}

// watchedFiles notes what is read, as it was before.
type watchedFiles struct {
	conf.Disk
	seen map[string]string
}

func (w *watchedFiles) note(name string) {
	if _, known := w.seen[name]; !known {
		w.seen[name] = stateOf(name)
	}
}

// ReadFile implements conf.Files.
func (w *watchedFiles) ReadFile(name string, limit int64) ([]byte, error) {
	w.note(name)
	return w.Disk.ReadFile(name, limit)
}

// ReadDir implements conf.Files.
func (w *watchedFiles) ReadDir(name string) ([]string, error) {
	w.note(name)
	return w.Disk.ReadDir(name)
}

// logFiles are the open log files, by name. They are closed by the garbage
// collector once they were moved away and nobody writes to them.
type logFiles struct {
	mu   sync.Mutex
	open map[string]*os.File
}

// maxLogFiles bounds how many are kept open; names may depend on the client.
const maxLogFiles = 64

// get opens a file for appending, or gives the open one if it is still there.
func (l *logFiles) get(j jail, name string) (*os.File, error) {
	key := string(j) + "\x00" + name
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.open[key]; f != nil && inPlace(j, f, name) {
		return f, nil
	}
	f, err := j.open(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	if l.open == nil || len(l.open) >= maxLogFiles {
		l.open = map[string]*os.File{}
	}
	l.open[key] = f
	return f, nil
}

// inPlace reports whether an open file is what a name leads to.
func inPlace(j jail, f *os.File, name string) bool {
	have, err := f.Stat()
	if err != nil {
		return false
	}
	var now os.FileInfo
	if j == "" {
		now, err = os.Stat(name)
	} else {
		var other *os.File
		if other, err = j.open(name, syscall.O_WRONLY, 0); err == nil {
			defer other.Close()
			now, err = other.Stat()
		}
	}
	return err == nil && os.SameFile(have, now)
}
