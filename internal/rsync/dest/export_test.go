package dest

// HiddenTemp and ScratchTemp make temporary names.
func HiddenTemp(base string) string  { return hiddenTemp(base) }
func ScratchTemp(base string) string { return scratchTemp(base) }
