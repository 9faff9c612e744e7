package lockstep_test

import (
	"strings"
	"testing"
	"time"

	"lockstep/internal/cli/eventline"
	"lockstep/internal/cli/lockstep"
	"lockstep/internal/fs/tree"
	"lockstep/internal/live/watch"
)

var logTime = time.Date(2010, 4, 15, 0, 29, 7, 0, time.UTC)

// logLines are the lines that the log gets for one event.
func logLines(t *testing.T, format, timefmt, source string, ev watch.Event) string {
	t.Helper()
	f, err := eventline.Compile(format, timefmt)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, l := range lockstep.LogEvent(source, ev, logTime) {
		b = f.Append(b, l)
	}
	return string(b)
}

func TestLogLines(t *testing.T) {
	for _, c := range []struct {
		name, format, source string
		event                watch.Event
		want                 string
	}{
		{
			name:   "the classic script's line",
			format: "%T %w%f%e", source: "/web/www/",
			event: watch.Event{Op: watch.Delete, Path: "ixdba.sh", Dir: true},
			want:  "15/04/10 00:29 /web/www/ixdba.shDELETE,ISDIR\n",
		}, {
			name:   "a closed file prints CLOSE too, in inotifywait's order",
			format: "%e %w%f", source: "src",
			event: watch.Event{Op: watch.Create | watch.Modify | watch.CloseWrite, Path: "a/b"},
			want:  "MODIFY,CLOSE_WRITE,CREATE,CLOSE src/a/b\n",
		}, {
			name:   "events may be joined by any character",
			format: "%:e|%%e", source: "/s",
			event: watch.Event{Op: watch.Attrib | watch.CloseWrite, Path: "f"},
			want:  "ATTRIB:CLOSE_WRITE:CLOSE|%e\n",
		}, {
			name:   "a rename is its two halves",
			format: "%e %w%f %c", source: "/s",
			event: watch.Event{Op: watch.Rename, From: "old/f", Path: "new/g", Cookie: 0xbeef},
			want:  "MOVED_FROM /s/old/f beef\nMOVED_TO /s/new/g beef\n",
		}, {
			name:   "what a listing found was created",
			format: "%e %f", source: "/s",
			event: watch.Event{Op: watch.Found, Path: "d", Dir: true},
			want:  "CREATE,ISDIR d\n",
		}, {
			name:   "the source itself has no name",
			format: "%w[%f]", source: "/s/",
			event: watch.Event{Op: watch.Attrib, Dir: true},
			want:  "/s/[]\n",
		}, {
			name:   "a name can't break a line",
			format: "%w%f", source: "/s",
			event: watch.Event{Op: watch.Create, Path: "a\n\\#b\x1b\xff ü"},
			want:  `/s/a\#012\#134#b\#033\#377 ü` + "\n",
		}, {
			name:   "for a program names are as they are",
			format: "%w%f%0", source: "/s",
			event: watch.Event{Op: watch.Create, Path: "a\nb\xff"},
			want:  "/s/a\nb\xff\x00",
		}, {
			name:   "a line end of one's own is not doubled",
			format: "%f%n", source: "/s",
			event: watch.Event{Op: watch.Create, Path: "f"},
			want:  "f\n",
		}, {
			name:   "what is no conversion is copied",
			format: "%z %", source: "/s",
			event: watch.Event{Op: watch.Create, Path: "f"},
			want:  "%z %\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := logLines(t, c.format, "%d/%m/%y %H:%M", c.source, c.event); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestFormatsThatAreRefused(t *testing.T) {
	for _, format := range []string{"", strings.Repeat("x", 4097)} {
		if _, err := eventline.Compile(format, ""); err == nil {
			t.Errorf("a format of %d bytes is accepted", len(format))
		}
	}
}

func TestEventNames(t *testing.T) {
	for list, want := range map[string]watch.Op{
		"":                            0,
		"modify,delete,create,attrib": watch.Modify | watch.Delete | watch.Create | watch.Found | watch.Attrib,
		"CLOSE_WRITE,Move":            watch.CloseWrite | watch.MovedFrom | watch.MovedTo | watch.Rename | watch.Found,
		"close,open":                  watch.CloseWrite,
	} {
		if got, err := lockstep.ParseEvents(list); err != nil || got != want {
			t.Errorf("--events=%s is %v, %v; want %v", list, got, err, want)
		}
	}
	for _, list := range []string{"nosuch", "modify,", ",", "open,access", "modify delete"} {
		if got, err := lockstep.ParseEvents(list); err == nil {
			t.Errorf("--events=%s is accepted as %v", list, got)
		}
	}
}

func FuzzFormat(f *testing.F) {
	for _, format := range []string{"%T %w%f%e", "%:e%0", "%", "%%e", "%0e", "\xff%\xffe"} {
		f.Add(format, "%d/%m", "dir/name\n")
	}
	f.Fuzz(func(t *testing.T, format, timefmt, name string) {
		compiled, err := eventline.Compile(format, timefmt)
		if err != nil {
			return
		}
		for _, l := range lockstep.LogEvent("/src", watch.Event{Op: watch.Rename | watch.CloseWrite, Path: tree.Path(name)}, logTime) {
			line := compiled.Append(nil, l)
			if end := line[len(line)-1]; end != '\n' && end != 0 {
				t.Fatalf("a line ends with %q", end)
			}
		}
	})
}
