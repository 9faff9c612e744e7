package lockstep

import (
	"io"
	"time"

	"lockstep/internal/cli/eventline"
	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
	"lockstep/internal/live/watch"
	"lockstep/internal/ops/config"
)

// What the tests of this package reach beyond Main.
var (
	ParseBandwidth = config.ParseRate
	ParseDuration  = parseDuration
	ByteCount      = byteCount
	Count          = count[int]
	LogEvent       = logEvent
	ParseEvents    = parseEvents
	HintOf         = hintOf
	CodeOf         = codeOf
	Outside        = outside
)

// The types behind them.
type (
	Message     = message
	BatchRecord = batchRecord
	Board       = board
)

// NewBoard makes a board of a live mirror.
func NewBoard(source string, verbose bool) *board {
	return newBoard(source, boardOptions{verbose: verbose})
}

// MessageText is what a person reads of m.
func MessageText(m message) string { return m.text }

// MessageObject is m for --json.
func MessageObject(m message) any { return m.object }

func (b *board) Batch(now time.Time, name string, r mirror.BatchReport) { b.batch(now, name, r) }
func (b *board) Take(now time.Time, all bool) ([]message, time.Time)    { return b.take(now, all) }
func (b *board) Progress(now time.Time, name string, p target.Progress) { b.progress(now, name, p) }
func (b *board) ProgressLines(now time.Time) ([]message, time.Time)     { return b.progressLines(now) }
func (b *board) Status(now time.Time) string                            { return b.status(now) }
func (b *board) InStep(now time.Time, name string, p mirror.Pass)       { b.inStep(now, name, p) }
func (b *board) Recovered(now time.Time, name string)                   { b.recovered(now, name) }
func (b *board) TargetFailing(now time.Time, name string, err error, since, next time.Time) {
	b.targetFailing(now, name, err, since, next)
}
func (b *board) PathFailed(now time.Time, name string, p tree.Path, err error) {
	b.pathFailed(now, name, p, err)
}

// ExitCodes is the table of exit codes.
func ExitCodes() map[int]string {
	codes := map[int]string{}
	for _, row := range exitCodes {
		codes[row.code] = row.meaning
	}
	return codes
}

// JSONKeys is the documented meaning of every key of --json, by event and key.
func JSONKeys() map[[2]string]string {
	keys := map[[2]string]string{}
	for _, k := range headKeys() {
		keys[[2]string{"every event", k.name}] = k.meaning
	}
	for _, e := range jsonEvents {
		keys[[2]string{e.event, "event"}] = e.meaning
		for _, k := range jsonKeys(e.object) {
			keys[[2]string{e.event, k.name}] = k.meaning
		}
	}
	return keys
}

// Conversions is the table of --format.
func Conversions() map[string]string {
	table := map[string]string{}
	for _, c := range conversions {
		table[c.conversion] = c.meaning
	}
	return table
}

// CatchSignals takes over the signals for good.
func CatchSignals(onFirst, onState func()) { catchSignals(onFirst, onState) }

// StartReporter starts a reporter for people; done prints what is left.
func StartReporter(out, errs io.Writer) (l mirror.Listener, done func()) {
	r := startReporter(newConsole(out, errs), newBoard("/src", boardOptions{}), false, false, func() {})
	return r.listener(), r.close
}

// OpenLog opens a log of changes; done writes what is left.
func OpenLog(name, format, source string) (add func(watch.Event), done func(), err error) {
	f, err := eventline.Compile(format, defaultTimeFmt)
	if err != nil {
		return nil, nil, err
	}
	l, err := openChangeLog(name, f, nil)
	if err != nil {
		return nil, nil, err
	}
	return l.listener(source), l.close, nil
}

// ScreenText and Style are those of status --watch.
var ScreenText = screenText

type Style = style
