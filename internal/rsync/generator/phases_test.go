package generator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/generator"
	"lockstep/internal/rsync/wire"
)

// brief shortens a log to one word a line: names of what is asked for, of what
// is reported with a dot before, DONEs as D.
func brief(log []string) string {
	var words []string
	for _, l := range log {
		switch {
		case l == "DONE":
			words = append(words, "D")
		case strings.HasPrefix(l, "del-stats"):
			words = append(words, strings.ReplaceAll(l, " ", ":"))
		case strings.HasPrefix(l, "success"):
		default:
			name, _, _ := strings.Cut(l[17:], " ")
			if l[0] < '8' {
				name = "." + name
			}
			words = append(words, name)
		}
	}
	return strings.Join(words, " ")
}

func TestPhases(t *testing.T) {
	for _, row := range []struct {
		name, words string
		want        map[string]string // by protocol
	}{
		{"plain", "-rl", map[string]string{
			"27": "a d/b D D D", "28": "a d/b D D D", "29": "a .d d/b D D D D", "30": "a .d d/b D D D D", "31": "a .d d/b D D D D D", "32": "a .d d/b D D D D D",
			"30i": "a .d d/b D D D D D", "31i": "a .d d/b D D D D D D", "32i": "a .d d/b D D D D D D",
		}},
		{"--delete", "-rl --delete", map[string]string{
			"28": "a d/b D D D", "29": "a .d d/b D D D D", "30": "a .d d/b D D D D", "31": "a .d d/b D D D del-stats:1:2:0:0:0 D D",
			"32i": "a .d d/b D D D D del-stats:1:2:0:0:0 D D",
		}},
		{"--delete-before", "-rl --delete-before", map[string]string{
			"28": "a d/b D D D", "31": "a .d d/b D D D del-stats:1:2:0:0:0 D D",
		}},
		{"--delete-after", "-rl --delete-after", map[string]string{
			"28": "a d/b D D D", "30": "a .d d/b D D D D", "31": "a .d d/b D D D del-stats:1:2:0:0:0 D D",
		}},
		{"--delete-delay", "-rl --delete-delay", map[string]string{
			"28": "a d/b D D D", "30": "a .d d/b D D D D", "31": "a .d d/b D D D del-stats:1:2:0:0:0 D D", "32i": "a .d d/b D D D D del-stats:1:2:0:0:0 D D",
		}},
		{"--force alone", "-rl --force", map[string]string{"31": "a .d d/b D D D del-stats:0:0:0:0:0 D D"}},
		{"--delay-updates", "-rl --delay-updates", map[string]string{
			"28": "a d/b D D D", "29": "a .d d/b D D D D", "31": "a .d d/b D D D D D",
		}},
		{"--delay-updates --delete", "-rl --delay-updates --delete", map[string]string{"31": "a .d d/b D D del-stats:1:2:0:0:0 D D D"}},
		{"--delay-updates --delete-after", "-rl --delay-updates --delete-after", map[string]string{"31": "a .d d/b D D D del-stats:1:2:0:0:0 D D"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for v, want := range row.want {
				t.Run(v, func(t *testing.T) {
					r := variantRig(t, v, row.words)
					plant(t, r.src, "a x", "d/b y")
					plant(t, r.dst, "old/old z", "old2/")
					r.run()
					if got := brief(r.log); got != want {
						t.Errorf("got  %s\nwant %s", got, want)
					}
					if strings.Contains(row.words, "--delete") && !slices.ContainsFunc(shape(t, r.dst), func(l string) bool { return strings.HasPrefix(l, "old") }) {
						same(t, r.src, r.dst)
						equal(t, "deletions", only(r.said, "deleted: "), "old2/", "old/old", "old/")
						if d := r.result.Deleted; d.Reg != 1 || d.Dir != 2 {
							t.Errorf("result %+v", d)
						}
					} else if strings.Contains(row.words, "--delete") {
						t.Error("not deleted")
					}
				})
			}
		})
	}
}

// variantRig is a rig for a protocol, with an i for incremental lists.
func variantRig(t *testing.T, variant, words string) *rig {
	t.Helper()
	digits, inc := strings.CutSuffix(variant, "i")
	var protocol int
	if _, err := fmt.Sscan(digits, &protocol); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, protocol, strings.Fields(words)...)
	r.inc, r.server = inc, true
	return r
}

func TestWhatArrivesDamagedIsAskedForAgain(t *testing.T) {
	for v, want := range map[string]string{
		"27": "a b D a D D", "29": "a b D a D D D", "31": "a b D a D D D D",
		"31i": "a b a D D D D D", "32i": "a b a D D D D D",
	} {
		t.Run(v, func(t *testing.T) {
			r := variantRig(t, v, "-rl")
			plant(t, r.src, "a xyz", "b xyz")
			plant(t, r.dst, "a x")
			r.fate = func(name string, try int) dest.NoteKind {
				if name == "a" && try == 1 {
					return dest.Redo
				}
				return dest.Installed
			}
			r.run()
			if got := brief(r.log); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			again := r.log[slices.IndexFunc(r.log, func(l string) bool { return strings.HasSuffix(l, "s2 16") })]
			if !strings.Contains(again, " a sums 1*700/1") {
				t.Errorf("second request %q", again)
			}
			same(t, r.src, r.dst)
		})
	}
}

func TestASecondFailureIsFinal(t *testing.T) {
	for _, v := range []string{"29", "31", "31i"} {
		for _, kind := range []dest.NoteKind{dest.Redo, dest.Failed, dest.NotSent} {
			r := variantRig(t, v, "-rl")
			plant(t, r.src, "a xyz")
			r.fate = func(_ string, try int) dest.NoteKind {
				if try == 1 {
					return dest.Redo
				}
				return kind
			}
			r.run()
			if r.tries["a"] != 2 {
				t.Errorf("%s: asked for %d times", v, r.tries["a"])
			}
		}
	}
}

func TestARedoIgnoresWhatWouldLeaveTheFileOut(t *testing.T) {
	r := newRig(t, 31, "-a", "--no-W", "-u", "--max-size=3", "--ignore-existing")
	plant(t, r.src, "a xyz")
	r.fate = func(name string, try int) dest.NoteKind {
		if try == 1 {
			plant(t, r.dst, "a xyz") // retained, and newer
			return dest.Redo
		}
		return dest.Installed
	}
	r.run()
	equal(t, "items", items(r.log), "0008 .d..t...... .", "a000 >f+++++++++ a", "8000 >f......... a sums 1*700/3 s2 16")
}

// TestLinksOfLateLeadersAreReportedInTime wants no report after the last DONE of
// the phases: rsync 3.5.0 dies of one.
func TestLinksOfLateLeadersAreReportedInTime(t *testing.T) {
	late := func(_ string, try int) dest.NoteKind {
		if try == 1 {
			return dest.Redo
		}
		return dest.Installed
	}
	gone := func(name string, _ int) dest.NoteKind {
		if name == "c" {
			return dest.NotSent
		}
		return dest.Installed
	}
	for _, row := range []struct {
		name string
		fate func(string, int) dest.NoteKind
		want map[string]string
	}{
		{"a redo", late, map[string]string{
			"28": "c D c D D", "29": "c D c D .b .a D D", "30": "c D c .b .a D D D", "31": "c D c .b .a D D D D", "31i": "c c .b .a D D D D D",
		}},
		{"a leader that is not sent", gone, map[string]string{
			"30": "c D b .a D D D", "31": "c D b .a D D D D", "31i": "c b .a D D D D D",
		}},
	} {
		for v, want := range row.want {
			t.Run(row.name+" "+v, func(t *testing.T) {
				r := variantRig(t, v, "-rlH")
				plant(t, r.src, "a x", "b = a", "c = a")
				// Notes come when the list is done, as with a slow sender.
				r.fate = row.fate
				r.run()
				if got := brief(r.log); got != want && got != strings.Replace(want, "c D b .a", "c b .a D", 1) {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				if row.name == "a redo" {
					same(t, r.src, r.dst)
				}
			})
		}
	}
}

func TestFilesThatAreNeverAnsweredDoNotHoldTheRunUp(t *testing.T) {
	for _, v := range []string{"27", "29"} {
		r := variantRig(t, v, "-rlH")
		plant(t, r.src, "a x", "b = a", "z q")
		r.fate = func(name string, _ int) dest.NoteKind {
			if name == "b" {
				return silent
			}
			return dest.Installed
		}
		r.run()
		equal(t, "tree", shape(t, r.dst), "z q")
	}
}

// TestBytesOfTheSpecification replays the transcripts of rsync-transfer 1.8 and
// 3.6b.
func TestBytesOfTheSpecification(t *testing.T) {
	t.Run("a pull with four lists", func(t *testing.T) {
		r := newRig(t, 31, "-rl")
		r.inc = true
		plant(t, r.src, "a 1", "b 1", "c/d/f x", "c/g/h y", "i z")
		plant(t, r.dst, "a 1", "b 1", "i z")
		for _, name := range []string{"a", "b", "i"} {
			setTime(t, filepath.Join(r.src, name), then)
			setTime(t, filepath.Join(r.dst, name), then)
		}
		r.words = append(r.words, "--size-only")
		got := r.bytes(t)
		want := "07 0060" + // item report: index 6, IS_NEW|LOCAL_CHANGE, directory c
			"00" + // the first list, once an entry of the next one was gone through
			"03 0060" + // c/d: index 9
			"01 00a0" + strings.Repeat("00", 16) + // c/d/f: TRANSFER|IS_NEW, an empty sum head
			"00" + // the list of c
			"01 0060" + // c/g
			"01 00a0" + strings.Repeat("00", 16) +
			"0000" + // the lists of c/d and c/g
			"000000" + // D1 D2 D3
			"00" // goodbye
		if got != strings.ReplaceAll(want, " ", "") {
			t.Errorf("got  %s\nwant %s", got, strings.ReplaceAll(want, " ", ""))
		}
	})
	for _, row := range []struct {
		protocol int
		xfer     checksum.Algo
		want     string
	}{
		{31, checksum.MD5, "01 0c80 03000000 bc020000 02000000 0a000000 bcb1e657 23ee 78b44c16 687f 9e02650e c92a 00 000000 00"},
		{29, checksum.MD4Old, "00000000 0c80 03000000 bc020000 02000000 0a000000 bcb1e657 be4d 78b44c16 522a 9e02650e 1991 ffffffff ffffffff ffffffff ffffffff"},
	} {
		t.Run(fmt.Sprint("the transcript of one file at protocol ", row.protocol), func(t *testing.T) {
			r := newRig(t, row.protocol, "-t", "--no-W")
			old := strings.Repeat("A", 700) + strings.Repeat("B", 700) + strings.Repeat("C", 10)
			plant(t, r.src, "f "+old[:700]+"xyz"+old[700:])
			check(t, os.WriteFile(filepath.Join(r.dst, "f"), []byte(old), 0o644))
			r.xfer, r.seed = row.xfer, 1
			r.opt = parse(t, r.words)
			r.lists = r.listing()
			r.lists[0].Files = r.lists[0].Files[1:] // only the file
			number(r.lists[0], 0)
			if got, want := r.bytes(t), strings.ReplaceAll(row.want, " ", ""); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// bytes is what the generator writes if everything is answered beforehand.
func (r *rig) bytes(t *testing.T) string {
	t.Helper()
	r.opt = parse(t, r.words)
	if r.lists == nil {
		r.lists = r.listing()
	}
	d, err := dest.Open(dest.Params{Opt: r.opt, Protocol: r.protocol, Talk: r}, r.dst, dest.List{Entries: 2, First: r.lists[0].Files[0]})
	check(t, err)
	defer d.Close()
	lists, notes := flist.NewLists(), dest.NewNotes()
	for _, l := range r.lists {
		lists.Add(l)
	}
	lists.End(nil)
	done := make(chan struct{})
	var out bytes.Buffer
	w := wire.NewWriter(writerFunc(func(p []byte) (int, error) {
		// Everything is answered once the generator waits for the first time.
		select {
		case <-done:
		default:
			close(done)
			for _, l := range r.lists {
				for _, f := range l.Files {
					notes.Put(dest.Note{Kind: dest.Installed, Index: f.Index})
				}
			}
			for range len(r.lists) + 2 {
				notes.Put(dest.Note{Kind: dest.PhaseDone})
			}
			notes.Put(dest.Note{Kind: dest.Ended})
		}
		return out.Write(p)
	}))
	p := generator.Params{Opt: r.opt, Protocol: r.protocol, Seed: r.seed, Xfer: r.xfer}
	if r.inc {
		p.Compat = wire.IncRecurse
	}
	p.Compat |= wire.ChecksumSeedFix
	if _, err := generator.Run(t.Context(), w, p, d.As("generator"), lists, notes, r); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", out.Bytes())
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestTheEndOfTheContextEndsTheRun(t *testing.T) {
	why := errors.New("somebody pulled the plug")
	for _, row := range []struct {
		name  string
		lists bool
	}{{"while it waits for lists", false}, {"while it waits for notes", true}} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, 31, "-a")
			r.inc = true
			plant(t, r.src, "a x")
			r.opt = parse(t, r.words)
			d, err := dest.Open(dest.Params{Opt: r.opt, Protocol: 31, Talk: r}, r.dst, dest.List{Entries: 2})
			check(t, err)
			defer d.Close()
			lists := flist.NewLists()
			for _, l := range r.listing() {
				lists.Add(l)
			}
			if row.lists {
				lists.End(nil)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			flushed := make(chan struct{}, 100)
			w := wire.NewWriter(writerFunc(func(p []byte) (int, error) { flushed <- struct{}{}; return len(p), nil }))
			ended := make(chan error, 1)
			go func() {
				p := generator.Params{Opt: r.opt, Protocol: 31, Compat: wire.IncRecurse, Xfer: checksum.MD5}
				_, err := generator.Run(ctx, w, p, d, lists, dest.NewNotes(), r)
				ended <- err
			}()
			<-flushed
			cancel(why)
			if err := <-ended; !errors.Is(err, why) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestFailuresEndTheRun(t *testing.T) {
	broken := errors.New("broken")
	t.Run("of the lists", func(t *testing.T) {
		r := newRig(t, 31, "-a")
		r.inc = true
		r.opt = parse(t, r.words)
		d, err := dest.Open(dest.Params{Opt: r.opt, Protocol: 31, Talk: r}, r.dst, dest.List{Entries: 2})
		check(t, err)
		defer d.Close()
		lists := flist.NewLists()
		lists.Add(r.listing()[0])
		lists.End(broken)
		_, err = generator.Run(t.Context(), wire.NewWriter(io.Discard), generator.Params{Opt: r.opt, Protocol: 31, Compat: wire.IncRecurse, Xfer: checksum.MD5}, d, lists, dest.NewNotes(), r)
		if !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("of the stream", func(t *testing.T) {
		r := newRig(t, 31, "-a")
		plant(t, r.src, "a x")
		r.opt = parse(t, r.words)
		d, err := dest.Open(dest.Params{Opt: r.opt, Protocol: 31, Talk: r}, r.dst, dest.List{Entries: 2})
		check(t, err)
		defer d.Close()
		lists := flist.NewLists()
		lists.Add(r.listing()[0])
		w := wire.NewWriter(writerFunc(func([]byte) (int, error) { return 0, broken }))
		_, err = generator.Run(t.Context(), w, generator.Params{Opt: r.opt, Protocol: 31, Xfer: checksum.MD5}, d, lists, dest.NewNotes(), r)
		if !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
}
