// Package doctor looks at a machine with the eyes of a mirror: the kernel and
// what it allows, each source, each target. It changes nothing but what Fix is
// asked to, and every finding that is not well names the command that mends it.
//
// Kernel tables are read below Options.Root, so that an image or a container
// can be judged and tests can make up a machine. What comes from there is not
// trusted: files are read up to a bound, and what cannot be parsed counts as
// not known.
//
// Targets are asked by a session in which nothing is sent. Examine runs them
// side by side, each within Options.Timeout; its functions share no state.
package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"lockstep/internal/ops/config"
	"lockstep/internal/ops/report"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Note    Level = "note"    // worth knowing; nothing has to be done
	Warning Level = "warning" // it works, but not as well as it could
	Problem Level = "problem" // mirroring fails, or loses something
)

// Finding is what came out of one look.
type Finding struct {
	Check  string `json:"check" doc:"what was looked at: kernel, privileges, clock, files, inotify, source, watch, target, space or running"`
	Level  Level  `json:"level" doc:"ok, note, warning or problem"`
	Mirror string `json:"mirror,omitempty" doc:"the mirror it is about"`
	Target string `json:"target,omitempty" doc:"the target it is about, as configured"`
	Text   string `json:"text" doc:"what was found, in words"`
	Fix    string `json:"fix,omitempty" doc:"the command that mends it, or that shows what is wrong"`
}

// Options say what is looked at.
type Options struct {
	Root    string          // where proc and etc lie; "" is /
	Mirrors []config.Mirror // may be none: then the machine alone is looked at
	Running int             // the process of a lockstep that has these mirrors already, 0 if there is none
	Offline bool            // leave the targets alone
	Timeout time.Duration   // for each target; 0 is defaultTimeout
}

// defaultTimeout is how long a target may take to answer.
const defaultTimeout = 15 * time.Second

// Report is everything that was found.
type Report struct {
	Findings []Finding // the machine first, then each mirror with its targets
	Sysctls  []Sysctl  // what Fix would set
}

// Worst is the worst level of all findings.
func (r *Report) Worst() Level {
	order := []Level{OK, Note, Warning, Problem}
	worst := 0
	for _, f := range r.Findings {
		worst = max(worst, slices.Index(order, f.Level))
	}
	return order[worst]
}

// Count is how many findings have a level.
func (r *Report) Count(l Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// Examine looks at everything. It ends early, with what it has, when ctx does.
func Examine(ctx context.Context, o Options) *Report {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	m := machine{root: o.Root}
	mirrors := make([]mirrorView, len(o.Mirrors))
	var wg sync.WaitGroup
	for i := range o.Mirrors {
		wg.Go(func() { mirrors[i] = examineMirror(ctx, &o, &o.Mirrors[i]) })
	}
	wg.Wait()

	r := &Report{}
	add := func(fs ...Finding) { r.Findings = append(r.Findings, fs...) }
	add(m.kernel(), m.privileges(), clock())
	add(m.files(mirrors)...)
	limits, sysctls := m.inotify(o.Running, mirrors)
	add(limits...)
	r.Sysctls = sysctls
	for i := range mirrors {
		add(mirrors[i].findings...)
	}
	return r
}

// machine is where kernel tables are read.
type machine struct{ root string }

func (m machine) path(name string) string { return filepath.Join(m.root, name) }

// count is a number of things, for people.
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return report.Grouped(n) + " " + many
}

// size writes a number of bytes with a unit.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1024, 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}
