package flist_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

func TestCapturedACLsBecomeThoseOfTheKernel(t *testing.T) {
	o := flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags | wire.IncRecurse, ACLs: true}
	list := decoded(t, unhex(t, `
		19 | 03 646972 | 00 00 10 | 65 00 f1 53 | ed 41 00 00
		00 10 01 83 e8 13 08 63 6c 6f 75 64 73 64 6b | 00 1f 07 05 07 05 01 83 e8 1e
		80 98 | 04 66696c65 | 00 00 00 | bc 81 00 00
		00 12 04 02 83 e8 1a 83 e8 11 08 63 6c 6f 75 64 73 64 6b
		80 98 | 04 6c696b65 | 00 00 00 | bc 81 00 00 | 02
		80 98 | 05 706c61696e | 00 00 00 | a4 81 00 00 | 00 00
		80 9a | 05 706c616977 | 00 00 00 | 03
		00 00`), o, flist.Receive{})
	rich := kernelACL(ace{userObj, 6, nobody}, ace{user, 6, 1000}, ace{groupObj, 4, nobody}, ace{group, 4, 1000}, ace{mask, 7, nobody}, ace{other, 4, nobody})
	want := map[tree.Path][2][]byte{
		"dir": {
			kernelACL(ace{userObj, 7, nobody}, ace{user, 4, 1000}, ace{groupObj, 5, nobody}, ace{mask, 5, nobody}, ace{other, 5, nobody}),
			kernelACL(ace{userObj, 7, nobody}, ace{user, 7, 1000}, ace{groupObj, 5, nobody}, ace{mask, 7, nobody}, ace{other, 5, nobody}),
		},
		"file": {rich}, "like": {rich}, "plain": {}, "plaiw": {},
	}
	for _, f := range list.Order {
		if !bytes.Equal(f.Extra().Access, want[f.Path][0]) || !bytes.Equal(f.Extra().Default, want[f.Path][1]) {
			t.Errorf("%s: %x and %x", f.Path, f.Extra().Access, f.Extra().Default)
		}
	}
}

func TestIdsAreMapped(t *testing.T) {
	entry := func(name string, id uint32) flist.Entry {
		e := named(name)
		e.Meta.UID, e.Meta.GID = id, id
		e.Access = kernelACL(ace{userObj, 6, nobody}, ace{user, 4, id}, ace{user, 4, 8}, ace{groupObj, 4, nobody}, ace{group, 4, id}, ace{mask, 4, nobody}, ace{other, 4, nobody})
		return e
	}
	for _, c := range []struct {
		name    string
		compat  wire.Compat
		numeric bool
		ids     flist.IDOptions
		want    string // of ids 0, 1 and 60000, "owner:group", and named users and groups
	}{
		{"nothing is mapped", wire.VarintFlistFlags, false, flist.IDOptions{}, "0:0 8,0 0 | 1:1 1,8 1 | 60000:60000 8,60000 60000"},
		{"by number", wire.VarintFlistFlags, false, flist.IDOptions{UserMap: "60000:7,1:9", GroupMap: "1-5:3", Super: true}, "0:0 0,8 0 | 9:3 8,9 3 | 7:60000 7,8 60000"},
		{"by name, from lists", wire.VarintFlistFlags | wire.ID0Names, false, flist.IDOptions{UserMap: "root:5,daemon:7,:2", GroupMap: "dae*:3", Super: true}, "5:0 5,8 0 | 7:3 7,8 3 | 2:60000 2,8 60000"},
		{"root without a name in lists", wire.VarintFlistFlags, false, flist.IDOptions{UserMap: "root:5", Super: true}, "5:0 5,8 0 | 1:1 1,8 1 | 60000:60000 8,60000 60000"},
		{"by name, sent along", wire.VarintFlistFlags | wire.IncRecurse, false, flist.IDOptions{UserMap: "root:5,daemon:7,:2", GroupMap: "dae*:3", Super: true}, "5:0 5,8 0 | 7:3 7,8 3 | 2:60000 2,8 60000"},
		{"without rights", wire.VarintFlistFlags, false, flist.IDOptions{UserMap: "1:7", GroupMap: "1:3"}, "0:0 0,8 0 | 1:3 7,8 3 | 60000:60000 8,60000 60000"},
		{"numeric ids", wire.VarintFlistFlags, true, flist.IDOptions{UserMap: "root:5,1:7", GroupMap: "1:3", Super: true, Numeric: true}, "0:0 0,8 0 | 7:3 7,8 3 | 60000:60000 8,60000 60000"},
		{"numeric ids, list by list", wire.VarintFlistFlags | wire.IncRecurse, true, flist.IDOptions{UserMap: "1:7", GroupMap: "1:3", Super: true, Numeric: true}, "0:0 0,8 0 | 7:3 1,8 1 | 60000:60000 8,60000 60000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ids, err := flist.NewIDMap(c.ids)
			must(t, err)
			o := flist.Options{Protocol: 32, Compat: c.compat, Owner: true, Group: true, ACLs: true, NumericIDs: c.numeric}
			list := decoded(t, sent(t, o, entry("a", 0), entry("b", 1), entry("c", 60000)), o, flist.Receive{IDs: ids})
			var got, want []string
			for _, f := range list.Order {
				got = append(got, fmt.Sprintf("%d:%d %s", f.Meta.UID, f.Meta.GID, namedIn(f.Extra().Access)))
			}
			for part := range strings.SplitSeq(c.want, " | ") {
				owner, rest, _ := strings.Cut(part, " ")
				users, groups, _ := strings.Cut(rest, " ")
				list := strings.Split(users, ",")
				slices.SortFunc(list, func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) })
				want = append(want, owner+" "+strings.Join(list, ",")+" "+groups)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q, not %q", got, want)
			}
		})
	}
}

// namedIn are the ids of the named users and groups in an ACL, users separated
// by commas.
func namedIn(value []byte) string {
	var users []string
	groups := ""
	for rest := value[4:]; len(rest) > 0; rest = rest[8:] {
		id := uint32(rest[4]) | uint32(rest[5])<<8 | uint32(rest[6])<<16 | uint32(rest[7])<<24
		switch rest[0] {
		case user:
			users = append(users, fmt.Sprint(id))
		case group:
			groups += fmt.Sprint(id)
		}
	}
	return strings.Join(users, ",") + " " + groups
}

func TestACLsFollowTheMode(t *testing.T) {
	extended := func(perm, mine, masked uint16) []byte {
		return kernelACL(ace{userObj, perm >> 6 & 7, nobody}, ace{user, 5, 1}, ace{groupObj, mine, nobody}, ace{mask, masked, nobody}, ace{other, perm & 7, nobody})
	}
	if got := flist.FitACL(extended(0o674, 4, 7), 0o751); !bytes.Equal(got, extended(0o751, 4, 5)) {
		t.Errorf("fitted: %x", got)
	}
	plain := kernelACL(ace{userObj, 6, nobody}, ace{groupObj, 4, nobody}, ace{other, 4, nobody})
	if flist.FitACL(plain, 0o600) != nil || flist.FitACL(nil, 0o600) != nil || flist.FitACL([]byte{1}, 0o600) != nil {
		t.Error("what the mode says needs no ACL")
	}
	for _, c := range []struct {
		name string
		x, y []byte
		same bool
	}{
		{"none and a plain one", nil, plain, true},
		{"only the mode differs", extended(0o674, 4, 7), extended(0o640, 4, 4), true},
		{"the group differs", extended(0o674, 4, 7), extended(0o674, 5, 7), false},
		{"one is plain", extended(0o674, 4, 7), plain, false},
		{"another named user", extended(0o674, 4, 7), kernelACL(ace{userObj, 6, nobody}, ace{user, 5, 2}, ace{groupObj, 4, nobody}, ace{mask, 7, nobody}, ace{other, 4, nobody}), false},
		{"one more named user", extended(0o674, 4, 7), kernelACL(ace{userObj, 6, nobody}, ace{user, 5, 1}, ace{user, 5, 2}, ace{groupObj, 4, nobody}, ace{mask, 7, nobody}, ace{other, 4, nobody}), false},
		{"nonsense", []byte{1, 2, 3}, nil, false},
	} {
		if flist.SameACL(c.x, c.y) != c.same || flist.SameACL(c.y, c.x) != c.same {
			t.Errorf("%s: %v", c.name, !c.same)
		}
	}
}

// TestStoredACLsMatchThoseOfRsync has values that rsync --fake-super stored.
func TestStoredACLsMatchThoseOfRsync(t *testing.T) {
	withMask := func(perm, mine uint16) []byte {
		return kernelACL(ace{userObj, perm >> 6, nobody}, ace{user, 1, 5}, ace{user, 6, 1000}, ace{groupObj, mine, nobody}, ace{group, 4, 2}, ace{mask, perm >> 3 & 7, nobody}, ace{other, perm & 7, nobody})
	}
	for _, c := range []struct {
		name   string
		value  []byte
		access bool
		perm   uint16
		stored string
	}{
		{"a group that the mode does not show", withMask(0o674, 4), true, 0o674,
			"80000000 04000000 07000000 80000000 | 05000000 01000080 | e8030000 06000080 | 02000000 04000000"},
		{"a group that is in the mode", withMask(0o644, 4), true, 0o644,
			"80000000 80000000 04000000 80000000 | 05000000 01000080 | e8030000 06000080 | 02000000 04000000"},
		{"a default ACL", kernelACL(ace{userObj, 7, nobody}, ace{user, 7, 1000}, ace{groupObj, 5, nobody}, ace{mask, 7, nobody}, ace{other, 5, nobody}), false, 0o755,
			"07000000 05000000 07000000 05000000 | e8030000 07000080"},
	} {
		got, err := flist.FakeACL(c.value, c.access)
		if err != nil || !bytes.Equal(got, unhex(t, c.stored)) {
			t.Errorf("%s: %x, %v", c.name, got, err)
		}
		back, err := flist.FromFakeACL(got, c.access, c.perm)
		if err != nil || !bytes.Equal(back, c.value) {
			t.Errorf("%s back: %x, %v", c.name, back, err)
		}
	}
	for _, bad := range []string{"", "00", "80000000 80000000 80000000", "08000000 80000000 80000000 80000000", "80000000 80000000 80000000 80000000 01000000", "80000000 80000000 80000000 80000000 | 05000000 08000080"} {
		if got, err := flist.FromFakeACL(unhex(t, bad), true, 0); err == nil {
			t.Errorf("%s is %x", bad, got)
		}
	}
	if _, err := flist.FakeACL([]byte{1}, true); err == nil {
		t.Error("nonsense was stored")
	}
}

func FuzzFromFakeACL(f *testing.F) {
	f.Add([]byte(strings.Repeat("\x80\x00\x00\x00", 4)+"\x05\x00\x00\x00\x01\x00\x00\x80"), true, uint16(0o644))
	f.Fuzz(func(t *testing.T, stored []byte, access bool, perm uint16) {
		value, err := flist.FromFakeACL(stored, access, perm)
		if err != nil {
			return
		}
		if err := flist.CheckACL(value); err != nil {
			t.Error(err)
		}
		if _, err := flist.FakeACL(value, access); err != nil {
			t.Error(err)
		}
	})
}

// twoSets decodes two sets: user.long and user.short of one, user.long and
// user.other of the other.
func twoSets(t testing.TB) *flist.XattrSets {
	t.Helper()
	o := flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags, Xattrs: true}
	a, b := named("a"), named("b")
	a.Xattrs = []flist.Xattr{{Name: "user.long", Value: long(1)}, {Name: "user.short", Value: []byte("s")}}
	b.Xattrs = []flist.Xattr{{Name: "user.long", Value: long(2)}, {Name: "user.other", Value: long(3)}}
	list := decoded(t, sent(t, o, a, b), o, flist.Receive{})
	if list.Files[0].Xattrs != 1 || list.Files[1].Xattrs != 2 {
		t.Fatalf("sets are %d and %d", list.Files[0].Xattrs, list.Files[1].Xattrs)
	}
	return list.Xattrs
}

func long(n int) []byte { return bytes.Repeat([]byte{byte('a' + n)}, 100) }

func asked(t *testing.T, sets *flist.XattrSets, set int32, numbers ...int32) []int32 {
	t.Helper()
	var buf bytes.Buffer
	w := wire.NewWriter(&buf)
	sets.Ask(w, set, numbers)
	must(t, w.Flush())
	got, err := flist.ReadXattrRequest(wire.NewReader(&buf))
	must(t, err)
	return got
}

func answered(sets *flist.XattrSets, set int32, values ...flist.XattrValue) error {
	var buf bytes.Buffer
	w := wire.NewWriter(&buf)
	flist.WriteXattrValues(w, values)
	w.Flush()
	return sets.Answer(wire.NewReader(&buf), set)
}

func TestLongValuesAreAskedForOnce(t *testing.T) {
	sets := twoSets(t)
	if got := asked(t, sets, 1, 2, 1, 9, 0, -1, 1); !slices.Equal(got, []int32{1}) {
		t.Errorf("asked for %v: what is short, unknown or asked for needs no request", got)
	}
	if got := asked(t, sets, 1, 1); len(got) > 0 {
		t.Errorf("asked for %v again", got)
	}
	if sets.Learn(2, 1, long(9)) || !sets.Learn(2, 1, long(2)) || sets.Learn(2, 5, nil) || sets.Learn(7, 1, nil) {
		t.Error("only the listed value can be learned")
	}
	if got := asked(t, sets, 2, 1, 2); !slices.Equal(got, []int32{2}) {
		t.Errorf("asked for %v: what was learned is known", got)
	}
	must(t, answered(sets, 1, flist.XattrValue{Number: 1, Value: []byte("changed meanwhile")}))
	must(t, answered(sets, 2, flist.XattrValue{Number: 2}))
	for _, c := range []struct {
		set   int32
		at    int
		known bool
		value string
	}{
		{1, 0, true, "changed meanwhile"},
		{1, 1, true, "s"},
		{2, 0, true, string(long(2))},
		{2, 1, false, ""}, // the sender could not read it
	} {
		if a := sets.Set(c.set)[c.at]; a.Known != c.known || string(a.Value) != c.value {
			t.Errorf("attribute %d of set %d: %+v", c.at+1, c.set, a)
		}
	}
	if sets.Set(0) != nil || sets.Set(3) != nil || sets.Set(-1) != nil {
		t.Error("sets that do not exist")
	}
}

func TestAnswersThatWereNotAskedForAreRefused(t *testing.T) {
	sets := twoSets(t)
	asked(t, sets, 1, 1)
	for _, c := range []struct {
		name  string
		set   int32
		value flist.XattrValue
	}{
		{"another attribute", 1, flist.XattrValue{Number: 2, Value: long(1)}},
		{"one of another set", 2, flist.XattrValue{Number: 1, Value: long(1)}},
		{"one that does not exist", 1, flist.XattrValue{Number: 3, Value: long(1)}},
		{"a set that does not exist", 3, flist.XattrValue{Number: 1, Value: long(1)}},
	} {
		if err := answered(sets, c.set, c.value); !errors.Is(err, flist.ErrProtocol) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	must(t, answered(sets, 1, flist.XattrValue{Number: 1, Value: long(1)}))
	if err := answered(sets, 1, flist.XattrValue{Number: 1, Value: long(1)}); !errors.Is(err, flist.ErrProtocol) {
		t.Errorf("a second answer: %v", err)
	}
}

func TestBlocksOfAttributesMatchTheCaptures(t *testing.T) {
	var buf bytes.Buffer
	w := wire.NewWriter(&buf)
	flist.WriteXattrRequest(w, []int32{1, 4, 2})
	flist.WriteXattrValues(w, []flist.XattrValue{{Number: 1, Value: bytes.Repeat([]byte{'x'}, 40)}})
	must(t, w.Flush())
	want := "0103" + "f0feffffff" + "00" + "0128" + strings.Repeat("78", 40) + "00"
	if got := hex.EncodeToString(buf.Bytes()); got != want {
		t.Fatalf("%s, not %s", got, want)
	}
	r := wire.NewReader(&buf)
	if got, err := flist.ReadXattrRequest(r); err != nil || !slices.Equal(got, []int32{1, 4, 2}) {
		t.Errorf("request %v, %v", got, err)
	}
}

func TestBrokenBlocksAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, data string
		want       error
	}{
		{"a negative number", "f0ffffffff", flist.ErrProtocol},
		{"a number beyond every set", "c1 00 01", flist.ErrProtocol}, // 65537
		{"the end of the stream", "", io.ErrUnexpectedEOF},
		{"the end of the stream after a value", "01 01 61", io.ErrUnexpectedEOF},
		{"a negative length", "01 f0ffffffff", flist.ErrProtocol},
		{"a length of 128 MiB", "01 f0 00 00 00 08", flist.ErrProtocol},
		{"a value beyond the limit", "01 f0 ff ff ff 07 61", flist.ErrMemory},
		{"a value that ends early", "01 f0 00 00 00 01 61", io.ErrUnexpectedEOF},
	} {
		each := func(int32, []byte) error { return nil }
		if err := flist.ReadXattrValues(wire.NewReader(bytes.NewReader(unhex(t, c.data))), 100<<20, each); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	endless := bytes.Repeat([]byte{1, 0xf0, 0xff, 0xff, 0xff, 0xff}, 40_000) // 1, 0, 1, 0 …
	if _, err := flist.ReadXattrRequest(wire.NewReader(bytes.NewReader(endless))); err == nil {
		t.Error("a request of zeros")
	}
	many := bytes.Repeat([]byte{2, 0xf0, 0xff, 0xff, 0xff, 0xff}, 40_000) // 2, 1, 3, 2 …
	if _, err := flist.ReadXattrRequest(wire.NewReader(bytes.NewReader(many))); !errors.Is(err, flist.ErrProtocol) {
		t.Errorf("a request without end: %v", err)
	}
}

func FuzzXattrBlocks(f *testing.F) {
	f.Add(unhex(f, "01 28 00"), true)
	f.Add(unhex(f, "01 01 61 01 02 61 62 00"), false)
	f.Fuzz(func(t *testing.T, data []byte, request bool) {
		r := wire.NewReader(bytes.NewReader(data))
		if request {
			flist.ReadXattrRequest(r)
			return
		}
		flist.ReadXattrValues(r, 1<<20, func(int32, []byte) error { return nil })
	})
}

// TestAttributesAreUsedFromBothSides is for the race detector.
func TestAttributesAreUsedFromBothSides(t *testing.T) {
	sets := twoSets(t)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			sets.Learn(1, 1, long(1))
			sets.Ask(wire.NewWriter(io.Discard), 2, []int32{1, 2})
			sets.Set(1)
		})
	}
	wait.Wait()
	must(t, answered(sets, 2, flist.XattrValue{Number: 1, Value: long(2)}, flist.XattrValue{Number: 2, Value: long(3)}))
}

func TestXattrBlocksStandWhereBothSidesExpectThem(t *testing.T) {
	const link = wire.ItemXattr | wire.ItemXnameFollows | wire.ItemLocalChange
	for _, c := range []struct {
		name  string
		opts  flist.Options
		flags wire.Item
		want  bool
	}{
		{"an item with changed attributes", flist.Options{Protocol: 32, Xattrs: true}, wire.ItemXattr, true},
		{"an item without", flist.Options{Protocol: 32, Xattrs: true}, wire.ItemTransfer, false},
		{"without -X", flist.Options{Protocol: 32}, wire.ItemXattr, false},
		{"a hard link", flist.Options{Protocol: 32, Xattrs: true}, link, false},
		{"a hard link, without the short cut", flist.Options{Protocol: 32, Compat: wire.AvoidXattrOptim, Xattrs: true}, link, true},
		{"a hard link at protocol 30", flist.Options{Protocol: 30, Xattrs: true}, link, true},
	} {
		if c.opts.XattrBlock(c.flags) != c.want {
			t.Errorf("%s: %v", c.name, !c.want)
		}
	}
}

func TestAReceivedEntryCostsLittleMoreThanItsName(t *testing.T) {
	const n, named = 200_000, len("some/where/directory-00000/file-0000000.dat")
	var wired bytes.Buffer
	o := flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags}
	w := wire.NewWriter(&wired)
	enc, err := flist.NewEncoder(w, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	enc.Begin()
	for _, dir := range []tree.Path{"", "some", "some/where"} {
		if err := enc.Add(&flist.Entry{Dir: dir.Parent(), Name: dir.Base(), Meta: tree.Meta{Kind: tree.Dir, Perm: 0o755}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		dir := tree.Path(fmt.Sprintf("some/where/directory-%05d", i/1000))
		if i%1000 == 0 {
			err = enc.Add(&flist.Entry{Dir: dir.Parent(), Name: dir.Base(), Meta: tree.Meta{Kind: tree.Dir, Perm: 0o755}})
		}
		err = errors.Join(err, enc.Add(&flist.Entry{Dir: dir, Name: fmt.Sprintf("file-%07d.dat", i), Meta: tree.Meta{Kind: tree.File, Perm: 0o644}}))
		if err != nil {
			t.Fatal(err)
		}
	}
	enc.End(0)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	list := decoded(t, wired.Bytes(), o, flist.Receive{})
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
	if want := float64(named) + 72 + 8 + 4; per > want { // the entry, its pointer, and what the pieces leave
		t.Errorf("an entry takes %.1f bytes, more than %.1f", per, want)
	}
	if f := list.Files[len(list.Files)-1]; f.Path != "some/where/directory-00199/file-0199999.dat" {
		t.Errorf("the last entry is %s", f.Path)
	}
}
