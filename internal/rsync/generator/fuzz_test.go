package generator_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/dest"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/generator"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// script turns bytes into lists and notes.
type script []byte

func (s *script) next() byte {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return b
}

func (s *script) pick(n int) int { return int(s.next()) % n }

var fuzzOptions = []string{
	"-aH", "-aHn", "-a --delete", "-aH --delete-delay", "-aHy --no-W", "-rlHR --no-implied-dirs", "-aH --delay-updates --delete",
	"-aH --ignore-existing --existing", "-ab --delete --force", "-aH --remove-source-files", "-aHc", "-aK --delete-missing-args", "-aHii --append",
}

// file makes an entry with a name of a small pool, so that names meet.
func (s *script) file(dir tree.Path, groups []*flist.LinkGroup, dirs *[]*flist.File) *flist.File {
	f := &flist.File{Path: dir.Join(string(rune('a' + s.pick(5))))}
	kinds := []tree.Kind{tree.File, tree.File, tree.File, tree.Dir, tree.Dir, tree.Symlink, tree.Fifo, tree.CharDevice}
	f.Meta = flist.MetaOf(tree.Meta{Kind: kinds[s.pick(len(kinds))], Perm: 0o700, Size: int64(s.pick(4)), Mtime: tree.Time{Sec: int64(s.pick(3))}})
	flags := s.next()
	f.Dup, f.Gone = flags&15 == 15, flags&31 == 16
	switch f.Meta.Kind {
	case tree.Dir:
		f.Content, f.Top, f.Implied = flags&1 == 0, flags&2 != 0, flags&4 != 0
		*dirs = append(*dirs, f)
	case tree.Symlink:
		f.Own().Target = []string{"a", "../b", "/c", "a/b"}[s.pick(4)]
	}
	if f.Meta.Kind != tree.Dir && flags&64 != 0 {
		f.Own().Group = groups[s.pick(len(groups))]
	}
	return f
}

// lists makes the lists of a session.
func (s *script) lists(inc bool) []*flist.Received {
	groups := []*flist.LinkGroup{{}, {}}
	top := &flist.File{Meta: flist.Meta{Kind: tree.Dir, Perm: 0o755}, Content: true, Top: true}
	dirs := []*flist.File{}
	first := &flist.Received{Number: 1, Files: []*flist.File{top}}
	fill := func(l *flist.Received, dir tree.Path) {
		for range s.pick(8) {
			l.Files = append(l.Files, s.file(dir, groups, &dirs))
		}
	}
	fill(first, tree.Root)
	if !inc {
		for i := 0; i < len(dirs) && len(first.Files) < 60; i++ {
			if s.pick(8) == 7 {
				fill(first, "elsewhere")
			}
			fill(first, dirs[i].Path)
		}
		number(first, 0)
		return []*flist.Received{first}
	}
	first.Dir = top
	number(first, 1)
	all := []*flist.Received{first}
	for i := 0; i < len(dirs) && len(all) < 12; i++ {
		if dirs[i].Dup {
			continue
		}
		last := all[len(all)-1]
		l := &flist.Received{Number: last.Number + 1, Dir: dirs[i], IOError: int32(s.pick(20) / 19)}
		fill(l, dirs[i].Path)
		number(l, last.Start+int32(len(last.Files))+1)
		all = append(all, l)
	}
	return all
}

// FuzzRun has lists and notes of any sort, as a hostile sender may bring them
// about: the run ends, with an error or without, and stays in its directory.
func FuzzRun(f *testing.F) {
	f.Add([]byte("\x00\x02abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add([]byte(strings.Repeat("\x05\x41\x00\x40\x02\x47", 20)))
	f.Add([]byte(strings.Repeat("\x07\x03\x43\x01", 30)))
	f.Fuzz(fuzzOne)
}

func fuzzOne(t *testing.T, data []byte) {
	s := script(data)
	inc := s.pick(2) == 1
	opt, err := option.Parse(option.Input{Words: append(strings.Fields(fuzzOptions[s.pick(len(fuzzOptions))]), "a", "b")})
	check(t, err)
	protocol := []int{31, 30, 29, 27}[s.pick(4)]
	dir := t.TempDir()
	check(t, os.Mkdir(dir+"/dst", 0o755))
	check(t, os.WriteFile(dir+"/outside", nil, 0o644))
	plant(t, dir+"/dst", "a x", "b/c y", "c -> ../outside", "d/d/d z", "e = a")
	p := generator.Params{Opt: opt, Protocol: protocol, Xfer: checksum.MD5, Server: s.pick(2) == 1}
	if inc && protocol >= 30 {
		p.Compat = wire.IncRecurse
	}
	all := s.lists(p.Compat != 0)
	lists, notes := flist.NewLists(), dest.NewNotes()
	for _, l := range all {
		lists.Add(l)
	}
	lists.End(nil)
	for len(s) > 0 {
		notes.Put(dest.Note{Kind: dest.NoteKind(s.pick(8)), Index: int32(s.next()) - 2})
	}
	d, err := dest.Open(dest.Params{Opt: opt, Protocol: protocol, Talk: quiet{}, File: checksum.MD5}, dir+"/dst/", dest.List{Entries: 3, First: all[0].Files[0]})
	check(t, err)
	defer d.Close()
	w := wire.NewWriter(writerFunc(func(p []byte) (int, error) {
		notes.Put(dest.Note{Kind: dest.PhaseDone})
		notes.Put(dest.Note{Kind: dest.Installed, Index: int32(len(p)) % 20})
		return len(p), nil
	}))
	w.StartMux()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	ended := time.AfterFunc(2*time.Millisecond, func() {
		for range 20 {
			notes.Put(dest.Note{Kind: dest.PhaseDone})
		}
		notes.Put(dest.Note{Kind: dest.Ended})
	})
	defer ended.Stop()
	if _, err := generator.Run(ctx, w, p, d.As("generator"), lists, notes, quiet{}); ctx.Err() != nil {
		t.Fatalf("does not end: %v", err)
	}
	if _, err := os.Lstat(dir + "/outside"); err != nil {
		t.Fatal(err)
	}
}
