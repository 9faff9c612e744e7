package watch_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/live/watch"
)

// A consumer that is slower than its memory loses nothing that the kernel's
// queue can hold.
func TestRawKeepsWhatTheKernelHolds(t *testing.T) {
	const files = 1000 // below fs.inotify.max_queued_events
	dir := t.TempDir()
	r, err := watch.OpenRawLimited(false, 1)
	must(t, err)
	defer r.Close()
	_, err = r.Mark(dir, unix.IN_CREATE, false)
	must(t, err)
	for i := range files {
		write(t, filepath.Join(dir, fmt.Sprint("f", i)), "")
	}
	for i := range files {
		ev, ok, err := r.Next(context.Background(), time.Minute)
		must(t, err)
		if want := fmt.Sprint("f", i); !ok || ev.Name != want || ev.Mask != unix.IN_CREATE {
			t.Fatalf("record %d is %+v, want the creation of %s", i, ev, want)
		}
	}
}

// What has happened by some moment is told apart from what happens after it.
func TestRawKnowsWhereItIs(t *testing.T) {
	dir := t.TempDir()
	r, err := watch.OpenRaw(false)
	must(t, err)
	defer r.Close()
	_, err = r.Mark(dir, unix.IN_CREATE, false)
	must(t, err)
	write(t, filepath.Join(dir, "before"), "")
	now := r.Now()
	write(t, filepath.Join(dir, "after"), "")
	for _, want := range []string{"before", "after"} {
		if r.Took() >= now != (want == "after") {
			t.Errorf("%d bytes were taken before the record of %s, the moment is at %d", r.Took(), want, now)
		}
		ev, ok, err := r.Next(context.Background(), time.Minute)
		must(t, err)
		if !ok || ev.Name != want || (ev.At < now) != (want == "before") {
			t.Errorf("%+v, want the record of %s; the moment is at %d", ev, want, now)
		}
	}
}
