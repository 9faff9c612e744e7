package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/ops/report"
)

// The operations.
const (
	OpStatus  = "status"
	OpFlush   = "flush"
	OpReload  = "reload"
	OpPause   = "pause"
	OpResume  = "resume"
	OpResync  = "resync"
	OpBacklog = "backlog"
	OpExplain = "explain"

	OpVerified = "verified"
)

// Ops are all operations, in the order of the documentation.
var Ops = []string{OpStatus, OpFlush, OpReload, OpPause, OpResume, OpResync, OpBacklog, OpExplain, OpVerified}

// OpMeaning says what they do.
var OpMeaning = map[string]string{
	OpStatus:  "says how everything does",
	OpFlush:   "waits until everything that was changed before is on every target that is meant",
	OpReload:  "reads the configuration again and applies it",
	OpPause:   "sends nothing new; changes go on being collected",
	OpResume:  "ends a pause; tries again now what had stopped, failed or ended; counts anew what waits to be deleted",
	OpResync:  "compares everything with the targets in a full pass",
	OpBacklog: "lists what targets have not acknowledged",
	OpExplain: "says why a path is mirrored or not",

	OpVerified: "notes how many differences a comparison of the named mirror has left; it is how verify tells",
}

// Request is what a client asks for.
type Request struct {
	Op        string `json:"op" doc:"what to do"`
	Mirror    string `json:"mirror,omitempty" doc:"the mirror meant; all if empty"`
	Target    string `json:"target,omitempty" doc:"the target meant, as configured; all if empty"`
	Path      []byte `json:"path,omitempty" doc:"explain: an absolute path, its bytes in base64"`
	Limit     int    `json:"limit,omitempty" doc:"backlog: list at most so many paths for each target, 1000 if 0"`
	Count     int    `json:"count,omitempty" doc:"verified: the differences"`
	TimeoutMS int64  `json:"timeout_ms,omitempty" doc:"flush: give up after so many milliseconds; 0 is never"`
}

// Codes of failures.
const (
	CodeUsage  = "usage"  // the request cannot be understood, or names what is not there
	CodeBehind = "behind" // flush: not every target holds everything
	CodeFailed = "failed" // it was tried and failed
)

// Reply is what the server answers.
type Reply struct {
	OK      bool           `json:"ok" doc:"whether it was done"`
	Code    string         `json:"code,omitempty" doc:"if not: usage, behind or failed"`
	Error   string         `json:"error,omitempty" doc:"if not: why"`
	Status  *report.Status `json:"status,omitempty" doc:"of status"`
	Lagging []Lagging      `json:"lagging,omitempty" doc:"of flush: who does not hold everything"`
	Changes []Change       `json:"changes,omitempty" doc:"of reload: what became of each mirror"`
	Pending []Pending      `json:"pending,omitempty" doc:"of backlog: the oldest first for each target"`
	Explain []Explain      `json:"explain,omitempty" doc:"of explain: one for each mirror whose source holds the path"`
}

// Lagging is a target that does not hold everything yet.
type Lagging struct {
	Mirror string     `json:"mirror" doc:"the mirror"`
	Target string     `json:"target" doc:"the target; empty if the mirror does not run"`
	State  string     `json:"state" doc:"the target's state"`
	Behind int        `json:"behind" doc:"paths not acknowledged"`
	Oldest *time.Time `json:"oldest" doc:"the oldest of them; null if not known"`
	Error  string     `json:"error,omitempty" doc:"why it lags, or its last failure"`
}

// Change is what a reload did to one mirror.
type Change struct {
	Mirror string `json:"mirror" doc:"the mirror"`
	What   string `json:"what" doc:"started, restarted, stopped or unchanged"`
}

// Pending is a path that a target has not acknowledged.
type Pending struct {
	Mirror string     `json:"mirror" doc:"the mirror"`
	Target string     `json:"target" doc:"the target"`
	Path   string     `json:"path" doc:"the path below the source, quoted where it has to be; . is everything, in a full pass"`
	From   string     `json:"from,omitempty" doc:"of a rename: its old name"`
	Class  string     `json:"class" doc:"what is compared: attr, content, children, tree; or rename"`
	Since  time.Time  `json:"since" doc:"when its oldest change was seen"`
	Out    bool       `json:"out" doc:"it is on its way"`
	Tries  int        `json:"tries" doc:"failures in a row"`
	Next   *time.Time `json:"next,omitempty" doc:"not tried again before"`
	Held   bool       `json:"held" doc:"it is being written, and goes when it is closed"`
}

// Explain says what becomes of a path.
type Explain struct {
	Mirror   string   `json:"mirror" doc:"the mirror"`
	Path     string   `json:"path" doc:"the path below the source, quoted where it has to be"`
	Mirrored bool     `json:"mirrored" doc:"whether it is mirrored"`
	Why      string   `json:"why" doc:"the reason in words"`
	Rule     string   `json:"rule,omitempty" doc:"the filter rule that decided"`
	Origin   string   `json:"origin,omitempty" doc:"where that rule was given: file and line, or configuration"`
	Decided  string   `json:"decided,omitempty" doc:"the directory above it that the rule matched, if it was one"`
	Pending  []string `json:"pending,omitempty" doc:"targets that have not acknowledged it"`
}

// maxLine bounds a request and a reply, in bytes.
const maxLine = 16 << 20

// maxRequest bounds a request, in bytes.
const maxRequest = 1 << 20

// ParseRequest reads one line.
func ParseRequest(line []byte) (Request, error) {
	var r Request
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("request: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("request: more than one object on a line")
	}
	for _, op := range Ops {
		if r.Op == op {
			return r, nil
		}
	}
	return r, fmt.Errorf("request: there is no op %s", tree.Quote(r.Op))
}

// Failure is a Reply with OK false, as an error.
type Failure struct {
	Code, Text string
	Lagging    []Lagging
}

func (f *Failure) Error() string { return f.Text }
