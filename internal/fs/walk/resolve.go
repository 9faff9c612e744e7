package walk

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
)

// Symlinks says which symlinks to directories a Root goes through.
type Symlinks uint8

// What is done with symlinks on the way to a name. The name itself is never
// followed.
const (
	NoLinks       Symlinks = iota // they lead nowhere
	LinksInside                   // those that stay beneath the Root are followed
	LinksTrusted                  // those of root and of the effective user are, anywhere
	LinksAnywhere                 // all are followed
)

const (
	confined = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

	// maxResolve is the longest path in bytes handed to the kernel at once,
	// PATH_MAX less the NUL; longer ones are resolved in steps.
	maxResolve = 4095

	openPath = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	openList = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
)

// resolver opens directories beneath a handle.
type resolver struct {
	stepwise bool // no openat2: one openat per component
	links    Symlinks
}

// probe finds out whether openat2 can be used: old kernels lack it (ENOSYS),
// and some container filters refuse what they do not know (EPERM).
func probe(fd int) resolver {
	got, err := openat2(fd, ".", openPath)
	if err != nil {
		return resolver{stepwise: true}
	}
	_ = unix.Close(got)
	return resolver{}
}

// open opens directory p beneath base; flags are openPath or openList.
func (v resolver) open(base int, p tree.Path, flags int) (int, error) {
	if !proper(p) {
		return -1, syscall.EINVAL
	}
	rest := string(p)
	if rest == "" {
		rest = "."
	}
	at := base
	for {
		part, next := v.cut(rest)
		how := openPath
		if next == "" {
			how = flags
		}
		fd, err := v.step(at, part, how)
		if at != base {
			_ = unix.Close(at)
		}
		if err != nil || next == "" {
			return fd, err
		}
		at, rest = fd, next
	}
}

// cut splits off what can be resolved in one call.
func (v resolver) cut(p string) (part, rest string) {
	switch {
	case v.stepwise:
		part, rest, _ = strings.Cut(p, "/")
		return part, rest
	case len(p) <= maxResolve:
		return p, ""
	}
	i := strings.LastIndexByte(p[:maxResolve+1], '/')
	if i < 0 {
		return p, "" // one impossible name: the kernel says ENAMETOOLONG
	}
	return p[:i], p[i+1:]
}

func (v resolver) step(at int, part string, flags int) (int, error) {
	switch {
	case v.links == LinksAnywhere:
		return openat(at, part, flags&^unix.O_NOFOLLOW)
	case v.links == LinksTrusted:
		return openTrusted(at, part, flags&^unix.O_NOFOLLOW, 0)
	case v.links == LinksInside:
		return v.beneath(at, part, flags&^unix.O_NOFOLLOW)
	case v.stepwise:
		return openat(at, part, flags)
	}
	return openat2(at, part, flags)
}

func openat(at int, name string, flags int) (fd int, err error) {
	for {
		fd, err = unix.Openat(at, name, flags, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

func openat2(at int, path string, flags int) (fd int, err error) {
	how := unix.OpenHow{Flags: uint64(flags), Resolve: confined}
	for {
		fd, err = unix.Openat2(at, path, &how)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// proper reports whether p has only real components. Lengths are left to the
// kernel: trees may be deeper than tree.MaxPath.
func proper(p tree.Path) bool {
	if p == tree.Root {
		return true
	}
	start := 0
	for i := 0; i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			if p[i] == 0 {
				return false
			}
			continue
		}
		switch p[start:i] {
		case "", ".", "..":
			return false
		}
		start = i + 1
	}
	return true
}
