package change_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
)

func newQueue() *change.Queue { return change.NewQueue(change.Limits{Removes: change.NoLimit}) }

func add(q *change.Queue, s int, ps ...tree.Path) {
	for _, p := range ps {
		q.Add(change.Change{Kind: change.Dirty, Path: p, Class: change.Content, At: at(s)})
	}
}

func items(b change.Batch) []tree.Path {
	var out []tree.Path
	for _, it := range b.Items {
		out = append(out, it.Path)
	}
	return out
}

func minute(int) time.Duration { return time.Minute }

func TestParentsComeBeforeWhatTheyHold(t *testing.T) {
	q := newQueue()
	add(q, 0, "a/b/c", "a.x", "a", "a/b", "a-b")
	if got, want := items(q.Take(at(1), change.View{})), []tree.Path{"a", "a/b", "a/b/c", "a-b", "a.x"}; !slices.Equal(got, want) {
		t.Fatalf("order %v, want %v", got, want)
	}
}

func TestAcknowledgementCoversOnlyWhatWasTaken(t *testing.T) {
	q := newQueue()
	add(q, 0, "f")
	q.Take(at(1), change.View{})
	add(q, 2, "f") // written again while the batch is on its way
	q.Done(change.Outcome{}, at(3), minute)
	if q.Behind() != 1 {
		t.Fatalf("behind %d after the acknowledgement of the older state", q.Behind())
	}
	if got := items(q.Take(at(4), change.View{})); !slices.Equal(got, []tree.Path{"f"}) {
		t.Fatalf("next batch %v", got)
	}
}

func TestADirectoryThatCouldNotBeListedIsScannedAgain(t *testing.T) {
	q := newQueue()
	add(q, 0, "d")
	q.Take(at(1), change.View{})
	denied := &change.Unlisted{Err: errors.New("permission denied")}
	q.Done(change.Outcome{Failed: map[tree.Path]error{"d": denied, "met/in/a/scan": denied}}, at(2), minute)
	b := q.Take(at(62), change.View{})
	for _, it := range b.Items {
		if it.Class != change.Tree {
			t.Errorf("%s is compared by %s only", it.Path, it.Class)
		}
	}
	if len(b.Items) != 2 {
		t.Errorf("next batch %v", items(b))
	}
}

func TestFailedPathStaysAndWaits(t *testing.T) {
	q := newQueue()
	add(q, 0, "bad", "good")
	q.Take(at(1), change.View{})
	q.Done(change.Outcome{Failed: map[tree.Path]error{"bad": errors.New("no space")}}, at(2), minute)
	if q.Behind() != 1 || q.Failing() != 1 {
		t.Fatalf("behind %d, failing %d", q.Behind(), q.Failing())
	}
	if b := q.Take(at(3), change.View{}); !b.Empty() {
		t.Fatalf("tried again too early: %v", items(b))
	}
	if next, ok := q.Next(); !ok || !next.Equal(at(62)) {
		t.Fatalf("next try at %v, %v", next, ok)
	}
	if oldest, ok := q.Oldest(); !ok || !oldest.Equal(at(0)) {
		t.Fatalf("oldest %v: the age of the change was forgotten", oldest)
	}
	if got := items(q.Take(at(62), change.View{})); !slices.Equal(got, []tree.Path{"bad"}) {
		t.Fatalf("next batch %v", got)
	}
}

func TestHeldPathsAreLeftAlone(t *testing.T) {
	q := newQueue()
	add(q, 0, "busy", "idle")
	got := items(q.Take(at(1), change.View{Held: func(p tree.Path) bool { return p == "busy" }}))
	if !slices.Equal(got, []tree.Path{"idle"}) {
		t.Fatalf("batch %v", got)
	}
}

func TestPendingPathsFollowARename(t *testing.T) {
	q := newQueue()
	add(q, 0, "old/f")
	q.Rename(change.Change{Kind: change.Moved, From: "old", Path: "new", Dir: true, At: at(1)})
	b := q.Take(at(2), change.View{})
	if want := []change.Rename{{From: "old", To: "new", Dir: true}}; !slices.Equal(b.Renames, want) {
		t.Fatalf("renames %v", b.Renames)
	}
	if got, want := items(b), []tree.Path{"new", "new/f", "old"}; !slices.Equal(got, want) {
		t.Fatalf("items %v, want %v", got, want)
	}
}

func TestManyPathsCollapseIntoSubtrees(t *testing.T) {
	q := change.NewQueue(change.Limits{Pending: 100, Removes: change.NoLimit})
	for i := range 1000 {
		add(q, i, tree.Path(fmt.Sprintf("dir%d/sub/file%d", i%3, i)))
	}
	if q.Behind() > 100 {
		t.Fatalf("%d pending, the bound is 100", q.Behind())
	}
	b := q.Take(at(2000), change.View{})
	for i := range 1000 {
		p := tree.Path(fmt.Sprintf("dir%d/sub/file%d", i%3, i))
		covered := slices.ContainsFunc(b.Items, func(it change.Item) bool {
			return it.Path == p || it.Class == change.Tree && p.Within(it.Path)
		})
		if !covered {
			t.Fatalf("%s was lost", p)
		}
	}
	if !b.Oldest.Equal(at(0)) {
		t.Fatalf("oldest %v", b.Oldest)
	}
}

func TestTooManyRemovalsWaitForAnOperator(t *testing.T) {
	q := change.NewQueue(change.Limits{Removes: change.Limit{Entries: 2}})
	for _, p := range []tree.Path{"a", "b", "c"} {
		q.Add(change.Change{Kind: change.Dirty, Path: p, Class: change.Attr, Removes: 1, At: at(0)})
	}
	add(q, 0, "new")
	if got := items(q.Take(at(1), change.View{})); !slices.Equal(got, []tree.Path{"new"}) || !q.Barred(at(1), 100) {
		t.Fatalf("batch %v, barred %v", got, q.Barred(at(1), 100))
	}
}

func TestRemovalsOfOneSweepCountTogether(t *testing.T) {
	q := change.NewQueue(change.Limits{Removes: change.Limit{Entries: 2}})
	remove := func(s int, p tree.Path) {
		q.Add(change.Change{Kind: change.Dirty, Path: p, Class: change.Attr, Removes: 1, At: at(s)})
	}
	for s, p := range []tree.Path{"a", "b"} {
		remove(s, p)
		if got := items(q.Take(at(s), change.View{})); !slices.Equal(got, []tree.Path{p}) {
			t.Fatalf("batch %v, want %s", got, p)
		}
		q.Done(change.Outcome{}, at(s), minute)
	}
	remove(2, "c")
	if !q.Barred(at(2), 100) {
		t.Error("a third removal within ten seconds is allowed by a limit of 2")
	}
	if !q.Barred(at(12), 100) {
		t.Error("what waits for an operator goes on by itself")
	}
	q.Begin()
	remove(13, "d")
	q.Passed()
	if got := items(q.Take(at(14), change.View{})); !slices.Equal(got, []tree.Path{"c", "d"}) || q.Barred(at(14), 100) {
		t.Errorf("after a pass has judged c, with one more removal: batch %v, barred %v", got, q.Barred(at(14), 100))
	}
}

func TestRemovalsOfLongAgoDoNotCount(t *testing.T) {
	q := change.NewQueue(change.Limits{Removes: change.Limit{Entries: 2}})
	for _, r := range []struct {
		s int
		p tree.Path
	}{{0, "a"}, {1, "b"}, {12, "c"}} {
		s, p := r.s, r.p
		q.Add(change.Change{Kind: change.Dirty, Path: p, Class: change.Attr, Removes: 1, At: at(s)})
		q.Take(at(s), change.View{})
		q.Done(change.Outcome{}, at(s), minute)
	}
	q.Add(change.Change{Kind: change.Dirty, Path: "d", Class: change.Attr, Removes: 1, At: at(13)})
	if q.Barred(at(13), 100) {
		t.Error("removals of long ago still count")
	}
}

func TestWhatIsThereAgainIsNotBarred(t *testing.T) {
	q := change.NewQueue(change.Limits{Removes: change.Limit{Entries: 1}})
	dirty := func(p tree.Path, removes int, gone bool) {
		q.Add(change.Change{Kind: change.Dirty, Path: p, Class: change.Content, Removes: removes, Gone: gone, At: at(0)})
	}
	dirty("file", 1, true)
	dirty("dir", 5, true)
	if !q.Barred(at(1), 100) {
		t.Fatal("six removals are allowed by a limit of 1")
	}
	dirty("file", 0, false)
	dirty("dir", 0, false) // what was in it is not
	if got := items(q.Take(at(2), change.View{})); !slices.Equal(got, []tree.Path{"file"}) || !q.Barred(at(2), 100) {
		t.Errorf("batch %v, barred %v", got, q.Barred(at(2), 100))
	}
}

func TestAShareOfWhatTheSourceHasBarsRemovals(t *testing.T) {
	q := change.NewQueue(change.Limits{Removes: change.Limit{Share: 20}})
	q.Add(change.Change{Kind: change.Dirty, Path: "gone", Class: change.Attr, Removes: 20, At: at(0)})
	if !q.Barred(at(1), -1) {
		t.Error("what share that is cannot be known yet")
	}
	if q.Barred(at(1), 80) || !q.Barred(at(1), 79) {
		t.Error("20 of 100 are no more than 20%, 20 of 99 are")
	}
}

// A comparison of a directory would remove what is gone from it as well.
func TestComparisonsAboveBarredRemovalsWait(t *testing.T) {
	q := change.NewQueue(change.Limits{Removes: change.Limit{Entries: 1}})
	for p, class := range map[tree.Path]change.Class{tree.Root: change.Children, "a": change.Tree, "b": change.Tree, "c": change.Attr} {
		q.Add(change.Change{Kind: change.Dirty, Path: p, Class: class, Dir: true, At: at(0)})
	}
	for _, p := range []tree.Path{"a/x", "c/y"} {
		q.Add(change.Change{Kind: change.Dirty, Path: p, Class: change.Content, Removes: 1, Gone: true, At: at(0)})
	}
	if got := items(q.Take(at(1), change.View{})); !slices.Equal(got, []tree.Path{"b", "c"}) {
		t.Errorf("batch %v, want what removes nothing", got)
	}
}
