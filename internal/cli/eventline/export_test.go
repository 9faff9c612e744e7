package eventline

// MaxTimeWidth bounds a field width.
const MaxTimeWidth = maxTimeWidth
