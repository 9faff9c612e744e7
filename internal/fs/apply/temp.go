package apply

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// A temporary name is "." BASE tempMark RANDOM CHECK, see the package comment.
const (
	tempMark   = ".lockstep-"
	tempRandom = 5 // characters of 5 bits each
	tempCheck  = 3
	tempDigits = "abcdefghijklmnopqrstuvwxyz234567"

	// tempBase is the most bytes of the final name: the whole then has 143 at
	// most, the shortest limit of a file system in use (eCryptfs).
	tempBase = 124

	// tempTries bounds the search for a name that is free.
	tempTries = 100
)

// tempName makes a temporary name for the object to be called base.
func tempName(base string) string {
	name := "." + cutBase(base) + tempMark
	return withCheck(name + digits(rand.Uint32(), tempRandom))
}

// cutBase shortens a name at a character boundary.
func cutBase(base string) string {
	base = strings.TrimPrefix(base, ".")
	if len(base) <= tempBase {
		return base
	}
	end := tempBase
	for end > tempBase-utf8.UTFMax && !utf8.RuneStart(base[end]) {
		end--
	}
	return strings.TrimSuffix(base[:end], ".")
}

func withCheck(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return name + digits(h.Sum32(), tempCheck)
}

func digits(v uint32, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = tempDigits[v%uint32(len(tempDigits))]
		v /= uint32(len(tempDigits))
	}
	return string(b)
}

// IsTemp reports whether name, a single component, is that of a temporary
// object of this program.
func IsTemp(name string) bool {
	body := len(name) - tempCheck
	mark := body - tempRandom - len(tempMark)
	return mark >= 1 && name[0] == '.' && name[mark:mark+len(tempMark)] == tempMark &&
		withCheck(name[:body]) == name
}

// fresh calls try with temporary names for base until one is free.
func (r *Root) fresh(base string, try func(name string) error) (name string, err error) {
	named := tempName
	if r.opts.Temp != nil {
		named = r.opts.Temp
	}
	for range tempTries {
		name = named(base)
		if err = try(name); err != syscall.EEXIST {
			break
		}
	}
	return name, err
}

// RemoveStale removes p if it is a temporary object that a process which is
// gone has left, and reports whether it was. A temporary file that is being
// written is locked, and nothing is removed within a minute of its last change.
func (r *Root) RemoveStale(p tree.Path) (removed bool, err error) {
	if !IsTemp(p.Base()) {
		return false, nil
	}
	err = r.below("remove leftover", p, func(at Place) error {
		m, err := at.Object().Stat()
		if err != nil {
			return err
		}
		changed := time.Unix(m.Ctime.Sec, int64(m.Ctime.Nsec))
		if time.Since(changed) < r.staleAge || m.IsDir() || m.Kind == tree.File && locked(at) {
			return nil
		}
		if err := unix.Unlinkat(at.fd, at.name, 0); err != nil && err != syscall.ENOENT {
			return err
		}
		removed = true
		return nil
	})
	if errors.Is(err, syscall.ENOENT) {
		err = nil
	}
	return removed, err
}

// locked reports whether a living process holds the temporary file.
func locked(at Place) bool {
	fd, err := unix.Openat(at.fd, at.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err != syscall.ENOENT
	}
	defer unix.Close(fd)
	return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil
}

// Sweep removes what RemoveStale would from directory start and all below it.
// A caller that walks the tree anyway can call RemoveStale for the names that
// IsTemp knows instead.
func (r *Root) Sweep(ctx context.Context, start tree.Path) (removed int, err error) {
	var (
		mu   sync.Mutex
		errs []error
	)
	err = r.reader.Walk(ctx, start, walk.Visitor{
		Dir: func(dir tree.Path, _ tree.Meta, entries []tree.Entry, err error) {
			for _, e := range entries {
				if !IsTemp(e.Name) {
					continue
				}
				gone, err := r.RemoveStale(dir.Join(e.Name))
				mu.Lock()
				if gone {
					removed++
				}
				if err != nil {
					errs = append(errs, err)
				}
				mu.Unlock()
			}
		},
	})
	return removed, errors.Join(append(errs, err)...)
}
