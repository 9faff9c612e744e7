package output_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// stage is a Printer with what it wrote, and a clock that stands until it is
// moved.
type stage struct {
	*output.Printer
	out, errs, log bytes.Buffer
	now            time.Time
}

func newStage(t *testing.T, words ...string) *stage {
	t.Helper()
	opt, err := option.Parse(option.Input{Words: append(words, "src", "dst")})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{now: time.Date(2026, 11, 23, 7, 48, 5, 0, time.UTC)}
	clock := func() time.Time { return s.now }
	c := output.Config{Opt: opt, Out: &s.out, Err: &s.errs, Local: true, Now: clock}
	if opt.LogFile != "" {
		c.Log = output.NewLog(&s.log, 77, clock)
	}
	s.Printer = output.NewPrinter(c)
	return s
}

// play is a run with one of everything.
func (s *stage) play(t *testing.T) {
	t.Helper()
	transfer := func(e output.Event) {
		s.Item(&e, true)
		s.Item(&e, false)
	}
	s.Text(wire.CodeLog, "building file list")
	s.Text(wire.CodeClient, "sending incremental file list\n")
	s.Deleted("old/dir", tree.Meta{Kind: tree.Dir})
	s.Item(&output.Event{Meta: tree.Meta{Kind: tree.Dir}, Flags: wire.ItemTime}, false)
	transfer(output.Event{Path: "a\nb", Meta: tree.Meta{Kind: tree.File}, Flags: isNew, Sending: true, Bytes: 5})
	s.Item(&output.Event{Path: "same", Meta: tree.Meta{Kind: tree.File}}, false)
	s.Item(&output.Event{Path: "mode", Meta: tree.Meta{Kind: tree.File}, Flags: wire.ItemPerms}, false)
	s.Item(&output.Event{Path: "l", Target: "t", Meta: tree.Meta{Kind: tree.Symlink}, Flags: wire.ItemLocalChange | wire.ItemNew}, false)
	s.Item(&output.Event{Path: "b", Leader: "a", HasXname: true, Meta: tree.Meta{Kind: tree.File}, Flags: wire.ItemLocalChange | wire.ItemXnameFollows}, false)
	s.Text(wire.CodeInfo, "info: \x01")
	s.Text(wire.CodeWarning, "warning")
	s.Text(wire.CodeErrorXfer, "error")
	s.Text(wire.CodeClient, "\n")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAClientShows(t *testing.T) {
	for _, c := range []struct{ options, want string }{
		{"", "sending incremental file list|info: \\#001|"},
		{"-q", ""},
		{"-v", "sending incremental file list|deleting old/dir/|./|a\\#012b|l -> t|b => a|info: \\#001|"},
		{"-i", "sending incremental file list|*deleting   old/dir/|.d..T...... ./|>f+++++++++ a\\#012b|.f...p..... mode|cL+++++++++ l -> t|hf          b => a|info: \\#001|"},
		{"-ii", "sending incremental file list|*deleting   old/dir/|.d..T...... ./|>f+++++++++ a\\#012b|.f          same|.f...p..... mode|cL+++++++++ l -> t|hf          b => a|info: \\#001|"},
		{"-ivv", "sending incremental file list|*deleting   old/dir/|.d..T...... ./|>f+++++++++ a\\#012b|.f          same|.f...p..... mode|cL+++++++++ l -> t|hf          b => a|info: \\#001|"},
		{"--info=del", "sending incremental file list|deleting old/dir/|info: \\#001|"},
		{"--info=del0 -v", "sending incremental file list|deleting old/dir/|./|a\\#012b|l -> t|b => a|info: \\#001|"},
		{"--out-format=%o:%n", "sending incremental file list|del.:old/dir/|recv:./|send:a\\#012b|recv:l|recv:b|info: \\#001|"},
		{"--out-format=%b:%n", "sending incremental file list|deleting old/dir/|0:./|5:a\\#012b|0:l|0:b|info: \\#001|"},
		{"--out-format=", "sending incremental file list|deleting old/dir/|||||info: \\#001|"},
	} {
		s := newStage(t, strings.Fields(c.options)...)
		s.play(t)
		want := strings.ReplaceAll(c.want, "|", "\n")
		if want != "" {
			want += "\n"
		}
		if got := s.out.String(); got != want {
			t.Errorf("%s:\n got %q\nwant %q", c.options, got, want)
		}
		if got := s.errs.String(); got != "warning\nerror\n" {
			t.Errorf("%s: errors %q", c.options, got)
		}
	}
}

func TestWhatALogFileHas(t *testing.T) {
	for _, c := range []struct{ options, want string }{
		{"-q --log-file=f", "building file list|*deleting   old/dir/|.d..T...... ./|>f+++++++++ a\\#012b|cL+++++++++ l -> t|hf          b => a|info: \\#001|warning|error|"},
		{"-i --log-file=f", "building file list|*deleting   old/dir/|.d..T...... ./|>f+++++++++ a\\#012b|.f...p..... mode|cL+++++++++ l -> t|hf          b => a|info: \\#001|warning|error|"},
		{"--log-file=f --log-file-format=%n", "building file list|deleting old/dir/|./|a\\#012b|l|b|info: \\#001|warning|error|"},
		{"--log-file=f --log-file-format=", "building file list|deleting old/dir/|info: \\#001|warning|error|"},
		{"-n --log-file=f", "building file list|.d..T...... ./|cL+++++++++ l -> t|hf          b => a|info: \\#001|warning|error|"},
	} {
		s := newStage(t, strings.Fields(c.options)...)
		s.play(t)
		prefix := "2026/11/23 07:48:05 [77] "
		want := prefix + strings.TrimSuffix(strings.ReplaceAll(c.want, "|", "\n"+prefix), prefix)
		if got := s.log.String(); got != want {
			t.Errorf("%s:\n got %q\nwant %q", c.options, got, want)
		}
	}
}

func TestStderrTakesEverythingIfAsked(t *testing.T) {
	s := newStage(t, "-v", "--stderr=all")
	s.play(t)
	if s.out.Len() > 0 || !strings.Contains(s.errs.String(), "info: ") {
		t.Errorf("output %q, errors %q", s.out.String(), s.errs.String())
	}
}

func TestOutputIsHeldBackAsAsked(t *testing.T) {
	for words, held := range map[string]bool{"-v": true, "--outbuf=B": true, "--outbuf=L": false, "--outbuf=N": false} {
		s := newStage(t, words)
		s.Text(wire.CodeInfo, "line")
		if got := s.out.Len() == 0; got != held {
			t.Errorf("%s: held back is %v", words, got)
		}
		s.Text(wire.CodeError, "error")
		if s.out.String() != "line\n" {
			t.Errorf("%s: %q comes before the error", words, s.out.String())
		}
	}
}

func TestProgressOfFiles(t *testing.T) {
	s := newStage(t, "--progress")
	file := func(name tree.Path) *output.Event {
		return &output.Event{Path: name, Meta: tree.Meta{Kind: tree.File}, Flags: isNew, Sending: true}
	}
	p := output.Progress{Size: 60 << 20, Transferred: 1, Left: 1, All: 3, Incomplete: true}
	s.Item(file("big"), true)
	for range 3 {
		s.now = s.now.Add(500 * time.Millisecond)
		p.At += 5 << 20
		s.Progress(p, false)
	}
	s.now = s.now.Add(3 * time.Second)
	p.At = p.Size
	s.Progress(p, true)
	s.Item(file("empty"), true)
	s.Progress(output.Progress{Transferred: 2, Left: 0, All: 3}, true)
	s.Item(file("small"), true)
	s.Progress(output.Progress{At: 5, Size: 5, Transferred: 3, Left: 0, All: 3}, false)
	s.Progress(output.Progress{At: 5, Size: 5, Transferred: 3, Left: 0, All: 3}, true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := "big\n" +
		"\r      5,242,880   8%   10.00MB/s    0:00:05  " +
		"\r     15,728,640  25%   10.00MB/s    0:00:04  " +
		"\r     62,914,560 100%   13.33MB/s    0:00:04 (xfr#1, ir-chk=1/3)\n" +
		"empty\n\r              0 100%    0.00kB/s    0:00:00 (xfr#2, to-chk=0/3)\n" +
		"small\n\r              5 100%    0.00kB/s    0:00:00  \r              5 100%    0.00kB/s    0:00:00 (xfr#3, to-chk=0/3)\n"
	if got := s.out.String(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestProgressOfTheWholeTransfer(t *testing.T) {
	s := newStage(t, "-v", "--info=progress2")
	e := &output.Event{Path: "a", Meta: tree.Meta{Kind: tree.File}, Flags: isNew}
	s.Item(e, true)
	s.Progress(output.Progress{TotalAt: 5, TotalSize: 300005}, false)
	s.Progress(output.Progress{TotalAt: 5, TotalSize: 300005, Transferred: 1, Left: 2, All: 4}, true)
	s.Item(&output.Event{Path: "b", Meta: tree.Meta{Kind: tree.File}, Flags: isNew}, true)
	s.now = s.now.Add(time.Second)
	s.Progress(output.Progress{TotalAt: 300005, TotalSize: 300005, Transferred: 2, Left: 1, All: 4}, true)
	s.Text(wire.CodeClient, "\n")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := "a\n\r              5   0%    0.00kB/s    0:00:00  \r              5   0%    0.00kB/s    0:00:00 (xfr#1, to-chk=2/4)\n" +
		"b\n\r        300,005 100%  292.97kB/s    0:00:01 (xfr#2, to-chk=1/4)\n\n"
	if got := s.out.String(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestProgressOfNothing(t *testing.T) {
	s := newStage(t, "--info=progress2")
	s.Progress(output.Progress{}, true)
	s.Text(wire.CodeClient, "")
	s.Text(wire.CodeError, "rsync error")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := "\r              0 100%    0.00kB/s    0:00:00 (xfr#0, to-chk=0/0)\n"
	if got := s.out.String(); got != want || s.errs.String() != "rsync error\n" {
		t.Errorf("got %q\nwant %q\nand %q", got, want, s.errs.String())
	}
}

func TestALineInPiecesIsNotTornApart(t *testing.T) {
	s := newStage(t)
	s.Text(wire.CodeClient, "building file list ... ")
	s.Text(wire.CodeClient, "done\n")
	s.Text(wire.CodeClient, "building file list ... ")
	s.Text(wire.CodeInfo, "[sender] hiding x")
	s.Text(wire.CodeClient, "done\n")
	s.Text(wire.CodeClient, "0 files...\r")
	s.Text(wire.CodeError, "trouble")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := "building file list ... done\nbuilding file list ... \n[sender] hiding x\ndone\n0 files...\r"
	if got := s.out.String(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if got := s.errs.String(); got != "\ntrouble\n" {
		t.Errorf("errors %q", got)
	}
}

func TestAServerHasALogAlone(t *testing.T) {
	opt, err := option.Parse(option.Input{Words: []string{"--server", "-vvP", "--log-file=f", "--log-format=%i", ".", "x"}})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	now := func() time.Time { return time.Date(2026, 11, 23, 8, 23, 2, 0, time.UTC) }
	p := output.NewPrinter(output.Config{Opt: opt, Log: output.NewLog(&log, 7, now), Now: now})
	p.Text(wire.CodeLog, "receiving file list")
	p.Text(wire.CodeClient, "nobody reads this")
	p.Item(&output.Event{Path: "a", Meta: tree.Meta{Kind: tree.File}, Flags: isNew}, true)
	p.Item(&output.Event{Path: "b", Meta: tree.Meta{Kind: tree.File}, Flags: wire.ItemPerms}, false)
	p.Progress(output.Progress{}, true)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	want := "2026/11/23 08:23:02 [7] receiving file list\n2026/11/23 08:23:02 [7] >f+++++++++ a\n2026/11/23 08:23:02 [7] .f...p..... b\n"
	if log.String() != want {
		t.Errorf("got %q\nwant %q", log.String(), want)
	}
}

func TestReports(t *testing.T) {
	stats := output.Stats{
		Files: output.Counts{Reg: 4, Dir: 3, Link: 1, Special: 1}, Created: output.Counts{Reg: 1, Dir: 1},
		Deleted: output.Counts{}, Transferred: 2, TotalSize: 3000039, TransferredSize: 19, Literal: 19,
		ListBuild: time.Millisecond, Sent: 3001075, Received: 114, Elapsed: 1900 * time.Millisecond, Protocol: 32,
	}
	block := []string{"",
		"Number of files: 9 (reg: 4, dir: 3, link: 1, special: 1)",
		"Number of created files: 2 (reg: 1, dir: 1)",
		"Number of deleted files: 0",
		"Number of regular files transferred: 2",
		"Total file size: 3,000,039 bytes",
		"Total transferred file size: 19 bytes",
		"Literal data: 19 bytes",
		"Matched data: 0 bytes",
		"File list size: 0",
		"File list generation time: 0.001 seconds",
		"File list transfer time: 0.000 seconds",
		"Total bytes sent: 3,001,075",
		"Total bytes received: 114",
	}
	final := []string{"", "sent 3,001,075 bytes  received 114 bytes  2,000,792.67 bytes/sec", "total size is 3,000,039  speedup is 1.00"}
	for _, c := range []struct {
		words string
		want  []string
	}{
		{"-a", nil},
		{"-v", final},
		{"--stats", append(slices.Clone(block), final...)},
		{"-v --info=stats0", nil},
		{"-vn", []string{"", final[1], final[2] + " (DRY RUN)"}},
		{"-v --only-write-batch=f", []string{"", final[1], final[2] + " (BATCH ONLY)"}},
		{"-vh", []string{"", "sent 3.00M bytes  received 114 bytes  2.00M bytes/sec", "total size is 3.00M  speedup is 1.00"}},
		{"-v --no-h", []string{"", "sent 3001075 bytes  received 114 bytes  2000792.67 bytes/sec", "total size is 3000039  speedup is 1.00"}},
	} {
		opt, err := option.Parse(option.Input{Words: append(strings.Fields(c.words), "a", "b")})
		if err != nil {
			t.Fatal(err)
		}
		if got := stats.Lines(opt); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.words, got, c.want)
		}
	}
	if got, want := stats.LogLine(), "sent 3001075 bytes  received 114 bytes  total size 3000039"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	old, _ := option.Parse(option.Input{Words: []string{"--stats", "a", "b"}})
	stats.Protocol, stats.ListBuild = 28, 0
	if got := stats.Lines(old); len(got) != len(block)-4+len(final) {
		t.Errorf("at protocol 28: %q", got)
	}
}
