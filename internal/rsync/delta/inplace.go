package delta

// inPlace is the rule for a receiver that overwrites its basis as it goes (3.8):
// at an offset of the file, a block may be used only if it lies there or later
// in the basis, where nothing has been written yet, or if it was found at its
// own offset, and so is still what it was.
type inPlace struct {
	block int64    // length of a block
	kept  []uint64 // blocks found at their own offset, a bit each
}

// usable reports whether block n may be used at offset. A nil rule allows all.
func (r *inPlace) usable(n int, offset int64) bool {
	return r == nil || int64(n)*r.block >= offset || n/64 < len(r.kept) && r.kept[n/64]&(1<<(n%64)) != 0
}

// found takes note of a block that is used at offset.
func (r *inPlace) found(n int, offset int64) {
	if r == nil || int64(n)*r.block != offset {
		return
	}
	for n/64 >= len(r.kept) {
		r.kept = append(r.kept, 0)
	}
	r.kept[n/64] |= 1 << (n % 64)
}
