package generator_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
)

// decision is one row: a source and a destination, options, and what the
// generator writes from protocol 29 on, DONEs left out.
type decision struct {
	name      string
	src, dst  []string
	words     string
	want      []string // items
	said      []string // messages
	olderSaid []string // messages that servers below protocol 29 say in addition
	older     []string // requests below protocol 29; those of want if nil
	after     func(t *testing.T, dst string)
}

var decisions = []decision{
	{
		name: "a new file is asked for whole",
		src:  []string{"a x"}, words: "-a",
		want: []string{"a000 >f+++++++++ a"},
	},
	{
		name: "an unchanged file is passed over in silence",
		src:  []string{"a x"}, dst: []string{"a x"}, words: "-a",
	},
	{
		name: "at -ii it is reported",
		src:  []string{"a x"}, dst: []string{"a x"}, words: "-aii",
		want: []string{"0000 .d          .", "0000 .f          a"},
	},
	{
		name: "another size means another content",
		src:  []string{"a xyz"}, dst: []string{"a x"}, words: "-a --no-W",
		want: []string{"8004 >f.s....... a sums 1*700/1 s2 2"},
	},
	{
		name: "another time is enough",
		src:  []string{"a x"}, dst: []string{"a y"}, words: "-a",
		after: func(t *testing.T, dst string) {
			setTime(t, dst, then)
			setTime(t, filepath.Join(dst, "a"), then.Add(time.Hour))
		},
		want: []string{"8008 >f..t...... a sums 1*700/1 s2 2"},
	},
	{
		name: "with --size-only it is not, and the time is put right",
		src:  []string{"a x"}, dst: []string{"a y"}, words: "-a --size-only",
		after: func(t *testing.T, dst string) { setTime(t, filepath.Join(dst, "a"), then.Add(time.Hour)) },
		want:  []string{"0008 .f..t...... a"}, older: []string{},
	},
	{
		name: "-I asks for everything",
		src:  []string{"a x"}, dst: []string{"a x"}, words: "-aI",
		want: []string{"8000 >f......... a sums 1*700/1 s2 2"},
	},
	{
		name: "-c compares contents",
		src:  []string{"a x", "b x"}, dst: []string{"a y", "b x"}, words: "-ac",
		want: []string{"8002 >fc........ a sums 1*700/1 s2 2"},
	},
	{
		name: "a symlink is made on the spot",
		src:  []string{"l -> x"}, words: "-a",
		want: []string{"6002 cL+++++++++ l"}, older: []string{},
	},
	{
		name: "a symlink that points elsewhere is replaced",
		src:  []string{"l -> x"}, dst: []string{"l -> y"}, words: "-a",
		want: []string{"4002 cLc........ l"}, older: []string{},
	},
	{
		name: "a directory is made and named by its own list",
		src:  []string{"d/", "d/e/"}, words: "-a",
		want: []string{"6000 cd+++++++++ d", "6000 cd+++++++++ d/e"}, older: []string{},
	},
	{
		name: "a file makes way for a directory",
		src:  []string{"d/f x"}, dst: []string{"d y"}, words: "-a",
		want: []string{"6000 cd+++++++++ d", "a000 >f+++++++++ d/f"}, older: []string{"8000 >f......... d/f"},
	},
	{
		name: "an empty directory makes way for a file",
		src:  []string{"d x"}, dst: []string{"d/"}, words: "-a",
		want: []string{"a000 >f+++++++++ d"},
	},
	{
		name: "a full one does not",
		src:  []string{"d x"}, dst: []string{"d/f y"}, words: "-a",
		said: []string{"INFO: cannot delete non-empty directory: d", "ERROR_XFER: could not make way for new regular file: d"},
	},
	{
		name: "--existing makes nothing",
		src:  []string{"a x", "d/f y"}, words: "-a --existing --info=skip",
		said: []string{`INFO: not creating new file "a"`, `INFO: not creating new directory "d"`},
	},
	{
		name: "--ignore-existing changes nothing",
		src:  []string{"a xyz"}, dst: []string{"a x"}, words: "-a --ignore-existing --info=skip2",
		said: []string{"INFO: a exists (file change)"},
	},
	{
		name: "--max-size and --min-size are limits",
		src:  []string{"big xxxx", "fits xx", "small x"}, words: "-a --max-size=3 --min-size=2 --info=skip",
		want: []string{"a000 >f+++++++++ fits"},
		said: []string{"INFO: big is over max-size", "INFO: small is under min-size"},
	},
	{
		name: "-u leaves what is newer",
		src:  []string{"new x", "same x"}, dst: []string{"new yy", "same yy"}, words: "-au --info=skip",
		after: func(t *testing.T, dst string) { setTime(t, filepath.Join(dst, "new"), then.Add(time.Second)) },
		want:  []string{"8004 >f.s....... same sums 1*700/2 s2 2"},
		said:  []string{"INFO: new is newer"},
	},
	{
		name: "without -l a symlink is no regular file",
		src:  []string{"l -> x"}, words: "-rt",
		said: []string{`INFO: skipping non-regular file "l"`},
	},
	{
		name: "--safe-links leaves out what leads away",
		src:  []string{"in -> x", "out -> ../x"}, words: "-a --safe-links --info=name",
		want: []string{"6002 cL+++++++++ in"}, older: []string{},
		said:      []string{`INFO: ignoring unsafe symlink "out" -> "../x"`},
		olderSaid: []string{"INFO: in -> x"},
	},
	{
		name: "-n asks without sums",
		src:  []string{"a xyz", "d/b x"}, dst: []string{"a x"}, words: "-an --no-W",
		want:  []string{"8004 >f.s....... a", "6000 cd+++++++++ d", "a000 >f+++++++++ d/b"},
		older: []string{"8000 >f......... a", "8000 >f......... d/b"},
	},
	{
		name: "--append sends the head only",
		src:  []string{"a xyz", "b x"}, dst: []string{"a x", "b yy"}, words: "-a --append",
		want: []string{"8004 >f.s....... a sums 1*700/1 s2 2"},
	},
	{
		name: "-B sets the length of blocks",
		src:  []string{"a xxxxxxxxxx"}, dst: []string{"a xxxxxxx"}, words: "-a --no-W -B3",
		want: []string{"8004 >f.s....... a sums 3*3/1 s2 2"},
	},
	{
		name: "--inplace --backup takes the backup as the basis",
		src:  []string{"a xyz"}, dst: []string{"a x"}, words: "-ab --inplace --no-W",
		want: []string{"8804 >f.s....... a basis 0x82 sums 1*700/1 s2 2"},
	},
	{
		name: "a partial file is the basis",
		src:  []string{"a xyz", "b xyz"}, dst: []string{"a x", ".p/a xy", ".p/b xy"}, words: "-a --no-W --partial-dir=.p --exclude=.p",
		want: []string{"8804 >f.s....... a basis 0x81 sums 1*700/2 s2 2", "a800 >f+++++++++ b basis 0x81 sums 1*700/2 s2 2"},
	},
	{
		name: "a file like it serves a new one",
		src:  []string{"report-2.txt xyz"}, dst: []string{"report-1.txt xy", "other q"}, words: "-a --no-W -y",
		want: []string{`b800 >f+++++++++ report-2.txt basis 0x83 xname "report-1.txt" sums 1*700/2 s2 2`}, older: []string{"8000 >f......... report-2.txt"},
	},
	{
		name: "one that was asked for itself does not",
		src:  []string{"report-1.txt xyz", "report-2.txt xyz"}, dst: []string{"report-1.txt xy"}, words: "-a --no-W -y",
		want: []string{"8004 >f.s....... report-1.txt sums 1*700/2 s2 2", "a000 >f+++++++++ report-2.txt"},
	},
}

func TestDecisions(t *testing.T) {
	for _, v := range []struct {
		name     string
		protocol int
		inc      bool
	}{{"27", 27, false}, {"28", 28, false}, {"29", 29, false}, {"30", 30, false}, {"31", 31, false}, {"32", 32, false}, {"30 incremental", 30, true}, {"32 incremental", 32, true}} {
		t.Run("protocol "+v.name, func(t *testing.T) {
			for _, row := range decisions {
				t.Run(row.name, func(t *testing.T) {
					r := newRig(t, v.protocol, strings.Fields(row.words)...)
					r.inc, r.server = v.inc, true
					plant(t, r.src, row.src...)
					plant(t, r.dst, row.dst...)
					if row.after != nil {
						row.after(t, r.dst)
					}
					r.run()
					want := row.want
					switch {
					case v.protocol >= 29:
					case row.older != nil:
						want = row.older
					default:
						want = older(row.want)
					}
					equal(t, "items", items(r.log), want...)
					said := row.said
					if v.protocol < 29 {
						said = append(slices.Clone(row.olderSaid), said...)
					}
					equal(t, "messages", r.said, said...)
				})
			}
		})
	}
}

// items are the reports and requests of a log.
func items(log []string) []string {
	return slices.DeleteFunc(slices.Clone(log), func(l string) bool {
		return l == "DONE" || strings.HasPrefix(l, "del-stats") || strings.HasPrefix(l, "success ")
	})
}

// older is what remains of requests below protocol 29: the index and the sums.
func older(lines []string) []string {
	var all []string
	for _, l := range lines {
		name, sums, summed := strings.Cut(l[17:], " sums ")
		name, _, _ = strings.Cut(name, " basis ")
		if l[0] < '8' {
			continue
		}
		line := "8000 >f......... " + name
		if summed {
			line += " sums " + sums
		}
		all = append(all, line)
	}
	return all
}

func TestOldServersSayWhatTheyMake(t *testing.T) {
	r := newRig(t, 28, "-aHv")
	r.server = true
	plant(t, r.src, "a x", "l -> a", "h = a", "d/")
	check(t, os.Mkdir(filepath.Join(r.dst, "d"), 0o755))
	r.run()
	equal(t, "messages", r.said, "INFO: ./", "INFO: d/", "INFO: l -> a", "INFO: a => h")
}

func TestOldClientsShowItThemselves(t *testing.T) {
	r := newRig(t, 28, "-aHi")
	plant(t, r.src, "a x", "l -> a", "h = a", "d/")
	r.run()
	equal(t, "messages", r.said, "item: .d..t...... ", "item: cd+++++++++ d", "item: cL+++++++++ l", "item: hf+++++++++ a")
}

func TestTheDaemonsFilterIsObeyed(t *testing.T) {
	for _, inc := range []bool{false, true} {
		r := newRig(t, 31, "-a", "--delete")
		r.inc = inc
		r.refused = func(p tree.Path, dir bool) bool { return strings.Contains(string(p), "no") }
		plant(t, r.src, "no x", "yes x", "nodir/f x")
		plant(t, r.dst, "no2 x", "maybe/no3 x")
		r.run()
		equal(t, "messages", r.said,
			"INFO: cannot delete non-empty directory: maybe",
			`ERROR_XFER: ERROR: daemon refused to receive file "no"`,
			`ERROR_XFER: ERROR: daemon refused to receive directory "nodir"`,
			"ERROR_XFER: *** Skipping any contents from this failed directory ***")
		equal(t, "tree", shape(t, r.dst), "maybe/", "maybe/no3 x", "no2 x", "yes x")
	}
}

func TestMissingArgumentsAreRemoved(t *testing.T) {
	r := newRig(t, 31, "-a", "--delete-missing-args")
	plant(t, r.src, "a x")
	plant(t, r.dst, "gone y", "full/f y", "kept y", "empty/")
	r.filters = []string{"P kept"}
	r.opt = parse(t, r.words)
	r.lists = r.listing()
	l := r.lists[0]
	for _, name := range []tree.Path{"empty", "full", "gone", "kept", "never"} {
		f := *l.Files[0]
		f.Path, f.Gone, f.Content, f.Top, f.Meta = name, true, false, false, flist.Meta{}
		l.Files = append(l.Files, &f)
	}
	number(l, 0)
	r.run()
	equal(t, "messages", r.said, "deleted: empty/", "INFO: cannot delete non-empty directory: full", "deleted: gone")
	equal(t, "tree", shape(t, r.dst), "a x", "full/", "full/f y", "kept y")
}

func TestImpliedDirectoriesAreMadePlain(t *testing.T) {
	for _, inc := range []bool{false, true} {
		r := newRig(t, 31, "-aR", "--no-implied-dirs")
		r.inc = inc
		plant(t, r.src, "p/q/f x")
		check(t, os.Chmod(filepath.Join(r.src, "p"), 0o700))
		r.opt = parse(t, r.words)
		r.lists = r.listing()
		for _, l := range r.lists {
			for _, f := range l.Files {
				if f.Path == "p" || f.Path == "p/q" {
					f.Implied, f.Content, f.Top = true, false, false
				}
			}
		}
		r.run()
		equal(t, "items", items(r.log), "0008 .d..t...... .", "a000 >f+++++++++ p/q/f")
		info, err := os.Stat(filepath.Join(r.dst, "p"))
		check(t, err)
		if info.Mode().Perm() != 0o755 || info.ModTime().Equal(then) {
			t.Errorf("%v %v", info.Mode(), info.ModTime())
		}
	}
}

func TestAnEntryWithoutItsDirectoryEndsTheRun(t *testing.T) {
	r := newRig(t, 31, "-a")
	plant(t, r.src, "d/f x")
	r.opt = parse(t, r.words)
	r.lists = r.listing()
	l := r.lists[0]
	l.Files = slices.DeleteFunc(l.Files, func(f *flistFile) bool { return f.Path == "d" })
	number(l, 0)
	r.start()
	if r.err == nil || !strings.Contains(r.err.Error(), "ABORTING due to invalid path from sender: d/f") {
		t.Fatalf("error %v", r.err)
	}
}

func TestListOnlyPrintsAndAsksForNothing(t *testing.T) {
	t.Setenv("TZ", "UTC")
	for _, inc := range []bool{false, true} {
		r := newRig(t, 31, "-a", "--list-only")
		r.inc = inc
		plant(t, r.src, "a xyz", "l -> a", "d/b x")
		r.run()
		equal(t, "items", items(r.log))
		var names []string
		for _, l := range r.said {
			words := strings.Fields(l)
			names = append(names, words[len(words)-1])
		}
		equal(t, "lines", names, ".", "a", "a", "d", "d/b") // the second a is l's target
		equal(t, "tree", shape(t, r.dst))
	}
}

func TestSourcesAreReportedForRemoval(t *testing.T) {
	t.Run("all that is in place", func(t *testing.T) {
		r := newRig(t, 31, "-aH", "--remove-source-files")
		plant(t, r.src, "a x", "b y", "h = b", "l -> a", "same z", "d/")
		plant(t, r.dst, "same z")
		r.run()
		equal(t, "reports", only(r.log, "success "), "l", "same", "a", "h", "b")
	})
	t.Run("with the old option only what was sent", func(t *testing.T) {
		r := newRig(t, 31, "-a", "--remove-sent-files")
		plant(t, r.src, "a x", "l -> a", "same z")
		plant(t, r.dst, "same z")
		r.run()
		equal(t, "reports", only(r.log, "success "), "l", "a")
	})
	t.Run("nothing in a dry run", func(t *testing.T) {
		r := newRig(t, 31, "-an", "--remove-source-files")
		plant(t, r.src, "a x", "l -> a")
		r.run()
		equal(t, "reports", only(r.log, "success "))
	})
}

func TestRemovalKeepsFewRequestsUnderWay(t *testing.T) {
	for _, row := range []struct {
		name    string
		content string
		most    int
	}{{"small files", "x", 50}, {"large files", strings.Repeat("x", 20_000), 10}} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, 31, "-a", "--remove-source-files")
			var files []string
			for i := range 70 {
				files = append(files, string(rune('a'+i/26))+string(rune('a'+i%26))+" "+row.content)
			}
			plant(t, r.src, files...)
			most := 0
			r.fate = func(string, int) dest.NoteKind { return later }
			r.stalled = func() error {
				if len(r.queue) > 0 {
					synctest.Wait() // until the generator waits as well
					most = max(most, len(r.queue))
					r.release()
				}
				return nil
			}
			synctest.Test(t, func(t *testing.T) { r.t = t; r.run() })
			if most != row.most {
				t.Errorf("%d requests under way, want %d", most, row.most)
			}
			same(t, r.src, r.dst)
		})
	}
}

func TestUpToDateIsSaidWhereItIsNotItemised(t *testing.T) {
	r := newRig(t, 31, "-avv")
	r.server = true
	plant(t, r.src, "a x", "b y")
	plant(t, r.dst, "a x", "b y")
	check(t, os.Chmod(filepath.Join(r.dst, "b"), 0o600))
	r.run()
	equal(t, "messages", r.said, "INFO: delta-transmission enabled", "INFO: a is uptodate", "INFO: b")
	r = newRig(t, 31, "-avvi")
	r.server = true
	plant(t, r.src, "a x")
	plant(t, r.dst, "a x")
	r.run()
	equal(t, "messages", r.said, "INFO: delta-transmission enabled")
}
