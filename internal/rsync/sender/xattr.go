package sender

import (
	"fmt"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/wire"
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
	values := make([]xattrValue, len(q.xattrs))
	have := m.xattrsOf(q, o)
	for i, number := range q.xattrs {
		name, err := m.lists.enc.AskXattr(o.XattrSet(q.ndx), number)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		values[i] = xattrValue{number: number, value: have[name]}
	}
	return values, nil
}

// xattrsOf are the attributes of an entry as the list calls them.
func (m *run) xattrsOf(q *request, o *openList) map[string][]byte {
	src, path := m.lists.src, o.Parent()
	if o.Contains(q.ndx) {
		path = o.Path(q.ndx)
	}
	f := o.fact(q.ndx)
	w := where{origin: src.origins[f.origin], through: f.through}
	var attrs []walk.Xattr
	err := w.origin.use(func(r *walk.Root) (err error) {
		if o.facts == nil || w.origin.below(path) == tree.Root {
			attrs, err = r.Xattrs(w.origin.below(path))
			return err
		}
		dir, err := w.dir(path.Parent())
		if err != nil {
			return err
		}
		defer dir.Close()
		attrs, err = src.attributes(dir, w.origin.below(path).Base(), f.followed)
		return err
	})
	switch {
	case err == nil:
	case o.facts == nil:
		m.fail(src.full(path), err)
	default:
		m.voice.trouble("get_xattr_data", w.origin.full(path), err)
	}
	have := make(map[string][]byte, len(attrs))
	for _, a := range attrs {
		name, _ := src.listed(a.Name)
		have[name] = a.Value
	}
	return have
}

// writeXattrs answers with { delta:varint len:varint bytes }* 0, and gives the
// length of that.
func (m *run) writeXattrs(q *request, values []xattrValue) (size int64) {
	if !q.hasXattrs(m.params) {
		return 0
	}
	var b []byte
	last := int32(0)
	for _, v := range values {
		b = wire.AppendVarint(wire.AppendVarint(b[:0], v.number-last), int32(len(v.value)))
		m.w.Write(b)
		m.w.Write(v.value)
		size += int64(len(b) + len(v.value))
		last = v.number
	}
	m.w.Varint(0)
	return size + 1
}
