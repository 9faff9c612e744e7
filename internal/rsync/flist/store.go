package flist

import "strings"

// Sizes of what a store allocates at once.
const (
	filesTogether = 113     // Files, 8 KiB
	textTogether  = 8 << 10 // bytes of names
)

// store makes the Files of a Decoder and their names, many in one allocation:
// there may be millions, all of a list are dropped together, and neither should
// cost more than its size.
type store struct {
	files []File // not given away
	names *strings.Builder
}

// file is an empty File.
func (s *store) file() *File {
	if len(s.files) == 0 {
		s.files = make([]File, filesTogether)
	}
	f := &s.files[0]
	s.files = s.files[1:]
	return f
}

// text is b as a string.
func (s *store) text(b []byte) string {
	if len(b) > textTogether/8 {
		return string(b)
	}
	if s.names == nil || s.names.Cap()-s.names.Len() < len(b) {
		s.names = new(strings.Builder)
		s.names.Grow(textTogether)
	}
	from := s.names.Len()
	s.names.Write(b)
	return s.names.String()[from:]
}
