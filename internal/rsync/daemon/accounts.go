package daemon

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// Users and groups have the names that /etc/passwd and /etc/group give them. With
// a daemon chroot those are the files in there, as for rsync, which is inside by
// the time that it asks.

// maxAccounts bounds such a file, in bytes.
const maxAccounts = 16 << 20

// account is what counts of a line of either file.
type account struct {
	name    string
	id      int
	group   int      // of a user
	members []string // of a group
}

// accounts reads a file of the jail; lines that are malformed are passed over.
func (j jail) accounts(file string) ([]account, error) {
	data, err := j.readFile(file, maxAccounts)
	if err != nil {
		return nil, err
	}
	var all []account
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(fields) < 4 || fields[0] == "" || strings.HasPrefix(fields[0], "#") {
			continue
		}
		id, ok := number(fields[2])
		if !ok {
			continue
		}
		a := account{name: fields[0], id: id, members: strings.Split(fields[3], ",")}
		a.group, _ = number(fields[3])
		all = append(all, a)
	}
	return all, nil
}

// named is the number of an account by its name.
func (j jail) named(file, name string) (int, bool) {
	all, err := j.accounts(file)
	i := slices.IndexFunc(all, func(a account) bool { return a.name == name })
	if err != nil || i < 0 {
		return 0, false
	}
	return all[i].id, true
}

const (
	usersFile  = "/etc/passwd"
	groupsFile = "/etc/group"
)

// number reads the number of a user or group.
func number(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err == nil
}

// userID is the number of a user, who may be given by number.
func (j jail) userID(name string) (int, bool) {
	if n, ok := number(name); ok {
		return n, true
	}
	if j != "" {
		return j.named(usersFile, name)
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, false
	}
	return number(u.Uid)
}

// groupID is the number of a group, which may be given by number.
func (j jail) groupID(name string) (int, bool) {
	if n, ok := number(name); ok {
		return n, true
	}
	if j != "" {
		return j.named(groupsFile, name)
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	return number(g.Gid)
}

// allGroups are the groups of a user, the first being the own.
func (j jail) allGroups(uid int) ([]int, error) {
	if j != "" {
		users, err := j.accounts(usersFile)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			if u.id == uid {
				var ids []int
				for _, g := range j.groupsOfAccount(u) {
					ids = append(ids, g.id)
				}
				return ids, nil
			}
		}
		return nil, fmt.Errorf("user %d is not in %s of %s", uid, usersFile, j)
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return nil, err
	}
	texts, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	var ids []int
	for _, text := range append([]string{u.Gid}, texts...) {
		if n, ok := number(text); ok && !slices.Contains(ids, n) {
			ids = append(ids, n)
		}
	}
	return ids, nil
}

// groupsOfAccount are the groups of a user of the jail, the first being the own,
// which may have no name.
func (j jail) groupsOfAccount(u account) []account {
	own := account{id: u.group}
	var others []account
	groups, _ := j.accounts(groupsFile)
	for _, g := range groups {
		switch {
		case g.id == u.group:
			if own.name == "" {
				own = g
			}
		case slices.Contains(g.members, u.name):
			others = append(others, g)
		}
	}
	return append([]account{own}, others...)
}

// groupsOf are the names of a user's groups, none if the user is not known.
func (j jail) groupsOf(name string) []string {
	var names []string
	if j != "" {
		users, _ := j.accounts(usersFile)
		for _, u := range users {
			if u.name != name {
				continue
			}
			for _, g := range j.groupsOfAccount(u) {
				if g.name != "" {
					names = append(names, g.name)
				}
			}
			break
		}
		return names
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil
	}
	for _, id := range ids {
		if g, err := user.LookupGroupId(id); err == nil {
			names = append(names, g.Name)
		}
	}
	return names
}
