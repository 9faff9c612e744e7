package rsync

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
)

// identity is who files are read and written as.
type identity struct {
	uid, gid int
	groups   []int // besides; nil leaves them to gid alone
}

// copyAs does what --copy-as asks for, if it is given.
func copyAs(set *option.Set, role string) error {
	if set.CopyAs == "" {
		return nil
	}
	return assume(set.CopyAs, role)
}

// assume makes the process --copy-as' user, for good: what it could do before,
// it cannot any more. role is who speaks of errors.
func assume(who, role string) error {
	fail := func(format string, args ...any) error {
		return &option.Error{Code: exitSyntax, Text: fmt.Sprintf(format, args...), Role: role}
	}
	id, err := identify(who, fail, role)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"setgid", func() error { return syscall.Setgid(id.gid) }},
		{"setgroups", func() error { return syscall.Setgroups(append([]int{id.gid}, id.groups...)) }},
		{"setuid", func() error { return syscall.Setuid(id.uid) }},
	} {
		if err := step.do(); err != nil {
			return fail("rsync: [%s] %s failed: %s", role, step.name, output.Strerror(err))
		}
	}
	return nil
}

// identify finds USER[:GROUP], names or numbers. Without a group it is all that
// the user has.
func identify(who string, fail func(string, ...any) error, role string) (identity, error) {
	name, groupName, hasGroup := strings.Cut(who, ":")
	number := func(kind, text string) (int, error) {
		n, err := strconv.ParseUint(text, 10, 32)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return 0, fail("Invalid ID number: %s", text)
		case err != nil:
			return 0, fail("Invalid copy-as %s: %s", kind, text)
		}
		return int(n), nil
	}
	var id identity
	known, err := user.Lookup(name)
	if err != nil {
		known, _ = user.LookupId(name)
	}
	if known != nil {
		id.uid, _ = strconv.Atoi(known.Uid) // numbers, on this system
		id.gid, _ = strconv.Atoi(known.Gid)
	} else if id.uid, err = number("user", name); err != nil {
		return id, err
	}
	if hasGroup {
		if g, unknown := user.LookupGroup(groupName); unknown == nil {
			groupName = g.Gid
		}
		id.gid, err = number("group", groupName)
		return id, err
	}
	if known == nil {
		return id, fail("rsync: [%s] getpwuid failed: no user has the id %d", role, id.uid)
	}
	all, err := known.GroupIds()
	if err != nil {
		return id, fail("rsync: [%s] the groups of %s: %v", role, name, err)
	}
	for _, g := range all {
		if gid, err := strconv.Atoi(g); err == nil && gid != id.gid {
			id.groups = append(id.groups, gid)
		}
	}
	return id, nil
}
