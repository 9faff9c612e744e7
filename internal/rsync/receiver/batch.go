package receiver

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/wire"
)

// Batch tells the receiver which files of a batch the generator wants
// (--read-batch, section 6). It may be used from any goroutine.
type Batch struct {
	mu      sync.Mutex
	changed chan struct{}
	asked   map[int32]struct{} // and not delivered
	resend  map[int32]bool     // wanted once more: true until that comes
	passed  int
}

// NewBatch returns a Batch of which nothing is wanted yet.
func NewBatch() *Batch {
	return &Batch{changed: make(chan struct{}), asked: make(map[int32]struct{}), resend: make(map[int32]bool)}
}

// Ask says that the generator wants the data of a file. That of a redo comes by
// itself.
func (b *Batch) Ask(index int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, again := b.resend[index]; !again {
		b.asked[index] = struct{}{}
		b.wake()
	}
}

// Passed says that the generator has gone through the list with this number:
// what it has not asked for it does not want.
func (b *Batch) Passed(list int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passed = max(b.passed, list)
	b.wake()
}

func (b *Batch) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// again says that a file is wanted once more.
func (b *Batch) again(index int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resend[index] = true
}

// takeAgain tells whether a file is wanted once more, which is then no longer so.
func (b *Batch) takeAgain(index int32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	due := b.resend[index]
	if due {
		b.resend[index] = false
	}
	return due
}

// take tells whether a file is wanted, which is then no longer so. It waits until
// the generator knows.
func (b *Batch) take(ctx context.Context, index int32, list int) (bool, error) {
	wanted := false
	err := b.until(ctx, func() bool {
		if _, wanted = b.asked[index]; wanted {
			delete(b.asked, index)
		}
		return wanted || b.passed >= list
	})
	return wanted, err
}

// missing are the files of a list that were wanted and have not come, when the
// generator has gone through it.
func (b *Batch) missing(ctx context.Context, list int, from, to int32) (all []int32, err error) {
	err = b.until(ctx, func() bool { return b.passed >= list })
	b.mu.Lock()
	defer b.mu.Unlock()
	for index := range b.asked {
		if index >= from && index < to {
			all = append(all, index)
			delete(b.asked, index)
		}
	}
	slices.Sort(all)
	return all, err
}

// unsent are the files in a range that were wanted once more and have not come.
func (b *Batch) unsent(from, to int32) (all []int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for index, due := range b.resend {
		if due && index >= from && index < to {
			all = append(all, index)
			b.resend[index] = false
		}
	}
	slices.Sort(all)
	return all
}

// until waits until ready says so.
func (b *Batch) until(ctx context.Context, ready func() bool) error {
	for {
		b.mu.Lock()
		done, changed := ready(), b.changed
		b.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wanted tells whether the data of a transfer is to be used.
func (m *run) wanted(e *echo) (bool, error) {
	b := m.params.Batch
	if b == nil {
		return true, nil
	}
	var wanted bool
	var err error
	resend := ""
	if _, again := m.delivered[e.index]; again {
		m.workers.wait() // what became of the first time?
		e.redo = true
		resend = " resend of"
		wanted = b.takeAgain(e.index)
	} else {
		m.delivered[e.index] = struct{}{}
		wanted, err = b.take(m.ctx, e.index, m.number(e.index))
	}
	if err == nil && !wanted {
		m.talk.Text(wire.CodeInfo, fmt.Sprintf("(Skipping batched update for%s \"%s\")", resend, string(e.file.Path)))
	}
	return wanted, err
}

// number is that of the list with an entry, 0 if there is none.
func (m *run) number(index int32) int {
	if l := m.lists.Of(index); l != nil {
		return l.Number
	}
	return 0
}

// noBatchedUpdates accounts for the files of the oldest list that a batch lacks.
// With incremental lists its redos are over, too.
func (m *run) noBatchedUpdates() error {
	l := m.lists.Oldest()
	if m.params.Batch == nil || l == nil {
		return nil
	}
	from, to := l.Start, l.Start+int32(len(l.Files))
	missing, err := m.params.Batch.missing(m.ctx, l.Number, from, to)
	if err != nil {
		return err
	}
	m.lack(missing, "")
	if m.params.incremental() {
		m.workers.wait()
		m.noBatchedResends(from, to)
	}
	return nil
}

// noBatchedResends does the same for the redos of a range.
func (m *run) noBatchedResends(from, to int32) {
	if m.params.Batch != nil {
		m.lack(m.params.Batch.unsent(from, to), " resend of")
	}
}

func (m *run) lack(indexes []int32, resend string) {
	for _, index := range indexes {
		if f, err := m.lists.Find(index); err == nil {
			m.talk.Text(wire.CodeErrorXfer, fmt.Sprintf("(No batched update for%s \"%s\")", resend, string(f.Path)))
		}
		m.notes.Put(dest.Note{Kind: dest.NotSent, Index: index})
	}
}
