package output_test

import (
	"strings"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

const isNew = wire.ItemTransfer | wire.ItemNew

func TestItemizeStrings(t *testing.T) {
	local := wire.ItemLocalChange
	for _, c := range []struct {
		kind    tree.Kind
		flags   wire.Item
		sending bool
		local   bool
		noTimes bool
		want    string
	}{
		{tree.File, isNew, true, true, false, ">f+++++++++"},
		{tree.File, isNew, true, false, false, "<f+++++++++"},
		{tree.File, isNew, false, false, false, ">f+++++++++"},
		{tree.File, wire.ItemTransfer | wire.ItemTime, true, true, false, ">f..t......"},
		{tree.File, wire.ItemTransfer | wire.ItemTime, true, true, true, ">f..T......"},
		{tree.File, wire.ItemTransfer | wire.ItemSize | wire.ItemChange, false, true, false, ">fcs......."},
		{tree.File, wire.ItemTransfer, false, true, false, ">f........."},
		{tree.File, wire.ItemPerms | wire.ItemOwner | wire.ItemGroup, false, true, false, ".f...pog..."},
		{tree.File, wire.ItemAtime | wire.ItemACL | wire.ItemXattr, false, true, false, ".f......uax"},
		{tree.File, wire.ItemCrtime, false, true, false, ".f......n.."},
		{tree.File, wire.ItemAtime | wire.ItemCrtime, false, true, false, ".f......b.."},
		{tree.File, 0, false, true, false, ".f         "},
		{tree.File, wire.ItemTransfer | wire.ItemMissingDetails, true, false, false, "<f?????????"},
		{tree.File, wire.ItemDeleted, true, false, false, "*deleting  "},
		{tree.Dir, local | wire.ItemNew, false, true, false, "cd+++++++++"},
		{tree.Dir, wire.ItemTime, false, true, false, ".d..t......"},
		{tree.Symlink, local | wire.ItemChange | wire.ItemTime, false, true, true, "cLc.T......"},
		{tree.Symlink, local | wire.ItemChange, false, true, true, "cLc........"},
		{tree.Symlink, wire.ItemTime, false, true, false, ".L..t......"},
		{tree.Symlink, wire.ItemTime | wire.ItemTimeFail, false, true, false, ".L..T......"},
		{tree.CharDevice, local | wire.ItemNew, false, true, false, "cD+++++++++"},
		{tree.Fifo, local | wire.ItemNew, false, true, false, "cS+++++++++"},
		{tree.Socket, local, false, true, false, "cS         "},
		{tree.File, local | wire.ItemNew | wire.ItemXnameFollows, false, true, false, "hf+++++++++"},
		{tree.File, local | wire.ItemXnameFollows, false, true, false, "hf         "},
	} {
		e := &output.Event{Flags: c.flags, Meta: tree.Meta{Kind: c.kind}, Sending: c.sending}
		if got := output.Itemize(e, !c.noTimes, c.local); got != c.want {
			t.Errorf("%v %x: got %q, want %q", c.kind, c.flags, got, c.want)
		}
	}
}

func event() *output.Event {
	return &output.Event{
		Flags: isNew, Path: "sub/a", Dir: "/src/", Sending: true, Bytes: 48, SumBytes: 16,
		Digest: "b5e9c1ad071b3e7fc779cfaa5e523818",
		Meta: tree.Meta{
			Kind: tree.File, Perm: 0o4644, UID: 7, GID: 8, Size: 3000123, Mtime: tree.Time{Sec: 1577934245},
		},
	}
}

func scene() *output.Scene {
	return &output.Scene{Times: true, Local: true, Now: time.Date(2026, 11, 23, 7, 49, 9, 0, time.UTC), Pid: 42}
}

func TestFormatsExpandAsRsyncDoes(t *testing.T) {
	link := &output.Event{Flags: wire.ItemLocalChange | wire.ItemNew, Path: "l", Target: "a", Meta: tree.Meta{Kind: tree.Symlink, Size: 1}}
	hard := &output.Event{Flags: wire.ItemLocalChange | wire.ItemXnameFollows, Path: "b", Leader: "a", HasXname: true, Meta: tree.Meta{Kind: tree.File}}
	dir := &output.Event{Path: "", Dir: "src", Sending: true, Meta: tree.Meta{Kind: tree.Dir, Size: 4096}, NoGroup: true}
	gone := &output.Event{Flags: wire.ItemDeleted, Path: "gdir", Meta: tree.Meta{Kind: tree.Dir}}
	for _, c := range []struct {
		format string
		event  *output.Event
		want   string
	}{
		{"%i %n%L", event(), ">f+++++++++ sub/a"},
		{"[%a|%b|%B|%c|%C|%f|%G|%h|%i|%l|%L|%m|%M|%n|%o|%p|%P|%t|%u|%U|%%|%q|%z|%]", event(),
			"[%a|48|rwSr--r--|16|b5e9c1ad071b3e7fc779cfaa5e523818|src/sub/a|8|%h|>f+++++++++|3000123|||2020/01/02-03:04:05|sub/a|send|42|%P|2026/11/23 07:49:09|%u|7|%|%q|%z|%]"},
		{"[%b|%B|%C|%f|%G|%i|%l|%L|%M|%n|%o]", gone,
			"[0|---------|                                |gdir|0|*deleting  |0||1970/01/01-00:00:00|gdir/|del.]"},
		{"%20n|%-20n|%'l|%''l|%'''l|%'15b|%-15'l|%5%|%10i|%15i|%-15i|%10L|%-10L|%'n", event(),
			"               sub/a|sub/a               |3,000,123|3.00M|2.86M|             48|3,000,123      |    %|>f+++++++++|    >f+++++++++|>f+++++++++    |              |              |sub/a"},
		{"%10L|%-10L|%L", link, " ->          a| -> a         | -> a"},
		{"%10L|%-3L|%L|%i", hard, " =>          a| => a  | => a|hf         "},
		{"%n %f %G %o %l", dir, "./ src/. DEFAULT send 4096"},
		{"%99q|%-5q|%5|x", event(), "%99q|%-5q|%5|x"},
		{"%", event(), "%"},
		{"%5", event(), "%5"},
		{"%'", event(), "%'"},
		{"a%%b%%", event(), "a%b%"},
		{"%5''l|%-'10l|%''-9'l|", event(), "3.00M|%-'10l|2.86M    |"},
		{"%--5n|%05n|%+5n|% n|%0n|%-n|", event(), "%--5n|sub/a|%+5n|% n|sub/a|sub/a|"},
		{"", event(), ""},
	} {
		if got := string(output.ParseFormat(c.format).Expand(nil, c.event, scene())); got != c.want {
			t.Errorf("%q:\n got %q\nwant %q", c.format, got, c.want)
		}
	}
}

func TestDaemonFormat(t *testing.T) {
	s := scene()
	s.Daemon = &output.DaemonScene{Address: "127.0.0.1", Host: "localhost", User: "", Module: "m", Path: "/srv/m"}
	got := string(output.ParseFormat("%o %h [%a] %m (%u) %f %l %P").Expand(nil, event(), s))
	if want := "send localhost [127.0.0.1] m () src/sub/a 3000123 /srv/m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFormatsKnowWhatTheyNeed(t *testing.T) {
	for format, late := range map[string]bool{"%i %n": false, "%b": true, "%-10'c": true, "%C": true, "%%b": false, "%x %b": true, "100%": false} {
		if got := output.ParseFormat(format).Late(); got != late {
			t.Errorf("%q: late is %v", format, got)
		}
	}
}

// FuzzFormat holds that any format expands, and that one without a percent sign
// stays what it is.
func FuzzFormat(f *testing.F) {
	f.Add("%i %n%L")
	f.Add("%'-99999999999999999999'l%")
	f.Fuzz(func(t *testing.T, format string) {
		got := string(output.ParseFormat(format).Expand(nil, event(), scene()))
		if !strings.Contains(format, "%") && got != format {
			t.Errorf("%q became %q", format, got)
		}
	})
}

func TestListLines(t *testing.T) {
	at := tree.Time{Sec: 1795420303}
	plain := output.ListStyle{Human: 1, Links: true, Zone: time.UTC}
	for _, c := range []struct {
		style output.ListStyle
		entry output.Listed
		want  string
	}{
		{plain, output.Listed{Name: ".", Meta: tree.Meta{Kind: tree.Dir, Perm: 0o755, Size: 4096, Mtime: at}}, "drwxr-xr-x          4,096 2026/11/23 07:51:43 ."},
		{plain, output.Listed{Name: "t", Meta: tree.Meta{Kind: tree.Dir, Perm: 0o1777, Size: 4096, Mtime: at}}, "drwxrwxrwt          4,096 2026/11/23 07:51:43 t"},
		{plain, output.Listed{Name: "T", Meta: tree.Meta{Kind: tree.Dir, Perm: 0o1776, Size: 4096, Mtime: at}}, "drwxrwxrwT          4,096 2026/11/23 07:51:43 T"},
		{plain, output.Listed{Name: "lnk", Target: "suid", Meta: tree.Meta{Kind: tree.Symlink, Perm: 0o777, Size: 4, Mtime: at}}, "lrwxrwxrwx              4 2026/11/23 07:51:43 lnk -> suid"},
		{output.ListStyle{Human: 1, Zone: time.UTC}, output.Listed{Name: "lnk", Target: "suid", Meta: tree.Meta{Kind: tree.Symlink, Perm: 0o777, Size: 4, Mtime: at}}, "lrwxrwxrwx              4 2026/11/23 07:51:43 lnk"},
		{plain, output.Listed{Name: "sg", Meta: tree.Meta{Kind: tree.File, Perm: 0o2644, Size: 1, Mtime: at}}, "-rw-r-Sr--              1 2026/11/23 07:51:43 sg"},
		{plain, output.Listed{Name: "suid", Meta: tree.Meta{Kind: tree.File, Perm: 0o6755, Size: 1, Mtime: at}}, "-rwsr-sr-x              1 2026/11/23 07:51:43 suid"},
		{plain, output.Listed{Name: "blk", Meta: tree.Meta{Kind: tree.BlockDevice, Perm: 0o644, Mtime: at}}, "brw-r--r--              0 2026/11/23 07:51:43 blk"},
		{plain, output.Listed{Name: "nope"}, "*missing                                      nope"},
		{output.ListStyle{Zone: time.UTC}, output.Listed{Name: ".", Meta: tree.Meta{Kind: tree.Dir, Perm: 0o755, Size: 4096, Mtime: at}}, "drwxr-xr-x        4096 2026/11/23 07:51:43 ."},
		{output.ListStyle{Human: 2, Zone: time.UTC}, output.Listed{Name: ".", Meta: tree.Meta{Kind: tree.Dir, Perm: 0o755, Size: 4096, Mtime: at}}, "drwxr-xr-x          4.10K 2026/11/23 07:51:43 ."},
		{output.ListStyle{Human: 1, Atimes: true, Zone: time.UTC}, output.Listed{Name: "old", Atime: tree.Time{Sec: -631152000}, Meta: tree.Meta{Kind: tree.File, Perm: 0o644, Mtime: at}}, "-rw-r--r--              0 2026/11/23 07:51:43 1950/01/01 00:00:00 old"},
		{output.ListStyle{Human: 1, Atimes: true, Zone: time.UTC}, output.Listed{Name: ".", Meta: tree.Meta{Kind: tree.Dir, Perm: 0o755, Size: 4096, Mtime: at}}, "drwxr-xr-x          4,096 2026/11/23 07:51:43                     ."},
	} {
		if got := c.style.Line(&c.entry); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.entry.Name, got, c.want)
		}
	}
}
