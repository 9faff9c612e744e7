package watch

import (
	"time"

	"lockstep/internal/fs/tree"
)

// PlainNames makes fanotify behave as on kernels before 5.17.
func PlainNames(c *Config) { c.plainNames = true }

// PauseReading keeps w from draining the kernel's queues until resume.
func PauseReading(w *Watch) (resume func()) {
	var held []*intake
	if w.fan != nil {
		held = append(held, w.fan.in)
	}
	if w.ino != nil {
		held = append(held, w.ino.in)
	}
	for _, in := range held {
		in.mu.Lock()
	}
	return func() {
		for _, in := range held {
			in.mu.Unlock()
		}
	}
}

// Record is what a kernel record says, in a comparable form.
type Record struct {
	Watch           int32
	Mask            uint64
	Cookie          uint32
	PID             int32
	Dir, Name       string
	OldDir, OldName string
	NewDir, NewName string
	Self            string
}

// NextInotify cuts the first record off b.
func NextInotify(b []byte) (Record, []byte, error) {
	r, rest, err := nextIno(b)
	return Record{Watch: r.wd, Mask: uint64(r.mask), Cookie: r.cookie, Name: string(r.name)}, rest, err
}

// NextFanotify cuts the first record off b.
func NextFanotify(b []byte) (Record, []byte, error) {
	r, rest, err := nextFan(b)
	return Record{
		Mask: r.mask, PID: r.pid, Self: string(r.self), Dir: string(r.at.dir), Name: string(r.at.name),
		OldDir: string(r.old.dir), OldName: string(r.old.name), NewDir: string(r.new.dir), NewName: string(r.new.name),
	}, rest, err
}

// TakePair is takePair.
func TakePair(b []byte, cookie uint32) (name string, found, sure bool) {
	r, found, sure := takePair(b, cookie)
	return string(r.name), found, sure
}

// MountPoint reads a line of mountinfo.
func MountPoint(line string) (point, text string, ok bool) {
	m, ok := parseMount(line)
	return m.point, m.String(), ok
}

// Differences compares a directory's listing with an older one.
func Differences(old, listing []tree.Entry, complete bool, oldNow, now time.Time) (out []Event) {
	s := (*snapshot)(nil).compare(1, old, true, oldNow, func(difference) {})
	s.compare(1, listing, complete, now, func(d difference) {
		out = append(out, Event{Op: d.op, Path: tree.Path(d.name), Dir: d.dir})
	})
	return out
}

// OpenRawLimited is OpenRaw that keeps so many bytes in memory.
var OpenRawLimited = openRaw
