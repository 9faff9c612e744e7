package lockstep_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/cli/lockstep"
	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func texts(ms []lockstep.Message) []string {
	var all []string
	for _, m := range ms {
		if text := lockstep.MessageText(m); text != "" {
			all = append(all, text)
		}
	}
	return all
}

func TestBatchLinesAreNeverAFlood(t *testing.T) {
	b := lockstep.NewBoard("/src", false)
	lines, changes := 0, 0
	now := noon
	for range 10_000 { // a batch each millisecond for ten seconds
		now = now.Add(time.Millisecond)
		b.Batch(now, "web1", mirror.BatchReport{At: now, Changes: 1, Wire: 100, Lag: time.Millisecond})
		got, _ := b.Take(now, false)
		for _, m := range got {
			lines++
			changes += lockstep.MessageObject(m).(lockstep.BatchRecord).Changes
		}
	}
	rest, _ := b.Take(now, true)
	for _, m := range rest {
		changes += lockstep.MessageObject(m).(lockstep.BatchRecord).Changes
	}
	if lines < 100 || lines > 111 {
		t.Errorf("%d lines in ten seconds, want about 10 a second", lines)
	}
	if changes != 10_000 {
		t.Errorf("the lines tell of %d changes, want all 10000", changes)
	}
}

func TestAHeldBackBatchIsToldSoon(t *testing.T) {
	b := lockstep.NewBoard("/src", false)
	for i := range 11 {
		b.Batch(noon, "web1", mirror.BatchReport{At: noon, Changes: i + 1})
		b.Take(noon, false)
	}
	lines, next := b.Take(noon, false)
	if len(lines) != 0 || next.Sub(noon) != 100*time.Millisecond {
		t.Fatalf("%d lines and the next at +%v, want none and +100ms", len(lines), next.Sub(noon))
	}
	if lines, _ = b.Take(next, false); len(lines) != 1 {
		t.Fatalf("%d lines after that time, want 1", len(lines))
	}
}

func TestBatchLines(t *testing.T) {
	report := mirror.BatchReport{At: noon, Changes: 3, Deleted: 1, Wire: 12595, Lag: 2100 * time.Microsecond}
	b := lockstep.NewBoard("/src", false)
	b.Batch(noon, "web1", report)
	b.Batch(noon, "/srv/copy", mirror.BatchReport{At: noon, Changes: 1, Bytes: 10, Lag: time.Second})
	report.Lag = 4200 * time.Microsecond
	b.Batch(noon, "web1", report)
	got, _ := b.Take(noon, false)
	want := []string{
		"12:00:00.000 web1: 6 changes in 2 batches, 2 deleted, 24.6 KiB on the wire, lag up to 4.2 ms",
		"12:00:00.000 /srv/copy: 1 change, 10 B copied, lag 1.00 s",
	}
	if !slices.Equal(texts(got), want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(texts(got), "\n"), strings.Join(want, "\n"))
	}
}

func TestFailuresAlikeAreCounted(t *testing.T) {
	b := lockstep.NewBoard("/src", false)
	denied := errors.New("permission denied")
	for i := range 120 {
		p := tree.Path(fmt.Sprintf("f%03d", i))
		b.PathFailed(noon, "web1", p, fmt.Errorf("open %s: %w", p, denied))
	}
	b.PathFailed(noon, "web1", "x", errors.New("no space left on device"))
	got, next := b.Take(noon, false)
	want := []string{
		"web1: f000: open f000: permission denied",
		"web1: f001: open f001: permission denied",
		"web1: f002: open f002: permission denied",
		"web1: x: no space left on device",
	}
	if !slices.Equal(texts(got), want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(texts(got), "\n"), strings.Join(want, "\n"))
	}
	if next.Sub(noon) != 10*time.Second {
		t.Errorf("the count is due after %v, want 10s", next.Sub(noon))
	}
	got, _ = b.Take(next, false)
	if want := []string{"web1: … and 117 more like this: permission denied"}; !slices.Equal(texts(got), want) {
		t.Errorf("got %q, want %q", texts(got), want)
	}
}

func TestATargetThatFailsAgainAndAgainIsToldNowAndThen(t *testing.T) {
	b := lockstep.NewBoard("/src", false)
	now, lines := noon, 0
	for i := range 3600 { // a try each second for an hour, each from another port
		now = now.Add(time.Second)
		err := fmt.Errorf("dial 10.0.0.1:873 from port %d: connection refused", 30000+i)
		b.TargetFailing(now, "web1", err, noon, now.Add(time.Second))
		got, _ := b.Take(now, false)
		lines += len(texts(got))
	}
	if lines < 5 || lines > 20 {
		t.Errorf("%d lines in an hour, want a few", lines)
	}
	b.Recovered(now, "web1")
	got, _ := b.Take(now, false)
	if want := []string{"13:00:00 web1 works again after 1h0m0s"}; !slices.Equal(texts(got), want) {
		t.Errorf("got %q, want %q", texts(got), want)
	}
	b.TargetFailing(now, "web1", errors.New("connection refused"), now, now.Add(time.Second))
	if got, _ = b.Take(now, false); len(texts(got)) != 1 {
		t.Errorf("a new failure after a recovery has %d lines, want 1", len(texts(got)))
	}
}

func TestAPeersWordsStayOnOneLine(t *testing.T) {
	b := lockstep.NewBoard("/src", false)
	err := &target.Error{Err: errors.New("@ERROR: no\x1b[2J\nsuch \xff"), Permanent: true, Hint: "rsync web1::\n"}
	b.TargetFailing(noon, "web\n1", err, noon, time.Time{})
	got, _ := b.Take(noon, false)
	want := `"web\n1": @ERROR: no\x1b[2J such \xff; trying again cannot help, this target is left alone`
	if !slices.Equal(texts(got), []string{want}) {
		t.Errorf("got %q, want %q", texts(got), want)
	}
}

func TestLinesForASlowReaderAreBounded(t *testing.T) {
	b := lockstep.NewBoard("/src", true)
	paths := make([]tree.Path, 1000)
	for i := range paths {
		paths[i] = tree.Path(fmt.Sprint(i))
	}
	for range 100 {
		b.Batch(noon, "web1", mirror.BatchReport{At: noon, Changes: len(paths), Paths: paths})
	}
	got, _ := b.Take(noon, false)
	if len(got) > 10_100 {
		t.Errorf("%d lines waited", len(got))
	}
	all := strings.Join(texts(got), "\n")
	if !strings.Contains(all, "… and 90,000 lines that could not be printed in time") || !strings.Contains(all, "100,000 changes") {
		t.Errorf("the lines left out are not counted: …%s", all[len(all)-200:])
	}
}

func TestProgressIsShownForLongPassesOnly(t *testing.T) {
	b := lockstep.NewBoard("/src", false)
	b.Progress(noon, "web1", target.Progress{Files: 1})
	if s := b.Status(noon.Add(900 * time.Millisecond)); s != "" {
		t.Errorf("after 0.9 s there is a status: %s", s)
	}
	lines := 0
	for ms := 0; ms <= 12_000; ms += 50 {
		now := noon.Add(time.Duration(ms) * time.Millisecond)
		b.Progress(now, "web1", target.Progress{Files: int64(ms), Bytes: 1 << 20})
		got, _ := b.ProgressLines(now)
		lines += len(texts(got))
	}
	if lines != 3 { // at 1, 6 and 11 s
		t.Errorf("%d progress lines in 12 s, want 3", lines)
	}
	if got, want := b.Status(noon.Add(12*time.Second)), "first pass, 12 s: web1 12,000 files, 1.0 MiB"; got != want {
		t.Errorf("status %q, want %q", got, want)
	}
	b.InStep(noon, "web1", mirror.Pass{})
	if s := b.Status(noon.Add(13 * time.Second)); s != "" {
		t.Errorf("in step there is still a status: %s", s)
	}
}
