package inotify

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"lockstep/internal/live/watch"
)

// explain is the text for an argument that cannot be watched.
func (w *objects) explain(arg string, args []string, err error) error {
	verb, what, file := "Couldn't watch "+arg, "inotify watches", "fs/inotify/max_user_watches"
	if w.set.stats {
		verb = "Failed to watch " + arg
	}
	if w.set.fan {
		what, file = "fanotify marks", "fs/fanotify/max_user_marks"
	}
	if w.set.fileSystem {
		verb = "Couldn't add filesystem watch " + arg
	}
	switch {
	case errors.Is(err, unix.ENOSPC) && !w.set.fileSystem:
		return fatal{fmt.Sprintf("Failed to watch %s; upper limit on %s reached!\n"+
			"Please increase the amount of %s allowed per user via `/proc/sys/%s'.\n%s",
			arg, what, what, file, w.limit(w.needed(args), w.count))}
	case errors.Is(err, unix.EPERM) && w.set.fan:
		return fatal{verb + ": " + strerror(err) + "\n" + needsAdmin}
	}
	return fatal{verb + ": " + strerror(err)}
}

// needsAdmin is what inotify-tools say when fanotify is denied.
const needsAdmin = "fanotify watch requires admin privileges"

// limit is what to do about a limit that was met with have marks of need.
func (w *objects) limit(need, have int) string {
	name, limit, command := watch.RawLimit(w.set.fan, max(need-have, 1))
	return fmt.Sprintf("%d directories are to be watched and %s is %d; run: %s", need, name, limit, command)
}

// needed is how many marks args need.
func (w *objects) needed(args []string) int {
	n := 0
	for _, arg := range args {
		n++
		if w.set.recursive {
			n += w.directories(strings.TrimSuffix(arg, "/") + "/")
		}
	}
	return n
}

// directories counts the directories below path, which ends with a slash.
func (w *objects) directories(path string) (n int) {
	entries, _ := os.ReadDir(path) // what cannot be read is not watched either
	for _, e := range entries {
		if e.IsDir() && !w.skip[path+e.Name()] {
			n += 1 + w.directories(path+e.Name()+"/")
		}
	}
	return n
}
