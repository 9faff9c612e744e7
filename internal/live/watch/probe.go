package watch

import (
	"context"
	"fmt"
	"slices"

	"lockstep/internal/fs/tree"
)

// Outlook is how Open would watch a source.
type Outlook struct {
	Choice
	Watches bool        // it takes an inotify watch for each directory, of the whole or of a mount
	Polled  []tree.Path // mounts that would be polled; the root if all of it would be
}

// Probe tries what Open would, without arming a single directory.
func Probe(ctx context.Context, c Config) (Outlook, error) {
	w, unhook, err := prepare(ctx, c)
	if err != nil {
		return Outlook{}, err
	}
	err = w.decide()
	w.cancel()
	w.reap(nil, unhook)
	if err != nil {
		return Outlook{}, fmt.Errorf("watch %s: %w", tree.Quote(c.Root), err)
	}
	o := Outlook{Choice: w.choice, Watches: w.ino != nil}
	for at, r := range w.regions {
		if r.backend == Poll {
			o.Polled = append(o.Polled, at)
		}
	}
	slices.Sort(o.Polled)
	return o, nil
}
