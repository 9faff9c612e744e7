package filter_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
)

// mergeFiles is a tree of merge files by path, which counts what is read.
type mergeFiles struct {
	mu    sync.Mutex
	files map[string]string
	fail  map[string]error
	reads map[string]int
}

func newMergeFiles(files map[string]string) *mergeFiles {
	return &mergeFiles{files: files, fail: map[string]error{}, reads: map[string]int{}}
}

func (m *mergeFiles) read(dir tree.Path, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := string(dir.Join(name))
	m.reads[p]++
	if err := m.fail[p]; err != nil {
		return nil, err
	}
	if content, ok := m.files[p]; ok {
		return []byte(content), nil
	}
	return nil, fs.ErrNotExist
}

func (m *mergeFiles) set(p, content string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[p] = content
}

// hiddenOf is which of a fixed set of files are hidden.
func hiddenOf(s *filter.Scope) string {
	var hidden []string
	for _, p := range []tree.Path{"a", "b", "c", "d/a", "d/b", "d/c", "d/e/a", "d/e/b", "d/e/c", "z/a", "z/b"} {
		if s.Hidden(p, false) {
			hidden = append(hidden, string(p))
		}
	}
	return strings.Join(hidden, " ")
}

// The expectations were all seen from rsync 3.5.0, unless marked.
func TestPerDirectoryRules(t *testing.T) {
	type dir = map[string]string
	for _, c := range []struct {
		name  string
		files dir
		rules string // separated by "|"
		want  string
	}{
		{"rules hold in the directory and below", dir{"d/.r": "- a"}, ": .r", "d/a d/e/a"},
		{"rules are not inherited with n", dir{"d/.r": "- a"}, ":n .r", "d/a"},
		{"a leading slash anchors at the directory", dir{"d/.r": "- /a\n- /e/b"}, ": .r", "d/a d/e/b"},
		{"an inner slash counts from the end", dir{"d/.r": "- d/a"}, ": .r", "d/a"},
		{"an anchored rule is inherited", dir{"d/.r": "- /*/a"}, ": .r", "d/e/a"},
		{"an absolute rule is not anchored", dir{"d/.r": "-/ /a\n-/ /t/d/b"}, ": .r", "d/b"},
		{"absolute by the merge rule", dir{"d/.r": "- /t/d/e/a\n- /a"}, ":/ .r", "d/e/a"},
		{"the nearest rules come first", dir{".r": "- a", "d/.r": "+ a"}, ": .r", "a z/a"},
		{"rules stand where the merge rule stands", dir{".r": "- a\n- b"}, "+ a|: .r", "b d/b d/e/b z/b"},
		{"clearing forgets what was inherited", dir{".r": "- a\n- /b", "d/.r": "- c\n!\n- e/b"}, ": .r", "a b d/e/b z/a"},
		{"clearing leaves the other rules", dir{"d/.r": "!"}, ": .r|- a", "a d/a d/e/a z/a"},
		{"cvs files are words and not inherited", dir{"d/.cvsignore": "x a\tb"}, ":C", "d/a d/b"},
		{"bare patterns", dir{"d/.r": "a\n+ b\n!\n# c"}, ":- .r", "d/a d/e/a"},
		{"bare includes", dir{"d/.r": "a"}, ":+ .r|- a", "a z/a"},
		{"words are rules", dir{"d/.r": "-_a -_b"}, ":w .r", "d/a d/b d/e/a d/e/b"},
		{"a blank between words belongs to a rule (not in rsync)", dir{"d/.r": "- a + b - b"}, ":w .r", "d/a d/e/a"},
		{"sides from the merge rule", dir{"d/.r": "- a"}, ":r .r", ""},
		{"sides in the file", dir{"d/.r": "P a\nH b"}, ": .r", "d/b d/e/b"},
		{"a file may ask for another", dir{"d/.r": ": .s", "d/.s": "- a", ".s": "- b", "d/e/.s": "- c"}, ": .r", "d/a d/e/a d/e/c"},
		{"the other's rules stand in its place", dir{"d/.r": ": .s\n+ b\n- b", "d/e/.r": "- c", "d/e/.s": "- b"}, ": .r", "d/e/b d/e/c"},
		{"a file may not ask for itself", dir{".r": ": .r\n- a", "d/.r": "- b"}, ": .r", "a d/a d/b d/e/a d/e/b z/a"},
		{"of two rules for a name the first counts", dir{".r": "- a", "d/.r": "- b"}, ":n .r|+ a|: .r", "a d/b"},
		{"the path of a merge rule does not matter below", dir{".r": "- c", "d/.r": "- a", "d/e/.r": "- b"}, ": d/e/.r", "c d/a d/c d/e/a d/e/b d/e/c"},
		{"a merged file of the root", dir{"d/.r": ". .m", ".m": "- b", "d/.m": "- a"}, ": .r", "d/b d/e/b"},
		{"a merged file by path", dir{"d/.r": ". ./.m", ".m": "- b", "d/.m": "- a"}, ": .r", "d/a d/e/a"},
		{"a merged file is anchored at the root", dir{"d/.r": ". ./.m", "d/.m": "- /a\n- /d/b"}, ": .r", "d/b"},
		{"sides hold in merged files (not in rsync)", dir{"d/.r": ". .m", ".m": "P a\n- b"}, ": .r", "d/b d/e/b"},
		{"a path of the asking file is searched from there", dir{"d/.r": ": ../.s", ".s": "- a", "d/e/.s": "- b"}, ": .r", "d/a d/e/a d/e/b"},
		{"directories above the root", dir{"/.up": "- c\n- /t/b", "/top/.up": "- a", "d/.up": "+ c"}, ": /.up", "b c"},
		{"anchors of directories above", dir{"/.up": "- /t/b\n- /t/d/a\n- /a\n- t/a"}, ": /.up", "b d/a"},
		{"only from the path on", dir{"/.up": "- /t/b"}, ": ./.up", ""},
		{"not above with n", dir{"/.up": "- /t/b", "d/.up": "- a"}, ":n /.up", "d/a"},
		{"rules of a hidden merge file hold", dir{"d/.r": "- a"}, "- .r|: .r", "d/a d/e/a"},
		{"a wildcard in the directory's name is one", dir{"d/.r": "- /[a]"}, ": .r", "d/a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMergeFiles(c.files)
			s := rulesOf(t, filter.Implied{}, strings.Split(c.rules, "|")...).ScopeAt(filter.Place{Root: "/t", Read: m.read,
				ReadAbove: func(p string) ([]byte, error) {
					if content, ok := c.files[p]; ok {
						return []byte(content), nil
					}
					return nil, fs.ErrNotExist
				}})
			if got := hiddenOf(s); got != c.want || s.Err() != nil {
				t.Errorf("hidden: %s; want %s; %v", got, c.want, s.Err())
			}
		})
	}
}

func TestMergeFilesAreReadOnceAndLazily(t *testing.T) {
	m := newMergeFiles(map[string]string{"d/.r": "- a"})
	s := rulesOf(t, filter.Implied{}, "- skip/", ": .r").Scope(m.read)
	for range 3 {
		s.Hidden("d/e/x", false)
		s.Hidden("skip/x/y", false)
		s.Child("d")("a", false)
		s.Protected("d/e/x", false)
	}
	for p, want := range map[string]int{".r": 1, "d/.r": 1, "d/e/.r": 1, "skip/.r": 0, "skip/x/.r": 0} {
		if m.reads[p] != want {
			t.Errorf("%s was read %d times, want %d", p, m.reads[p], want)
		}
	}
}

func TestPeekReadsAndForgets(t *testing.T) {
	m := newMergeFiles(map[string]string{"d/f/.m": "- *"})
	s := rulesOf(t, filter.Implied{}, ": .m", ": .n").Scope(m.read)
	for range 2 {
		s.Peek("d/f")
	}
	if m.reads["d/f/.m"] != 2 || m.reads["d/f/.n"] != 2 || len(m.reads) != 2 {
		t.Errorf("it has read %v", m.reads)
	}
	if s.Hidden("d/g", false) {
		t.Error("what was read is in force elsewhere")
	}
	(*filter.Scope)(nil).Peek("d")
}

func TestForget(t *testing.T) {
	m := newMergeFiles(map[string]string{"d/.r": "- a"})
	s := rulesOf(t, filter.Implied{}, ": .r").Scope(m.read)
	if got := hiddenOf(s); got != "d/a d/e/a" {
		t.Fatalf("hidden: %s", got)
	}
	m.set("d/.r", "- b")
	m.set("z/.r", "- b")
	s.Forget("d")
	if got := hiddenOf(s); got != "d/b d/e/b" {
		t.Errorf("after forgetting d: %s", got)
	}
	if m.reads[".r"] != 1 || m.reads["z/.r"] != 1 || m.reads["d/e/.r"] != 2 {
		t.Errorf("reads: %v", m.reads)
	}
	s.Forget("no/such/dir")
	s.Forget(tree.Root)
	if got := hiddenOf(s); got != "d/b d/e/b z/b" {
		t.Errorf("after forgetting all: %s", got)
	}
}

func TestUnusableMergeFileExcludesItsDirectory(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"a rule that is none", "- a\nhunter2", "d/.r:2: unknown rule"},
		{"a merged file that is missing", ". .m", "d/.r:1: cannot read the file to merge"},
		{"files that merge themselves", ". ./.r", "more than 32 deep"},
		{"files that merge each other often", strings.Repeat(". ./.leaf\n", 2000), "files merged"},
		{"too large", strings.Repeat("- a\n", 1<<19), "larger than"},
		{"too many rules", strings.Repeat("- a\n", 1<<16+1), "more than 65536 rules"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMergeFiles(map[string]string{"d/.r": c.content, "d/.leaf": "- x\n"})
			s := rulesOf(t, filter.Implied{}, ": .r", "- z/a").Scope(m.read)
			if got := hiddenOf(s); got != "d/a d/b d/c d/e/a d/e/b d/e/c z/a" {
				t.Errorf("hidden: %s", got)
			}
			if !s.Protected("d/x", false) || !s.Pinned("d/x", false) || s.Hidden("d", true) || !s.Child("d/e")("x", false) {
				t.Error("the directory is not left alone as a whole")
			}
			err := s.Err()
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Err() = %v, want %q", err, c.want)
			}
			if v := s.Explain(filter.Sender, "d/x", false); v.Err == nil || !v.Excluded || v.Rule != nil {
				t.Errorf("Explain: %+v", v)
			}
			m.set("d/.r", "- a")
			s.Forget("d")
			if got := hiddenOf(s); got != "d/a d/e/a z/a" || s.Err() != nil {
				t.Errorf("repaired: hidden %s, %v", got, s.Err())
			}
		})
	}
	t.Run("a file that cannot be read", func(t *testing.T) {
		m := newMergeFiles(nil)
		m.fail["d/.r"] = fs.ErrPermission
		s := rulesOf(t, filter.Implied{}, ": .r").Scope(m.read)
		if !s.Hidden("d/a", false) || !errors.Is(s.Err(), fs.ErrPermission) {
			t.Errorf("Err() = %v", s.Err())
		}
	})
}

func TestProtection(t *testing.T) {
	for _, c := range []struct {
		name           string
		rules          string
		deleteExcluded bool
		want           string // which of hidden, protected, pinned holds for d/x
	}{
		{"an exclude rule is for both sides", "- x", false, "hidden protected pinned"},
		{"a hide rule", "H x", false, "hidden"},
		{"a protect rule", "P x", false, "protected pinned"},
		{"a perishable rule does not pin", "-p x", false, "hidden protected"},
		{"a risk rule overrides for the receiver", "R x|- x", false, "hidden"},
		{"a show rule overrides for the sender", "S x|- x", false, "protected pinned"},
		{"a protected parent protects", "P d/", false, "protected pinned"},
		{"excluded files may be deleted, too", "- x", true, "hidden"},
		{"but not the protected ones", "P x|- x", true, "hidden protected pinned"},
		{"nor those of both sides", "-sr x", true, "hidden protected pinned"},
		{"a merge file's rules are the sender's then", ": .r", true, "hidden"},
		{"a merge file of patterns, too", ":- .s", true, "hidden"},
		{"a merge file is for both without that", ":- .s", false, "hidden protected pinned"},
		{"a perishable merge file", ":p .r", false, "hidden protected"},
		{"what -C implies is perishable", "-C", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMergeFiles(map[string]string{".r": "- x", ".s": "x"})
			s := rulesOf(t, filter.Implied{}, strings.Split(c.rules, "|")...).
				ScopeAt(filter.Place{Read: m.read, DeleteExcluded: c.deleteExcluded})
			var got []string
			for _, q := range []struct {
				word string
				is   bool
			}{{"hidden", s.Hidden("d/x", false)}, {"protected", s.Protected("d/x", false)}, {"pinned", s.Pinned("d/x", false)}} {
				if q.is {
					got = append(got, q.word)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%q: %v, want %s", c.rules, got, c.want)
			}
		})
	}
	s := rulesOf(t, filter.Implied{CVS: true}, "- keep").Scope(nil)
	if !s.Protected("a.o", false) || s.Pinned("a.o", false) || s.ChildProtected("d", true)("a.o", false) || !s.ChildProtected("d", true)("keep", false) {
		t.Error("the implied cvs list is not perishable")
	}
	m := newMergeFiles(map[string]string{".r": "- merged\n"})
	s = rulesOf(t, filter.Implied{}, ": .r", "- b/x", "- /b/y").Scope(m.read)
	if beyond := s.ChildProtected("../b", true); !beyond("x", false) || !beyond("merged", false) || beyond("y", false) {
		t.Error("outside of the tree the rules of the root do not count")
	}
}

func TestExplain(t *testing.T) {
	m := newMergeFiles(map[string]string{"d/.r": "# c\n- a\n"})
	s := rulesOf(t, filter.Implied{}, ": .r", "+ *.c", "- skip/").Scope(m.read)
	for _, c := range []struct {
		p    tree.Path
		want string
	}{
		{"d/a", "true d/a - a d/.r:2"},
		{"d/e/a", "true d/e/a - a d/.r:2"},
		{"x/skip/y/x.c", "true x/skip - skip/ command line"},
		{"x.c", "false x.c + *.c command line"},
		{"other", "false other"},
	} {
		v := s.Explain(filter.Sender, c.p, false)
		got := fmt.Sprint(v.Excluded, " ", v.At)
		if v.Rule != nil {
			got += fmt.Sprint(" ", v.Rule, " ", v.Rule.Origin())
		}
		if got != c.want {
			t.Errorf("Explain(%v) = %s, want %s", c.p, got, c.want)
		}
	}
}

func TestScopeMergeNames(t *testing.T) {
	m := newMergeFiles(map[string]string{"d/.r": ": .s\n: sub/.t"})
	s := rulesOf(t, filter.Implied{}, ": /x/.r", ":C").Scope(m.read)
	if got := s.MergeNames(); !slices.Equal(got, []string{".cvsignore", ".r"}) {
		t.Errorf("at first: %q", got)
	}
	s.Child("d")
	if got := s.MergeNames(); !slices.Equal(got, []string{".cvsignore", ".r", ".s", ".t"}) {
		t.Errorf("after reading d/.r: %q", got)
	}
}

func TestScopeIsSafeForConcurrentUse(t *testing.T) {
	m := newMergeFiles(map[string]string{"d/.r": "- a\n: .s", "d/e/.s": "- b"})
	s := rulesOf(t, filter.Implied{CVS: true}, ": .r").Scope(m.read)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				if !s.Hidden("d/e/a", false) || s.Hidden("d/e/c", false) || !s.Child("d/e")("b", false) {
					t.Error("wrong answer")
					return
				}
				switch {
				case i == 0:
					s.Forget("d")
				case i == 1 && j%10 == 0:
					s.Forget(tree.Root)
				}
				s.Hidden(tree.Path(fmt.Sprintf("x%d/y/z", j)), false)
				s.MergeNames()
				if s.Err() != nil {
					t.Error(s.Err())
				}
			}
		})
	}
	wg.Wait()
}

func TestCacheIsBounded(t *testing.T) {
	m := newMergeFiles(map[string]string{"d/.r": "- a"})
	s := rulesOf(t, filter.Implied{}, ": .r").Scope(m.read)
	most := 0
	for i := range 100_000 {
		if !s.Hidden(tree.Path(fmt.Sprintf("d/sub%d/a", i)), false) {
			t.Fatal("wrong answer")
		}
		size, _ := filter.CacheSize(s)
		most = max(most, size)
	}
	size, limit := filter.CacheSize(s)
	if most > limit+4096 || size == most {
		t.Errorf("the cache grew to %d bytes, limit %d, now %d", most, limit, size)
	}
	s.Forget("d")
	if size, _ := filter.CacheSize(s); size > 1024 {
		t.Errorf("%d bytes are left of d", size)
	}
}

func TestUsualRulesDoNotAllocate(t *testing.T) {
	s := rulesOf(t, filter.Implied{CVS: true}, "- *.o", "- name", "- /a/b/c", "- x/y", "- var/log/*.log", "- /skip/**", "- **/tmp").
		Scope(newMergeFiles(nil).read)
	child := s.Child("a/b")
	if n := testing.AllocsPerRun(100, func() {
		child("file.html", false)
		child("dir", true)
		s.Hidden("a/b/file.html", false)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
