package flist_test

import (
	"slices"
	"testing"

	"lockstep/internal/rsync/flist"
)

func TestMapsAreRefusedInTheWordsOfRsync(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"x", "No colon found in --usermap: x"},
		{"0:1,", "No colon found in --usermap: "},
		{"0:1,x,y:", "No name found after colon --usermap: y:"},
		{"0:", "No name found after colon --usermap: 0:"},
		{"0-:1", "Invalid number in --usermap: 0-"},
		{"1-x:0", "Invalid number in --usermap: 1-x"},
		{"1-2-3:0", "Invalid number in --usermap: 1-2-3"},
		{"0x1:1", "Invalid number in --usermap: 0x1"},
		{"0:4294967296", "Invalid ID number: 4294967296"},
		{"99999999999:0", "Invalid ID number: 99999999999"},
		{"0-99999999999:0", "Invalid ID number: 99999999999"},
	} {
		_, err := flist.NewIDMap(flist.IDOptions{UserMap: c.text})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	if _, err := flist.NewIDMap(flist.IDOptions{GroupMap: "x"}); err == nil || err.Error() != "No colon found in --groupmap: x" {
		t.Errorf("group map: %v", err)
	}
}

func TestRulesToUnknownNamesAreLeftOut(t *testing.T) {
	var warnings []string
	m, err := flist.NewIDMap(flist.IDOptions{
		UserMap: "0:no-such-user-1,0:no:such,*:7", Super: true,
		Warn: func(text string) { warnings = append(warnings, text) },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Unknown --usermap name on receiver: no:such", "Unknown --usermap name on receiver: no-such-user-1"}
	if !slices.Equal(warnings, want) {
		t.Errorf("warnings %q", warnings)
	}
	if got := m.User(0, ""); got != 7 {
		t.Errorf("the rule that is left maps to %d", got)
	}
}

func TestTheFirstRuleThatMatchesMaps(t *testing.T) {
	for _, c := range []struct {
		rules string
		id    uint32
		name  string
		want  uint32
	}{
		{"", 1000, "root", 0}, // by name
		{"", 0, "daemon", 0},  // 0 stays 0
		{"", 1000, "no-such-user", 1000},
		{"", 1000, "", 1000},
		{"0:1,*:2", 0, "root", 1},
		{"*:2,0:1", 0, "root", 2},
		{"5-9:3", 5, "", 3},
		{"5-9:3", 9, "x", 3},
		{"5-9:3", 10, "", 10},
		{"9-5:3", 7, "", 7},
		{":4", 1000, "", 4},
		{":4", 1000, "x", 1000},
		{"*:4", 1000, "", 4},
		{"?*:4", 1000, "", 1000},
		{"r*t:6", 0, "root", 6},
		{"[r]oot:6", 0, "root", 6},
		{"[!r]oot:6", 0, "root", 0},
		{"root:6", 0, "root", 6},
		{`r\oot:6`, 0, "root", 0},
		{`r\*t:6`, 0, "r*t", 6},
		{"-5:6", 5, "-5", 6},
		{"/r*t:6", 0, "root", 0},
		{"0-4294967295:6", 4000000000, "", 6},
		{"x:root", 1000, "x", 0},
	} {
		m, err := flist.NewIDMap(flist.IDOptions{UserMap: c.rules, GroupMap: c.rules, Super: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := m.User(c.id, c.name); got != c.want {
			t.Errorf("%q maps user %d %q to %d, not %d", c.rules, c.id, c.name, got, c.want)
		}
		if got := m.Group(c.id, c.name); got != c.want {
			t.Errorf("%q maps group %d %q to %d, not %d", c.rules, c.id, c.name, got, c.want)
		}
	}
}

func TestMappingNeedsRightsAndNames(t *testing.T) {
	const rules = "root:8,1000:9"
	for _, c := range []struct {
		name           string
		opts           flist.IDOptions
		uid0, uid, gid uint32 // of 0 "root", 1000 "" and 1000 ""
	}{
		{"as root", flist.IDOptions{UserMap: rules, GroupMap: rules, Super: true}, 8, 9, 9},
		{"as somebody, users stay", flist.IDOptions{UserMap: rules, GroupMap: rules}, 0, 1000, 9},
		{"numeric ids have no names", flist.IDOptions{UserMap: rules, GroupMap: rules, Super: true, Numeric: true}, 0, 9, 9},
	} {
		m, err := flist.NewIDMap(c.opts)
		if err != nil {
			t.Fatal(err)
		}
		if a, b, g := m.User(0, "root"), m.User(1000, ""), m.Group(1000, ""); a != c.uid0 || b != c.uid || g != c.gid {
			t.Errorf("%s: %d, %d, %d", c.name, a, b, g)
		}
	}
	var none *flist.IDMap
	if none.User(5, "root") != 5 || none.Group(5, "root") != 5 {
		t.Error("no map changes ids")
	}
}

func FuzzIDMap(f *testing.F) {
	f.Add("0:1,*:2", "root")
	f.Add("[a-z]*?:3,:4,1-5:6", "x")
	f.Fuzz(func(t *testing.T, rules, name string) {
		m, err := flist.NewIDMap(flist.IDOptions{UserMap: rules, Super: true})
		if err == nil {
			m.User(1, name)
		}
	})
}
