package flist

import (
	"context"
	"fmt"
	"sort"
	"sync"
)

// Lists holds the lists of a receiving side: the receiver adds what it read,
// the generator takes one after the other and drops what is finished. It may
// be used from any goroutine; LinkGroup.Members belong to the one that calls
// Next or Poll.
type Lists struct {
	mu       sync.Mutex
	more     chan struct{} // closed and replaced when something was added
	lists    []*Received   // not released
	released int           // lists before lists[0]
	linked   int           // lists, released ones included, whose links are in their groups
	known    int
	ended    bool
	err      error
	sets     *XattrSets
}

// NewLists returns an empty store.
func NewLists() *Lists { return &Lists{more: make(chan struct{})} }

// Add appends the next list.
func (l *Lists) Add(r *Received) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lists = append(l.lists, r)
	l.known += len(r.Files)
	l.sets = r.Xattrs
	l.wake()
}

// End says that no list follows: all are here, or reading them failed with err.
func (l *Lists) End(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended, l.err = true, err
		l.wake()
	}
}

func (l *Lists) wake() {
	close(l.more)
	l.more = make(chan struct{})
}

// Next returns list n, counted from 0, and waits until it is known. Without an
// error nil means that there are only n lists. A failure of the stream is
// reported once the lists before it were taken.
func (l *Lists) Next(ctx context.Context, n int) (*Received, error) {
	for {
		r, more, err := l.Poll(n)
		if more == nil {
			return r, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Poll is Next for a caller that waits for other things too: if list n is not
// known yet, more is not nil, and closed once something was added.
func (l *Lists) Poll(n int) (r *Received, more <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case n < l.released:
		return nil, nil, fmt.Errorf("list %d is gone: %w", n+1, ErrIndex)
	case n-l.released < len(l.lists):
		l.link()
		return l.lists[n-l.released], nil, nil
	case l.ended:
		return nil, nil, l.err
	}
	return nil, l.more, nil
}

// link puts the hard links of all lists known by now into their groups.
func (l *Lists) link() {
	for ; l.linked < l.released+len(l.lists); l.linked++ {
		if l.linked < l.released {
			continue
		}
		for _, f := range l.lists[l.linked-l.released].Order {
			if f.Group() != nil && !f.Dup {
				f.Group().Members = append(f.Group().Members, f)
			}
		}
	}
}

// Ready waits until at least that many entries are known, or no more will
// come: with hard links in an incremental session it is called with 500 before
// anything is decided (section 2.5). Members of groups are as with Next.
func (l *Lists) Ready(ctx context.Context, entries int) error {
	for {
		l.mu.Lock()
		more, done := l.more, l.ended || l.known >= entries
		l.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Find is the entry that an index from the peer names: one of a list that was
// not released, that is no duplicate, or the directory of a list. The error
// wraps ErrIndex.
func (l *Lists) Find(index int32) (*File, error) {
	r := l.Of(index)
	if r == nil {
		return nil, fmt.Errorf("index %d: %w", index, ErrIndex)
	}
	switch f := r.Find(index); {
	case f == nil:
		return nil, fmt.Errorf("index %d: %w", index, ErrIndex)
	case f.Dup:
		return nil, fmt.Errorf("index %d is that of a dropped entry: %w", index, ErrIndex)
	default:
		return f, nil
	}
}

// Of is the list that knows index, nil if none does.
func (l *Lists) Of(index int32) *Received {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := sort.Search(len(l.lists), func(i int) bool { return l.lists[i].Start > index+1 }) - 1
	if index < 0 || i < 0 || l.lists[i].Find(index) == nil {
		return nil
	}
	return l.lists[i]
}

// Oldest is the first list that was not released, nil if there is none.
func (l *Lists) Oldest() *Received {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lists) == 0 {
		return nil
	}
	return l.lists[0]
}

// Release drops the oldest list.
func (l *Lists) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lists) > 0 {
		l.lists[0] = nil
		l.lists = l.lists[1:]
		l.released++
	}
}

// Known is how many entries have been listed so far, duplicates included.
func (l *Lists) Known() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known
}

// Len is how many lists were added so far, released ones included.
func (l *Lists) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.released + len(l.lists)
}

// Complete reports whether no list will follow.
func (l *Lists) Complete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// Xattrs are the attribute sets of the session, nil before the first list.
func (l *Lists) Xattrs() *XattrSets {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sets
}
