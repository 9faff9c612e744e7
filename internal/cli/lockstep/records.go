package lockstep

import (
	"encoding/base64"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"lockstep/internal/fs/tree"
	"lockstep/internal/ops/report"
)

// The objects of --json. The json and doc tags are the documentation: help
// prints them and docs/output.md is held against them.

type head struct {
	Event string    `json:"event" doc:"what happened: one of the events of this table"`
	Time  time.Time `json:"time" doc:"when the line was made, RFC 3339"`
}

type watchingRecord struct {
	head
	Source  string `json:"source" doc:"the source as typed"`
	Backend string `json:"backend" doc:"fanotify, inotify or poll"`
	Reason  string `json:"reason" doc:"why this backend"`
}

type progressRecord struct {
	head
	Target string `json:"target" doc:"the target as typed"`
	Files  int64  `json:"files" doc:"files sent so far"`
	Bytes  int64  `json:"bytes" doc:"bytes of content read so far"`
	report.Pass
}

type inStepRecord struct {
	head
	Target  string  `json:"target" doc:"the target as typed"`
	Entries int     `json:"entries" doc:"files, directories and other entries of the source"`
	Files   int     `json:"files" doc:"files sent"`
	Deleted int     `json:"deleted" doc:"entries removed from the target"`
	Failed  int     `json:"failed" doc:"paths that failed at the first try"`
	Bytes   int64   `json:"bytes" doc:"bytes of content sent"`
	Wire    int64   `json:"wire" doc:"bytes on the wire in both directions, 0 for a directory"`
	Seconds float64 `json:"seconds" doc:"how long the pass took"`
	Backend string  `json:"backend,omitempty" doc:"how the source is watched; not with --once"`
	Reason  string  `json:"reason,omitempty" doc:"why this backend"`
}

type batchRecord struct {
	head
	Target  string  `json:"target" doc:"the target as typed"`
	Batches int     `json:"batches" doc:"batches that this line sums up"`
	Changes int     `json:"changes" doc:"paths brought in step"`
	Files   int     `json:"files" doc:"files sent"`
	Deleted int     `json:"deleted" doc:"entries removed from the target"`
	Failed  int     `json:"failed" doc:"paths that failed and wait to be tried again"`
	Bytes   int64   `json:"bytes" doc:"bytes of content sent"`
	Wire    int64   `json:"wire" doc:"bytes on the wire in both directions, 0 for a directory"`
	LagMS   float64 `json:"lag_ms" doc:"milliseconds from the oldest event to the target's acknowledgement, the longest of these batches"`
	Seconds float64 `json:"seconds" doc:"seconds of work on these batches"`
	At      string  `json:"at" doc:"when the last of them was acknowledged, RFC 3339"`
}

type failingRecord struct {
	head
	Target string     `json:"target" doc:"the target as typed"`
	Error  string     `json:"error" doc:"what went wrong, in the peer's words where it said something"`
	Since  time.Time  `json:"since" doc:"when the target began to fail"`
	Next   *time.Time `json:"next" doc:"when it is tried again; null if that cannot help"`
	Hint   string     `json:"hint,omitempty" doc:"what the operator can do"`
}

type recoveredRecord struct {
	head
	Target string `json:"target" doc:"the target as typed"`
}

type noticeRecord struct {
	head
	Text string `json:"text" doc:"something the operator should know, such as a kernel limit"`
	Hint string `json:"hint,omitempty" doc:"the command that helps"`
}

type pathFailedRecord struct {
	head
	Target string `json:"target" doc:"the target as typed; empty if the source could not be read"`
	pathKeys
	Error string `json:"error" doc:"what went wrong"`
}

type heldBackRecord struct {
	head
	Target string `json:"target" doc:"the target as typed"`
	Count  int    `json:"count" doc:"failures of one kind that had no line of their own"`
	Error  string `json:"error" doc:"what they have in common"`
}

type changeRecord struct {
	head
	Target string `json:"target" doc:"the target as typed"`
	pathKeys
}

type plannedRecord struct {
	head
	Target string `json:"target" doc:"the target as typed"`
	Action string `json:"action" doc:"send or remove"`
	pathKeys
}

type lostRecord struct {
	head
	Count int    `json:"count" doc:"lines that were left out because they could not be printed in time"`
	Where string `json:"where" doc:"output or log file"`
}

type stateRecord struct {
	head
	Source  string        `json:"source" doc:"the source as typed"`
	Backend string        `json:"backend" doc:"fanotify, inotify or poll"`
	Reason  string        `json:"reason" doc:"why this backend"`
	Watches int64         `json:"watches" doc:"kernel watches in use"`
	Polled  int64         `json:"polled" doc:"directories that are polled for want of a watch"`
	Entries int           `json:"entries" doc:"entries known in the source"`
	Holding int           `json:"holding" doc:"files held back because they are being written"`
	Rescans int           `json:"rescans" doc:"scans of the whole source after lost events"`
	Targets []targetState `json:"targets" doc:"one object for each target"`
}

type targetState struct {
	Target  string     `json:"target" doc:"the target as typed"`
	State   string     `json:"state" doc:"connecting, first pass, in step, behind, failing, stopped, waiting, paused or quiet"`
	Since   time.Time  `json:"since" doc:"when it came into this state"`
	Behind  int        `json:"behind" doc:"paths not acknowledged"`
	Failing int        `json:"failing" doc:"of these, paths that failed and wait"`
	Oldest  *time.Time `json:"oldest" doc:"the oldest change not acknowledged, or since when a full pass is due; null if none"`
	Error   string     `json:"error,omitempty" doc:"the last failure"`
	ErrorAt *time.Time `json:"error_at,omitempty" doc:"when that was"`
	Errors  int        `json:"errors" doc:"failures so far"`
	Batches int        `json:"batches" doc:"batches acknowledged"`
	Files   int64      `json:"files" doc:"files sent"`
	Bytes   int64      `json:"bytes" doc:"bytes of content sent"`
	Wire    int64      `json:"wire" doc:"bytes on the wire in both directions"`
}

type errorRecord struct {
	head
	Error string `json:"error" doc:"why the command ends"`
	Hint  string `json:"hint,omitempty" doc:"the command that helps"`
	Exit  int    `json:"exit" doc:"the exit code"`
}

func newHead(event string) head { return head{event, time.Now()} }

// pathKeys name a path. JSON has no bytes, so a name that is not UTF-8 comes in
// base64.
type pathKeys struct {
	Path   string `json:"path,omitempty" doc:"the path below the source, \".\" for the source itself; absent if it is not UTF-8"`
	Base64 string `json:"path_base64,omitempty" doc:"the path's bytes in base64, if it is not UTF-8"`
}

func pathKeysOf(p tree.Path) pathKeys {
	switch {
	case p.IsRoot():
		return pathKeys{Path: "."}
	case utf8.ValidString(string(p)):
		return pathKeys{Path: string(p)}
	}
	return pathKeys{Base64: base64.StdEncoding.EncodeToString([]byte(p))}
}

// jsonEvent is an event with an example of its object.
type jsonEvent struct {
	event, meaning string
	object         any
}

// jsonEvents lists the events.
var jsonEvents = append([]jsonEvent{
	{"watching", "every directory of the source is watched", watchingRecord{}},
	{"progress", "a first pass is running; at most every 5 s", progressRecord{}},
	{"in-step", "a target's full pass is done and nothing is pending", inStepRecord{}},
	{"out-of-step", "with --once: a target's only pass is done and paths failed", inStepRecord{}},
	{"dry-run", "with --dry-run: what a first pass would do", inStepRecord{}},
	{"batch", "a target acknowledged changes; at most 10 lines a second, later ones sum up", batchRecord{}},
	{"change", "with -v: one path of a batch", changeRecord{}},
	{"planned", "with --dry-run -v: a file that would be sent, or a name that would be removed", plannedRecord{}},
	{"failing", "a target could not be reached or refused", failingRecord{}},
	{"recovered", "a failing target works again", recoveredRecord{}},
	{"path-failed", "one path could not be brought in step; it stays dirty", pathFailedRecord{}},
	{"held-back", "more failures like ones already shown", heldBackRecord{}},
	{"notice", "something the operator should know", noticeRecord{}},
	{"lost-lines", "lines were left out", lostRecord{}},
	{"state", "the answer to SIGUSR1", stateRecord{}},
	{"error", "the command ends with an error", errorRecord{}},
}, opsEvents...)

// jsonKey is one documented key.
type jsonKey struct{ name, meaning string }

// jsonKeys lists the keys of an object from its tags; those of its head are
// left out.
func jsonKeys(object any) []jsonKey { return tagKeys(reflect.TypeOf(object)) }

// headKeys lists the keys that every object has.
func headKeys() []jsonKey {
	return append(tagKeys(reflect.TypeFor[head]()), jsonKey{"mirror", "of what run prints: the mirror's name"})
}

func tagKeys(t reflect.Type) []jsonKey {
	var keys []jsonKey
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Type == reflect.TypeFor[head]() || !f.IsExported() && !f.Anonymous:
		case f.Anonymous:
			keys = append(keys, tagKeys(f.Type)...)
		default:
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			keys = append(keys, jsonKey{name, f.Tag.Get("doc")})
			if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
				for _, k := range tagKeys(f.Type.Elem()) {
					keys = append(keys, jsonKey{name + "[]." + k.name, k.meaning})
				}
			}
		}
	}
	return keys
}
