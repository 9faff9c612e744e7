package flist_test

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// Tags of the kernel's ACL entries.
const (
	userObj, user, groupObj, group, mask, other = 1, 2, 4, 8, 16, 32
)

type ace struct {
	tag, perm uint16
	id        uint32
}

// kernelACL is the value of a system.posix_acl attribute.
func kernelACL(entries ...ace) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

const nobody = 0xffffffff

func TestACLsMatchTheCapturedSession(t *testing.T) {
	c := newCapture(t, flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags, ACLs: true, NumericIDs: true})
	c.Begin()
	// add sends an entry and drops its bytes up to the ACLs.
	add := func(ent flist.Entry, want string) {
		t.Helper()
		if err := c.Add(&ent); err != nil {
			t.Fatal(err)
		}
		c.w.Flush()
		want = strings.NewReplacer(" ", "", "|", "").Replace(want)
		got := hex.EncodeToString(c.buf.Bytes())
		c.buf.Reset()
		if !strings.HasSuffix(got, want) || len(got) == len(want) {
			t.Errorf("%s: got %s, want it to end in %s", ent.Name, got, want)
		}
	}
	plain := meta(tree.File, 0o644, 0)
	add(flist.Entry{Name: "plain", Meta: plain}, "a481 0000 | 00 00")
	add(flist.Entry{Name: "dir", Meta: meta(tree.Dir, 0o755, 0),
		Access:  kernelACL(ace{userObj, 7, nobody}, ace{user, 4, 1000}, ace{groupObj, 5, nobody}, ace{mask, 5, nobody}, ace{other, 5, nobody}),
		Default: kernelACL(ace{userObj, 7, nobody}, ace{user, 7, 1000}, ace{groupObj, 5, nobody}, ace{mask, 7, nobody}, ace{other, 5, nobody}),
	}, "00 10 01 83e8 12 | 00 1f 07 05 07 05 01 83e8 1e")
	rich := flist.Entry{Name: "rich", Meta: meta(tree.File, 0o674, 0),
		Access: kernelACL(ace{userObj, 6, nobody}, ace{user, 6, 1000}, ace{groupObj, 4, nobody}, ace{group, 4, 1000}, ace{mask, 7, nobody}, ace{other, 4, nobody})}
	add(rich, "00 12 04 02 83e8 1a 83e8 10")
	rich.Name = "rich2"
	add(rich, "32 00 00 00 | 03")
	add(flist.Entry{Name: "plain2", Meta: plain}, "0000 00 a4 81 00 00 | 01")
}

func TestNamesFollowTheFirstUseOfAnID(t *testing.T) {
	c := newCapture(t, flist.Options{Protocol: 31, Compat: wire.IncRecurse | wire.VarintFlistFlags, Owner: true, Group: true})
	c.Begin()
	c.sends(top, "8c 01 | 01 2e | 00 00 10 | 65 00 f1 53 | ed 41 00 00 | 00 04 72 6f 6f 74 | 00 04 72 6f 6f 74")
	c.sends(flist.Entry{Name: "n", Meta: owned(meta(tree.File, 0o644, 0), 4000000000)}, "80 80 | 01 6e | 00 00 00 | a4 81 00 00 | f0 00 28 6b ee | f0 00 28 6b ee")
	c.sends(flist.Entry{Name: "o", Meta: meta(tree.File, 0o644, 0)}, "80 82 | 01 6f | 00 00 00 | 00 | 00")
}

func TestIDListsFollowTheList(t *testing.T) {
	for _, c := range []struct {
		name string
		opts flist.Options
		want string
	}{
		{"names of id 0 with the flag", flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags | wire.ID0Names, Owner: true}, "00 00 | 01 06 64 61 65 6d 6f 6e | 00 04 72 6f 6f 74"},
		{"old protocols send none for id 0", flist.Options{Protocol: 29, Owner: true}, "00 | 01 00 00 00 06 64 61 65 6d 6f 6e | 00 00 00 00 | 00 00 00 00"},
		{"numeric ids send no list", flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags, Owner: true, NumericIDs: true}, "00 00"},
		{"without owners there is none", flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags}, "00 00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := newCapture(t, c.opts)
			out.Begin()
			for i, id := range []uint32{0, 1, 1, 4000000000, 0} {
				ent := flist.Entry{Name: string(rune('a' + i)), Meta: owned(meta(tree.File, 0o644, 0), id)}
				if err := out.Add(&ent); err != nil {
					t.Fatal(err)
				}
			}
			out.w.Flush()
			out.buf.Reset()
			out.End(0)
			out.wants("end", c.want)
		})
	}
}

func TestXattrSetsAreSentOnceAndAskedForOnce(t *testing.T) {
	c := newCapture(t, flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags, Xattrs: true})
	c.Begin()
	long := []byte(strings.Repeat("v", 40))
	set := []flist.Xattr{
		{Name: "user.long", Value: long},
		{Name: "system.posix_acl_access", Value: []byte("x")},
		{Name: "user.a", Value: []byte("1")},
		{Name: "user.rsync.%stat", Value: []byte("y")},
	}
	c.sends(flist.Entry{Name: "f", Meta: meta(tree.File, 0o644, 0), Xattrs: set},
		"18 | 01 66 | 00 00 00 | 65 00 f1 53 | a4 81 00 00 | 00 02 | 07 01 757365722e6100 31 | 0a 28 757365722e6c6f6e6700 8a4090366a60707e11cc0f2da80c7388")
	c.sends(flist.Entry{Name: "g", Meta: meta(tree.File, 0o644, 0), Xattrs: set}, "80 9a | 01 67 | 00 00 00 | 01")
	c.sends(flist.Entry{Name: "h", Meta: meta(tree.File, 0o644, 0)}, "80 9a | 01 68 | 00 00 00 | 00 00")
	c.sends(flist.Entry{Name: "l", Meta: meta(tree.Symlink, 0o644, 0), Xattrs: set}, "80 98 | 01 6c | 00 00 00 | a4 a1 00 00 | 02")
	list := c.End(0)
	if list.XattrSet(0) != 1 || list.XattrSet(2) != 2 {
		t.Errorf("sets are %d and %d", list.XattrSet(0), list.XattrSet(2))
	}
	for _, step := range []struct {
		what        string
		set, number int32
		want        string
	}{
		{"a value that was sent in the list", 1, 1, ""},
		{"a long value", 1, 2, "user.long"},
		{"the same value again", 1, 2, ""},
		{"a number beyond the set", 1, 3, ""},
		{"number zero", 1, 0, ""},
		{"a set that does not exist", 3, 1, ""},
		{"set zero", 0, 1, ""},
	} {
		name, err := c.AskXattr(step.set, step.number)
		if name != step.want || (err != nil) != (step.want == "") {
			t.Errorf("%s: %q, %v", step.what, name, err)
		}
	}
}

func TestBadACLsAreFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		value []byte
		good  bool
	}{
		{"nothing", nil, true},
		{"a plain one", kernelACL(ace{userObj, 7, nobody}, ace{groupObj, 5, nobody}, ace{other, 5, nobody}), true},
		{"too short", []byte{2, 0, 0}, false},
		{"another version", []byte{3, 0, 0, 0}, false},
		{"half an entry", kernelACL(ace{userObj, 7, nobody})[:8], false},
		{"an unknown tag", kernelACL(ace{64, 7, nobody}), false},
		{"too many permissions", kernelACL(ace{userObj, 8, nobody}), false},
	} {
		if err := flist.CheckACL(c.value); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func FuzzCheckACL(f *testing.F) {
	f.Add(kernelACL(ace{userObj, 7, nobody}, ace{user, 4, 1000}, ace{mask, 7, nobody}))
	f.Add([]byte{2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, value []byte) {
		if flist.CheckACL(value) != nil {
			return
		}
		c := newCapture(t, flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags, ACLs: true, NumericIDs: true})
		c.Begin()
		if err := c.Add(&flist.Entry{Name: "f", Meta: meta(tree.Dir, 0o755, 0), Access: value, Default: value}); err != nil {
			t.Fatal(err)
		}
	})
}
