package walk_test

import (
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

func TestFakeStat(t *testing.T) {
	for _, c := range []struct {
		value string
		fake  walk.Fake
	}{
		{"100644 0,0 1000:100", walk.Fake{Mode: 0o100644, UID: 1000, GID: 100}},
		{"20644 1,3 0:0", walk.Fake{Mode: 0o20644, Major: 1, Minor: 3}},
		{"120777 0,0 4294967295:7", walk.Fake{Mode: 0o120777, UID: 1<<32 - 1, GID: 7}},
	} {
		got, err := walk.ParseFake([]byte(c.value))
		if err != nil || got != c.fake {
			t.Errorf("%q is %+v, %v", c.value, got, err)
		}
		if back := string(c.fake.Value()); back != c.value {
			t.Errorf("%+v is written as %q", c.fake, back)
		}
		m := got.Overlay(tree.Meta{Kind: tree.File, Size: 5})
		if walk.FakeOf(m) != c.fake || m.Size != 5 {
			t.Errorf("overlaid: %+v", m)
		}
	}
	for _, bad := range []string{"", "100644", "100644 0,0", "x 0,0 0:0", "100644 0,0 -1:0", "644 0,0 0:0", "100644 0,0 99999999999:0"} {
		if f, err := walk.ParseFake([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, f)
		}
	}
}

func FuzzParseFake(f *testing.F) {
	f.Add([]byte("100644 0,0 1000:100"))
	f.Fuzz(func(t *testing.T, value []byte) {
		fake, err := walk.ParseFake(value)
		if err != nil {
			return
		}
		if again, err := walk.ParseFake(fake.Value()); err != nil || again != fake {
			t.Errorf("%q became %+v, then %+v, %v", value, fake, again, err)
		}
	})
}
