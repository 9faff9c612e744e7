package inotify

import (
	"context"
	"fmt"
	"log/syslog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/live/watch"
)

// pairTime is how long the second half of a move is waited for.
const pairTime = 20 * time.Millisecond

// wait is inotifywait.
func (r *run) wait() (int, error) {
	if err := r.open(); err != nil {
		return exitError, err
	}
	defer r.raw.Close()
	var err error
	if r.sel, err = r.set.selection(); err != nil {
		return exitError, err
	}
	p, err := newPrinter(r.set, r.out)
	if err != nil {
		return exitError, err
	}
	paths, err := r.set.collect(r.in, r.complain)
	if err != nil {
		return exitError, err
	}
	if r.set.daemon && !detached() {
		return r.detach(paths)
	}
	if err := r.redirect(); err != nil {
		return exitError, err
	}
	p.out = r.out
	mask := r.asked()
	if r.set.monitor && r.set.recursive && !r.set.fileSystem {
		mask |= unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM
	}
	if r.set.monitor && r.set.json && mask&unix.IN_MOVED_TO != 0 {
		mask |= unix.IN_MOVED_FROM
	}
	r.prepare(mask, paths.skip)
	switch {
	case r.set.fileSystem:
		r.note("Setting up filesystem watches.")
	case r.set.recursive:
		r.note("Setting up watches.  Beware: since -r was given, this may take a while!")
	default:
		r.note("Setting up watches.")
	}
	if err := r.watchAll(paths.watch); err != nil {
		return exitError, err
	}
	r.note("Watches established.")
	if r.set.timeout < 0 {
		r.complain("Negative timeout specified - abort!")
		return exitError, nil
	}
	return r.events(p)
}

// redirect opens the output file and syslog.
func (r *run) redirect() error {
	if r.set.outfile != "" && !r.set.daemon {
		f, err := os.OpenFile(r.set.outfile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return wrong("Failed to open output file " + r.set.outfile)
		}
		r.out.Reset(f)
	}
	if !r.set.syslog {
		return nil
	}
	log, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, "inotifywait")
	if err != nil {
		if console, err := os.OpenFile("/dev/console", os.O_WRONLY, 0); err == nil {
			r.errs = console
		}
		return nil
	}
	r.log = log
	return nil
}

// events takes and prints records until the wait is over.
func (r *run) events(p *printer) (int, error) {
	ctx := context.Background()
	longest := time.Duration(r.set.seconds()) * time.Second
	for {
		if !r.raw.Pending() {
			if err := r.out.Flush(); err != nil {
				return exitError, err
			}
		}
		ev, ok, err := r.next(ctx, longest)
		switch {
		case err != nil:
			return exitError, fatal{strerror(err)}
		case !ok:
			return exitTimeout, nil
		}
		if code, over := r.event(p, &ev); over {
			return code, nil
		}
	}
}

// next waits for a record. Directories whose move was told by halves are given
// up when the other half does not come.
func (r *run) next(ctx context.Context, longest time.Duration) (watch.RawEvent, bool, error) {
	if len(r.moving) > 0 {
		ev, ok, err := r.raw.Next(ctx, pairTime)
		if ok || err != nil {
			return ev, ok, err
		}
		r.settle()
	}
	return r.raw.Next(ctx, longest)
}

// event handles one record; over says that the wait has ended.
func (r *run) event(p *printer, ev *watch.RawEvent) (code int, over bool) {
	if ev.Mask&unix.IN_Q_OVERFLOW != 0 {
		r.say("Events were lost, since they came faster than they could be taken.")
		r.show(p, seen{mask: ev.Mask})
		r.again()
		return r.exitFor(ev.Mask), !r.set.monitor
	}
	o := r.byMark[ev.Mark]
	s := seen{in: o, name: ev.Name, mask: ev.Mask, cookie: ev.Cookie}
	switch {
	case r.set.fan:
		s.watched = ev.Dir
		o = &object{name: ev.Dir, dir: true}
	case o == nil:
		return 0, false // of a watch that was given up
	default:
		s.watched = r.pathOf(o)
	}
	if ev.Mask&unix.IN_IGNORED != 0 && !r.set.fan {
		r.forget(o)
	}
	newDir := r.set.recursive && ev.Mask&watch.RawIsDir != 0 && ev.Mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0
	dropped := r.repeats(ev, o) || !newDir && r.sel.drops(s.watched+s.name)
	if r.set.json {
		r.renames.pair(&s)
	}
	if !dropped && ev.Mask&r.asked() != 0 {
		r.show(p, s)
	}
	if !r.set.monitor {
		return r.exitFor(ev.Mask), !dropped
	}
	for _, found := range r.follow(ev, o) {
		if found.mask&r.asked()&^unix.IN_ISDIR != 0 && (found.mask&watch.RawIsDir != 0 || !r.sel.drops(found.watched+found.name)) {
			r.show(p, found)
		}
	}
	return 0, false
}

// show prints an event. With --include directories are followed, but not told.
func (r *run) show(p *printer, s seen) {
	if r.set.quiet > 1 || r.sel.re != nil && r.sel.include && s.mask&watch.RawIsDir != 0 {
		return
	}
	p.print(s)
}

// exitFor is the exit code of a wait that an event has ended.
func (r *run) exitFor(mask uint32) int {
	if mask&r.asked()&^unix.IN_ISDIR != 0 {
		return exitEvent
	}
	return exitError
}

// detach runs the program again in the background, without the terminal. The
// list of paths that came from the standard input goes along.
func (r *run) detach(p paths) (int, error) {
	out, err := os.OpenFile(r.set.outfile, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return exitError, wrong(fmt.Sprintf("%s: %s", strerror(err), r.set.outfile))
	}
	defer out.Close()
	if err := startDetached(out, p); err != nil {
		return exitError, wrong("Failed to daemonize: " + strerror(err))
	}
	return exitEvent, nil
}
