package apply

import "time"

// OldKernel makes the package do without the system calls that came with
// Linux 6.6 and 6.13, until the returned function is called.
func OldKernel() (back func()) {
	noXattrAt.Store(true)
	noChmodAt.Store(true)
	return func() {
		noXattrAt.Store(false)
		noChmodAt.Store(false)
	}
}

// WithoutUnnamed makes r do as on a file system without O_TMPFILE.
func (r *Root) WithoutUnnamed() { r.noUnnamed.Store(true) }

// LinkByProc makes r name files as without CAP_DAC_READ_SEARCH.
func (r *Root) LinkByProc() { r.linkByProc.Store(true) }

// StaleAfter sets the age from which a leftover counts as one.
func (r *Root) StaleAfter(age time.Duration) { r.staleAge = age }

// ForgetDirs empties the cache of directory handles.
func (r *Root) ForgetDirs() { r.dirs.clear() }

// HeldDirs is how many handles the cache has.
func (r *Root) HeldDirs() int { return len(r.dirs.held) }

// TempName makes a temporary name.
func TempName(base string) string { return tempName(base) }

// UnnamedFrom and KernelFrom are the sizes from which files are treated
// differently.
const (
	UnnamedFrom = unnamedFrom
	KernelFrom  = kernelFrom
)
