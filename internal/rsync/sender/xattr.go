package sender

import (
	"fmt"

	"lockstep/internal/fs/tree"
)

// xattrValue is a long attribute value that the peer asked for.
type xattrValue struct {
	number int32 // in its set, from 1
	value  []byte
}

// xattrValues reads the values that a request asks for (part 2, 6.2). One that
// can no longer be read is empty.
func (m *run) xattrValues(q *request, o *openList) ([]xattrValue, error) {
	if len(q.xattrs) == 0 {
		return nil, nil
	}
	path := o.Parent()
	if o.Contains(q.ndx) {
		path = o.Path(q.ndx)
	}
	values := make([]xattrValue, len(q.xattrs))
	have := m.xattrsOf(m.lists.src.full(path))
	for i, number := range q.xattrs {
		name, err := m.lists.enc.AskXattr(o.XattrSet(q.ndx), number)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		values[i] = xattrValue{number: number, value: have[name]}
	}
	return values, nil
}

func (m *run) xattrsOf(path tree.Path) map[string][]byte {
	attrs, err := m.job.Root.Xattrs(path)
	if err != nil {
		m.fail(path, err)
		return nil
	}
	have := make(map[string][]byte, len(attrs))
	for _, a := range attrs {
		have[a.Name] = a.Value
	}
	return have
}

// writeXattrs answers with { delta:varint len:varint bytes }* 0.
func (m *run) writeXattrs(q *request, values []xattrValue) {
	if !q.hasXattrs(m.params) {
		return
	}
	last := int32(0)
	for _, v := range values {
		m.w.Varint(v.number - last)
		m.w.Varint(int32(len(v.value)))
		m.w.Write(v.value)
		last = v.number
	}
	m.w.Varint(0)
}
