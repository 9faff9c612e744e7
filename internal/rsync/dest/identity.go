package dest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"lockstep/internal/rsync/option"
)

// identity is what the process may do.
type identity struct {
	uid    uint32
	gid    uint32
	groups []uint32
	super  bool // the rights of root are tried
	fake   bool // --fake-super: they are pretended
}

func whoami(opt *option.Set) (identity, error) {
	gids, err := os.Getgroups()
	if err != nil {
		return identity{}, fmt.Errorf("list own groups: %w", err)
	}
	me := identity{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
	me.groups = []uint32{me.gid}
	for _, g := range gids {
		me.groups = append(me.groups, uint32(g))
	}
	switch {
	case opt.Super != 0:
		me.super = opt.Super > 0
	case opt.FakeSuper:
		me.fake = true
	default:
		me.super = me.uid == 0
	}
	return me, nil
}

// root reports whether the kernel lets the process do anything.
func (me identity) root() bool { return me.uid == 0 }

// mayGive reports whether a group can be given to files: a user can give his
// own ones.
func (me identity) mayGive(gid uint32) bool {
	return me.super || me.fake || slices.Contains(me.groups, gid)
}

// KeepsGroup reports whether files get that group, as -g asks for.
func (d *Dest) KeepsGroup(gid uint32) bool { return d.opt.Group && d.me.mayGive(gid) }

// Umask is the file mode creation mask of this process.
func Umask() uint32 { return uint32(umask()) }

// umask reads the file mode creation mask from /proc, since umask(2) can only
// tell it by changing it; without /proc that is done.
func umask() uint16 {
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		lines := bufio.NewScanner(bytes.NewReader(status))
		for lines.Scan() {
			if octal, ok := strings.CutPrefix(lines.Text(), "Umask:"); ok {
				if mask, err := strconv.ParseUint(strings.TrimSpace(octal), 8, 16); err == nil {
					return uint16(mask)
				}
			}
		}
	}
	mask := syscall.Umask(0o077)
	syscall.Umask(mask)
	return uint16(mask)
}
