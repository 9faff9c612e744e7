package sender

import (
	"sync"

	"lockstep/internal/fs/tree"
)

// Succeeded takes what the peer says it has put in place (MSG_SUCCESS, part 3,
// 1.7), as the session hears it, to the run. The zero value is ready.
type Succeeded struct {
	mu      sync.Mutex
	pending []success
}

type success struct {
	index int32
	at    tree.Inode // what is in place, zero if that is not known
}

// Put says that the entry with that index is in place. A copy on one machine
// also says where, so that a file that was copied to itself is kept. It is
// called by whoever reads the stream, before what follows in it.
func (s *Succeeded) Put(index int32, at tree.Inode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, success{index, at})
}

// take gives what has come, in order.
func (s *Succeeded) take() []success {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.pending
	s.pending = nil
	return all
}
