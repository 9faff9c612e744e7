package lockstep

import (
	"time"

	"lockstep/internal/ops/config"
	"lockstep/internal/ops/control"
	"lockstep/internal/ops/doctor"
	"lockstep/internal/ops/report"
)

// The objects that the commands for a running lockstep print.

type configRecord struct {
	head
	config.Config
}

type statusRecord struct {
	head
	report.Status
}

type mirrorStateRecord struct {
	head
	State string     `json:"state" doc:"starting, running, failed (tried again at next) or ended (an operator has to act)"`
	Error string     `json:"error,omitempty" doc:"why it ended"`
	Hint  string     `json:"hint,omitempty" doc:"what helps"`
	Next  *time.Time `json:"next,omitempty" doc:"when it is started again"`
}

type flushedRecord struct {
	head
	InStep  bool              `json:"in_step" doc:"whether every target that was named holds everything from before the call"`
	Seconds float64           `json:"seconds" doc:"how long that took"`
	Lagging []control.Lagging `json:"lagging" doc:"those that do not"`
}

type reloadedRecord struct {
	head
	Changes []control.Change `json:"changes" doc:"one object for each mirror"`
}

type doneRecord struct {
	head
	Op string `json:"op" doc:"pause, resume or resync"`
}

type pendingRecord struct {
	head
	control.Pending
}

type explainedRecord struct {
	head
	control.Explain
}

type differenceRecord struct {
	head
	Target string `json:"target" doc:"the target as configured"`
	What   string `json:"what" doc:"differs: missing on the target, or of other content; extra: on the target only"`
	pathKeys
}

type verifiedRecord struct {
	head
	Differences int  `json:"differences" doc:"paths that differ"`
	Repaired    bool `json:"repaired" doc:"whether they were then brought in step"`
}

type findingRecord struct {
	head
	doctor.Finding
}

type diagnosedRecord struct {
	head
	Problems int    `json:"problems" doc:"findings that are problems"`
	Warnings int    `json:"warnings" doc:"findings that are warnings"`
	Fixed    string `json:"fixed,omitempty" doc:"the file that --fix wrote"`
}

type moduleRecord struct {
	head
	Module string   `json:"module" doc:"the module's name"`
	File   string   `json:"file" doc:"where it begins"`
	Line   int      `json:"line" doc:"from 1"`
	Does   []string `json:"does" doc:"what it does, for people"`
}

type remarkRecord struct {
	head
	Level string `json:"level" doc:"warning, or error: a module cannot work like this"`
	File  string `json:"file" doc:"where the reason is"`
	Line  int    `json:"line" doc:"from 1; 0 is the whole file"`
	Text  string `json:"text" doc:"what is wrong"`
	Hint  string `json:"hint,omitempty" doc:"what helps"`
}

type judgedRecord struct {
	head
	File     string `json:"file" doc:"the configuration"`
	Errors   int    `json:"errors" doc:"remarks that are errors"`
	Warnings int    `json:"warnings" doc:"remarks that are warnings"`
}

// opsEvents lists them with their meaning.
var opsEvents = []jsonEvent{
	{"config", "of check: the effective configuration", configRecord{}},
	{"mirror-state", "of run: a mirror starts, runs, has failed or has ended", mirrorStateRecord{}},
	{"status", "of status: how everything does", statusRecord{}},
	{"flushed", "of flush: how it ended", flushedRecord{}},
	{"reloaded", "of run and reload: a configuration was applied", reloadedRecord{}},
	{"done", "of pause, resume and resync: it was done", doneRecord{}},
	{"pending", "of backlog: a path that a target has not acknowledged", pendingRecord{}},
	{"explained", "of explain: what becomes of a path in one mirror", explainedRecord{}},
	{"difference", "of verify: a path that a target does not hold as the source does", differenceRecord{}},
	{"finding", "of doctor: what came out of one look", findingRecord{}},
	{"diagnosed", "of doctor: it has looked at everything", diagnosedRecord{}},
	{"module", "of daemon check: what a module of an rsyncd.conf does", moduleRecord{}},
	{"remark", "of daemon check: what an operator should know about the configuration", remarkRecord{}},
	{"judged", "of daemon check: the whole configuration was read", judgedRecord{}},
	{"verified", "of verify: a mirror was compared", verifiedRecord{}},
}
