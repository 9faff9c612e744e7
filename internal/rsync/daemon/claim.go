package daemon

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// claim is a place among a module's connections: a lock on four bytes of the
// lock file, which everybody who shares the file counts (rsync-session 2.7).
type claim struct{ file *os.File }

// errFull says that all places are taken.
var errFull = errors.New("all connections are taken")

// slotSize is how many bytes of a lock file stand for a connection.
const slotSize = 4

// claimSlot takes one of n places. The lock belongs to the open file, not to
// the process, so that one process can hold several.
func claimSlot(j jail, name string, n int) (*claim, error) {
	f, err := j.open(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for i := range n {
		lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(i) * slotSize, Len: slotSize}
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
		switch {
		case err == nil:
			return &claim{f}, nil
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES):
			f.Close()
			return nil, err
		}
	}
	f.Close()
	return nil, errFull
}

func (c *claim) release() {
	if c != nil {
		c.file.Close()
	}
}
