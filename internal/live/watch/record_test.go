package watch_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/watch"
)

// ino encodes an inotify record as the kernel does.
func ino(wd int32, mask, cookie uint32, name string) []byte {
	size := 0
	if name != "" {
		size = (len(name) + 16) / 16 * 16
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(wd))
	b = binary.NativeEndian.AppendUint32(b, mask)
	b = binary.NativeEndian.AppendUint32(b, cookie)
	b = binary.NativeEndian.AppendUint32(b, uint32(size))
	return append(append(b, name...), make([]byte, size-len(name))...)
}

// fanInfo encodes an information record; an id has at least 16 bytes.
func fanInfo(kind byte, id, name string) []byte {
	b := append([]byte{kind, 0, 0, 0}, id...)
	if name != "" {
		b = append(append(b, name...), 0)
	}
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.NativeEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

func fanID(handle string) string {
	b := []byte("fsid-012")
	b = binary.NativeEndian.AppendUint32(b, uint32(len(handle)))
	b = binary.NativeEndian.AppendUint32(b, 1)
	return string(b) + handle
}

func fan(mask uint64, pid int32, infos ...[]byte) []byte {
	info := bytes.Join(infos, nil)
	b := binary.NativeEndian.AppendUint32(nil, uint32(24+len(info)))
	b = append(b, 3, 0)
	b = binary.NativeEndian.AppendUint16(b, 24)
	b = binary.NativeEndian.AppendUint64(b, mask)
	b = binary.NativeEndian.AppendUint32(b, ^uint32(0))
	b = binary.NativeEndian.AppendUint32(b, uint32(pid))
	return append(b, info...)
}

func TestInotifyRecordsAreParsed(t *testing.T) {
	t.Parallel()
	b := append(ino(7, unix.IN_CREATE, 0, "name"), ino(-1, unix.IN_Q_OVERFLOW, 0, "")...)
	r, rest, err := watch.NextInotify(b)
	if want := (watch.Record{Watch: 7, Mask: unix.IN_CREATE, Name: "name"}); err != nil || r != want {
		t.Fatalf("%+v, %v", r, err)
	}
	r, rest, err = watch.NextInotify(rest)
	if want := (watch.Record{Watch: -1, Mask: unix.IN_Q_OVERFLOW}); err != nil || r != want || len(rest) != 0 {
		t.Fatalf("%+v, %v, %d bytes left", r, err, len(rest))
	}
	for name, bad := range map[string][]byte{
		"a record that is cut":  b[:20],
		"a header that is cut":  b[:9],
		"a name that is a path": ino(1, 1, 0, "a/b"),
		"an endless name":       ino(1, 1, 0, strings.Repeat("n", 300)),
	} {
		if r, _, err := watch.NextInotify(bad); err == nil {
			t.Errorf("%s passes as %+v", name, r)
		}
	}
}

func TestHalvesOfAMoveAreFound(t *testing.T) {
	t.Parallel()
	other := ino(1, unix.IN_MODIFY, 0, "x")
	b := append(bytes.Clone(other), ino(2, unix.IN_MOVED_TO, 5, "to")...)
	if name, found, sure := watch.TakePair(b, 5); name != "to" || !found || !sure {
		t.Error("the second half was not found")
	}
	if _, found, sure := watch.TakePair(b, 5); found || sure {
		t.Error("the second half was found twice, or given up too early")
	}
	if _, found, sure := watch.TakePair(bytes.Repeat(other, 300), 5); found || !sure {
		t.Error("a move that leads out is waited for after 300 records")
	}
}

func TestFanotifyRecordsAreParsed(t *testing.T) {
	t.Parallel()
	b := fan(unix.FAN_CREATE|unix.FAN_ONDIR, 42, fanInfo(2, fanID("parent"), "name"), fanInfo(1, fanID("self!!"), ""))
	b = append(b, fan(unix.FAN_RENAME, 42, fanInfo(10, fanID("old-"), "a"), fanInfo(12, fanID("new-"), "b"))...)
	r, rest, err := watch.NextFanotify(b)
	want := watch.Record{Mask: unix.FAN_CREATE | unix.FAN_ONDIR, PID: 42, Dir: fanID("parent"), Name: "name", Self: fanID("self!!")}
	if err != nil || r != want {
		t.Fatalf("%+v, %v", r, err)
	}
	r, rest, err = watch.NextFanotify(rest)
	want = watch.Record{Mask: unix.FAN_RENAME, PID: 42, OldDir: fanID("old-"), OldName: "a", NewDir: fanID("new-"), NewName: "b"}
	if err != nil || r != want || len(rest) != 0 {
		t.Fatalf("%+v, %v, %d bytes left", r, err, len(rest))
	}
	version := bytes.Clone(b)
	version[4] = 9
	huge := fanInfo(1, fanID("x"), "")
	binary.NativeEndian.PutUint32(huge[12:], 1<<31)
	for name, bad := range map[string][]byte{
		"a record that is cut":            b[:40],
		"another version":                 version,
		"a handle beyond the record":      fan(1, 1, huge),
		"information without length":      fan(1, 1, []byte{2, 0, 0, 0}),
		"information beyond the record":   fan(1, 1, []byte{2, 0, 99, 0}),
		"a directory's record without it": fan(1, 1, fanInfo(2, "short", "")),
		"no name where there must be one": fan(1, 1, fanInfo(2, fanID("d"), "")),
		"a name that is a path":           fan(1, 1, fanInfo(2, fanID("d"), "a/b")),
	} {
		if r, _, err := watch.NextFanotify(bad); err == nil {
			t.Errorf("%s passes as %+v", name, r)
		}
	}
}

func FuzzInotifyRecords(f *testing.F) {
	f.Add(append(ino(7, unix.IN_CREATE, 0, "name"), ino(-1, unix.IN_Q_OVERFLOW, 0, "")...))
	f.Add(ino(7, unix.IN_MOVED_TO, 3, strings.Repeat("n", 255)))
	f.Fuzz(func(t *testing.T, b []byte) {
		watch.TakePair(bytes.Clone(b), 3)
		for len(b) > 0 {
			r, rest, err := watch.NextInotify(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			if strings.ContainsAny(r.Name, "/\x00") {
				t.Fatalf("name %q", r.Name)
			}
			b = rest
		}
	})
}

func FuzzFanotifyRecords(f *testing.F) {
	f.Add(fan(unix.FAN_CREATE, 42, fanInfo(2, fanID("parent"), "name"), fanInfo(1, fanID("self!!"), "")))
	f.Add(fan(unix.FAN_RENAME, 42, fanInfo(10, fanID("old-"), "a"), fanInfo(12, fanID("new-"), "b")))
	f.Add(fan(unix.FAN_Q_OVERFLOW, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			r, rest, err := watch.NextFanotify(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			for _, name := range []string{r.Name, r.OldName, r.NewName} {
				if strings.ContainsAny(name, "/\x00") {
					t.Fatalf("name %q", name)
				}
			}
			for _, id := range []string{r.Dir, r.OldDir, r.NewDir, r.Self} {
				if id != "" && len(id) < 16 {
					t.Fatalf("id of %d bytes", len(id))
				}
			}
			b = rest
		}
	})
}

func TestMountTableLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, line, point, text string }{
		{name: "a plain line", line: "36 35 98:0 / /mnt rw - ext4 /dev/sda1 rw", point: "/mnt", text: "ext4 /dev/sda1"},
		{name: "optional fields and escapes", line: `36 35 98:0 / /a\040b\134 rw master:1 shared:2 - tmpfs tmpfs rw`, point: `/a b\`, text: "tmpfs"},
		{name: "too short", line: "36 35 98:0 / /mnt rw"},
		{name: "no hyphen", line: "36 35 98:0 / /mnt rw a b c d e"},
		{name: "no number", line: "x 35 98:0 / /mnt rw - ext4 /dev/sda1 rw"},
	} {
		t.Run(c.name, func(t *testing.T) {
			point, text, ok := watch.MountPoint(c.line)
			if ok != (c.point != "") || ok && (point != c.point || text != c.text) {
				t.Errorf("%q, %q, %v", point, text, ok)
			}
		})
	}
}

func FuzzMountTableLines(f *testing.F) {
	f.Add(`36 35 98:0 / /a\040b\134 rw master:1 shared:2 - tmpfs tmpfs rw`)
	f.Fuzz(func(t *testing.T, line string) {
		if point, _, ok := watch.MountPoint(line); ok && len(point) > len(line) {
			t.Fatal("a mount point longer than its line")
		}
	})
}

func TestListingsAreCompared(t *testing.T) {
	t.Parallel()
	then := time.Unix(1e9, 0)
	now := then.Add(time.Hour)
	file := func(name string, size int64) tree.Entry {
		return tree.Entry{Name: name, Meta: tree.Meta{Kind: tree.File, Size: size, Ctime: tree.Time{Sec: 9e8, Nsec: 1}}}
	}
	dir := func(name string, perm uint16) tree.Entry {
		return tree.Entry{Name: name, Meta: tree.Meta{Kind: tree.Dir, Perm: perm, Ctime: tree.Time{Sec: 9e8, Nsec: 1}}}
	}
	young := file("young", 1)
	young.Meta.Ctime = tree.Time{Sec: 1e9 - 1} // no nanoseconds: a second change may have the same time
	for _, c := range []struct {
		name     string
		old, new []tree.Entry
		partial  bool
		want     string
	}{
		{name: "nothing changed", old: []tree.Entry{file("a", 1), dir("d", 1)}, new: []tree.Entry{file("a", 1), dir("d", 1)}},
		{name: "one came", old: []tree.Entry{file("b", 1)}, new: []tree.Entry{file("a", 1), file("b", 1), dir("c", 1)}, want: "CREATE|FOUND a, CREATE|FOUND c/"},
		{name: "one went", old: []tree.Entry{file("a", 1), dir("b", 1), file("c", 1)}, new: []tree.Entry{file("a", 1)}, want: "DELETE b/, DELETE c"},
		{name: "one differs", old: []tree.Entry{file("a", 1), dir("d", 1)}, new: []tree.Entry{file("a", 2), dir("d", 2)}, want: "MODIFY a, ATTRIB d/"},
		{name: "a file became a directory", old: []tree.Entry{file("a", 1)}, new: []tree.Entry{dir("a", 1)}, want: "DELETE a, CREATE|FOUND a/"},
		{name: "an incomplete listing deletes nothing", old: []tree.Entry{file("a", 1), file("b", 1)}, new: []tree.Entry{file("b", 2)}, partial: true, want: "MODIFY b"},
		{name: "what was young is looked at again", old: []tree.Entry{young}, new: []tree.Entry{young}, want: "MODIFY young"},
		{name: "an empty directory", old: []tree.Entry{file("a", 1)}, want: "DELETE a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, ev := range watch.Differences(c.old, c.new, !c.partial, then, now) {
				got = append(got, ev.String())
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("%s, want %s", s, c.want)
			}
		})
	}
}
