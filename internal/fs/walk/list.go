package walk

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

const (
	// The layout of struct linux_dirent64: inode and offset of 8 bytes each,
	// record length of 2, type of 1, then the name with a NUL.
	direntLen  = 16
	direntName = 19

	direntBuffer = 64 << 10 // bytes asked of getdents64 at once

	// Directories with at least this many entries are looked at by several
	// goroutines, in runs of statRun.
	statWide = 4096
	statRun  = 512
)

// scratch is what a listing needs while it is read.
type scratch struct {
	dirents []byte
	names   []byte // NUL-terminated, one after the other
}

var scratches = sync.Pool{New: func() any {
	return &scratch{dirents: make([]byte, direntBuffer)}
}}

// list reads the directory open as fd. The entries share one string for all
// their names.
func list(fd int, dir tree.Path, workers int) ([]tree.Entry, error) {
	entries, _, err := read(fd, dir, workers)
	return entries, err
}

// read is list that also names the entries which vanished meanwhile.
func read(fd int, dir tree.Path, workers int) (entries []tree.Entry, vanished []string, err error) {
	names, err := listNames(fd)
	slices.Sort(names)
	entries = make([]tree.Entry, len(names))
	failed := statAll(fd, names, entries, workers)
	if len(failed) > 0 {
		entries = slices.DeleteFunc(entries, func(e tree.Entry) bool { return !e.Meta.Exists() })
	}
	for _, f := range failed {
		if f.err == syscall.ENOENT {
			vanished = append(vanished, f.name)
		}
	}
	if err != nil {
		return entries, vanished, fail(opList, dir, err)
	}
	return entries, vanished, partial(dir, failed)
}

// listNames gives the names in the directory's own order. Each is followed by
// a NUL in memory.
func listNames(fd int) ([]string, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.names = s.names[:0]
	count := 0
	for {
		n, err := unix.Getdents(fd, s.dirents)
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return split(string(s.names), count), err
		}
		for b := s.dirents[:n]; len(b) > direntName; {
			size := int(binary.NativeEndian.Uint16(b[direntLen:]))
			name := b[direntName:size]
			b = b[size:]
			end := slices.Index(name, 0)
			if end < 0 || isDots(name[:end]) {
				continue
			}
			s.names = append(s.names, name[:end+1]...)
			count++
		}
	}
}

func isDots(name []byte) bool {
	return len(name) == 1 && name[0] == '.' || len(name) == 2 && name[0] == '.' && name[1] == '.'
}

func split(all string, count int) []string {
	names := make([]string, 0, count)
	for start, i := 0, 0; i < len(all); i++ {
		if all[i] == 0 {
			names = append(names, all[start:i])
			start = i + 1
		}
	}
	return names
}

// nameError is an entry that could not be looked at.
type nameError struct {
	name string
	err  error
}

// statAll fills entries, which is as long as names. What it can't look at
// stays Missing; if that happens the result is not empty. names must come from
// listNames.
func statAll(fd int, names []string, entries []tree.Entry, workers int) []nameError {
	if len(names) < statWide || workers < 2 {
		return statSome(fd, names, entries)
	}
	var (
		next   atomic.Int64
		group  sync.WaitGroup
		mu     sync.Mutex
		failed []nameError
	)
	for range workers {
		group.Go(func() {
			for {
				from := int(next.Add(statRun)) - statRun
				if from >= len(names) {
					return
				}
				to := min(from+statRun, len(names))
				if bad := statSome(fd, names[from:to], entries[from:to]); len(bad) > 0 {
					mu.Lock()
					failed = append(failed, bad...)
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	slices.SortFunc(failed, func(a, b nameError) int { return cmp.Compare(a.name, b.name) })
	return failed
}

func statSome(fd int, names []string, entries []tree.Entry) (failed []nameError) {
	for i, name := range names {
		m, err := statx(fd, unsafe.StringData(name), statFlags)
		if err != nil {
			failed = append(failed, nameError{name, err})
			continue
		}
		entries[i] = tree.Entry{Name: name, Meta: m}
	}
	return failed
}

// partial makes an error of all but the entries that are simply gone.
func partial(dir tree.Path, failed []nameError) error {
	var bad []*Error
	for _, f := range failed {
		if f.err != syscall.ENOENT {
			bad = append(bad, &Error{Op: "lstat", Path: dir.Join(f.name), Err: f.err})
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return &PartialError{Dir: dir, Entries: bad}
}
