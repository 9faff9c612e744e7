package sender

import (
	"time"

	"lockstep/internal/fs/tree"
)

// maxWindow is about how many requests main takes off the queue.
const maxWindow = 4 * loadAhead

// Main loads files itself as long as that is quick, from the page cache: then
// handing them to another processor costs more than it gains. A file that took
// slowLoad has the loaders called in for the next helpFor files.
const (
	slowLoad = 150 * time.Microsecond
	helpFor  = 512
)

// pop takes the first request out of the window.
func (m *run) pop() *request {
	q := m.window[0]
	m.window[0] = nil
	m.window = m.window[1:]
	m.begun = max(m.begun-1, 0)
	return q
}

// fill takes what has been requested and, if they are wanted, gives the loaders
// their share.
func (m *run) fill() {
	for open := true; open && len(m.window) < maxWindow; {
		select {
		case batch := <-m.reader.queue:
			m.window = append(m.window, batch...)
			open = len(batch) > 0
		default:
			open = false
		}
	}
	for m.help > 0 && m.loads <= loadAhead-groupLen && m.begun < len(m.window) {
		m.beginGroup()
	}
}

// beginGroup has the files of some requests loaded. Whether the requests are
// right is found out when their turn comes.
func (m *run) beginGroup() {
	g := newGroup()
	for m.begun < len(m.window) && len(g.loads) < groupLen {
		q := m.window[m.begun]
		m.begun++
		if l := m.loadOf(q); l != nil {
			q.load = l
			g.add(l)
		}
	}
	if len(g.loads) > 0 {
		m.loads += len(g.loads)
		m.loader.jobs <- g
	}
}

// loadOf is the load of a request for data, nil if it cannot be met.
func (m *run) loadOf(q *request) *load {
	if q.kind != transfer || m.params.Opt.DryRun {
		return nil
	}
	o := m.lists.find(q.ndx)
	if o == nil || !o.Contains(q.ndx) || o.Kind(q.ndx) != tree.File {
		return nil
	}
	f := o.fact(q.ndx)
	return newLoad(m.lists.src.place(o, q.ndx, f), f.followed, o.inode(q.ndx), q.head.Count == 0 && m.params.Opt.Append == 0)
}

// awaitLoad waits for the file of a request, or loads it.
func (m *run) awaitLoad(q *request) {
	switch {
	case q.load == nil:
		if q.load = m.loadOf(q); q.load == nil {
			return
		}
		start := time.Now()
		m.own.load(q.load)
		if time.Since(start) >= slowLoad {
			m.help = helpFor
		}
	case q.load.group != nil:
		q.load.group.wait()
		m.loads--
		m.help--
	}
}
