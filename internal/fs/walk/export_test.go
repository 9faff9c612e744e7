package walk

// Stepwise makes r resolve names as on a kernel without openat2.
func (r *Root) Stepwise() { r.resolve.stepwise = true }

// StatWide is the size from which a directory is read by several goroutines.
const StatWide = statWide

// OldKernel makes the package do without listxattrat and getxattrat until the
// returned function is called.
func OldKernel() (back func()) {
	noXattrAt.Store(true)
	return func() { noXattrAt.Store(false) }
}

// Stepwise makes what p opens resolve names as on a kernel without openat2.
func (p *Place) Stepwise() { p.resolve.stepwise = true }
