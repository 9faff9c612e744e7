package watch

import (
	"fmt"
	"strings"

	"lockstep/internal/fs/tree"
)

// region is a part of the source, from a mount point down, with the backend
// that watches it. A deeper region takes its part out of a shallower one.
type region struct {
	backend Backend
	poll    *poller // with Poll
}

type regions map[tree.Path]region

// of is the region that p lies in.
func (r regions) of(p tree.Path) region {
	for {
		if found, ok := r[p]; ok || p == tree.Root {
			return found
		}
		p = p.Parent()
	}
}

// decide probes the backends and takes one for the root and for each mount
// below it.
func (w *Watch) decide() error {
	own, below, err := mountsAt(w.pin)
	if err != nil {
		return err
	}
	w.below = below
	if err := w.chooseRoot(own); err != nil {
		return err
	}
	for _, n := range below {
		if note := w.chooseNested(n); note != "" {
			w.choice.Reason += "; " + note
		}
	}
	return nil
}

// choose decides and arms what was taken.
func (w *Watch) choose() error {
	if err := w.decide(); err != nil {
		return err
	}
	if w.ino != nil {
		err := w.ino.armAll()
		w.ino.rest()
		if err != nil {
			return err
		}
	}
	for _, r := range w.regions {
		if r.poll == nil {
			continue
		}
		if err := r.poll.baseline(); err != nil {
			if r.poll.at == tree.Root {
				return err
			}
			r.poll.complain(err)
		}
	}
	if err := w.ctx.Err(); err != nil {
		return err
	}
	return w.pin.check()
}

// chooseRoot decides about the root. Reasons name what did not work before
// what does.
func (w *Watch) chooseRoot(own mount) error {
	var refused []string
	take := func(b Backend, format string, args ...any) error {
		reason := b.String() + ": " + fmt.Sprintf(format, args...)
		w.choice = Choice{Backend: b, Reason: strings.Join(append([]string{reason}, refused...), "; ")}
		w.regions[tree.Root] = region{backend: b}
		return nil
	}
	auto := w.cfg.Backend == Auto
	if name, yes := remote(w.pin.real); auto && yes {
		refused = append(refused, name+" does not tell of changes made elsewhere")
	} else {
		if auto || w.cfg.Backend == Fanotify {
			err := w.openFanotify()
			if err == nil {
				return take(Fanotify, "one mark on %v", own)
			}
			if !auto {
				return err
			}
			refused = append(refused, err.Error())
		}
		if auto || w.cfg.Backend == Inotify {
			err := w.openInotify()
			if err == nil {
				w.ino.addTop(tree.Root)
				return take(Inotify, "one watch for each directory of %v", own)
			}
			if !auto {
				return err
			}
			w.notice(instancesHint(), "no inotify instance is left, so changes are found by polling")
			refused = append(refused, err.Error())
		}
	}
	_ = take(Poll, "every %v on %v", w.cfg.PollInterval, own)
	w.regions[tree.Root] = region{backend: Poll, poll: newPoller(w, tree.Root, w.pin)}
	return nil
}

// chooseNested decides about a mount below the root, and says so if it is not
// watched as what surrounds it is.
func (w *Watch) chooseNested(n nested) (note string) {
	if w.skip(n.at, true) {
		return ""
	}
	around := w.regions.of(n.at)
	if around.backend == Poll {
		return ""
	}
	if why := w.mustPoll(n); why != "" {
		p, err := w.pollNested(n)
		if err != nil {
			return fmt.Sprintf("%v not watched, %v", n.at, err)
		}
		w.regions[n.at] = region{backend: Poll, poll: p}
		if w.ino != nil {
			w.ino.cede(n.at)
		}
		return fmt.Sprintf("%v polled, %s", n.at, why)
	}
	if around.backend == Inotify {
		return ""
	}
	err := w.fan.mark(n)
	if err == nil {
		w.regions[n.at] = region{backend: Fanotify}
		return ""
	}
	if w.openInotify() == nil {
		w.ino.addTop(n.at)
		w.regions[n.at] = region{backend: Inotify}
		return fmt.Sprintf("%v by inotify, %v", n.at, err)
	}
	if p, perr := w.pollNested(n); perr == nil {
		w.regions[n.at] = region{backend: Poll, poll: p}
		return fmt.Sprintf("%v polled, %v", n.at, err)
	}
	return ""
}

// mustPoll is why n can only be polled, or "".
func (w *Watch) mustPoll(n nested) string {
	if n.alias {
		return "it shows a directory of the source a second time"
	}
	if name, yes := remote(n.point); yes {
		return name + " does not tell of changes made elsewhere"
	}
	return ""
}

func (w *Watch) pollNested(n nested) (*poller, error) {
	pin, err := pinRoot(n.point)
	if err != nil {
		return nil, err
	}
	return newPoller(w, n.at, pin), nil
}

// mounted takes in a file system that was mounted below the root while the
// watch ran. What is on it counts as moved in.
func (w *Watch) mounted(n nested) {
	if w.skip(n.at, true) {
		return
	}
	around, poll := w.regions.of(n.at), w.mustPoll(n) != ""
	switch {
	case around.backend == Poll: // what watches it already
	case around.backend == Inotify && !poll:
		_ = w.ino.tasks.call(w.ctx, func() { w.ino.rearm(n.at) })
	case poll || w.markLate(n) != nil:
		w.pollLate(n)
	}
	w.send([]Event{{Op: MovedTo, Path: n.at, Dir: true}}, nil)
}

func (w *Watch) markLate(n nested) error {
	var err error
	if cerr := w.fan.tasks.call(w.ctx, func() { err = w.fan.mark(n) }); cerr != nil {
		return cerr
	}
	if err == nil {
		w.regions[n.at] = region{backend: Fanotify}
	}
	return err
}

func (w *Watch) pollLate(n nested) {
	p, err := w.pollNested(n)
	if err == nil {
		err = p.baseline()
	}
	if err != nil {
		w.notice("", "the mount at %v is not watched: %v", n.at, err)
		return
	}
	w.regions[n.at] = region{backend: Poll, poll: p}
	w.notice("", "the mount at %v is polled", n.at)
	if w.ino != nil {
		_ = w.ino.tasks.call(w.ctx, func() { w.ino.cede(n.at) })
	}
	w.wg.Go(p.run)
}

// unmounted lets go of a file system below the root.
func (w *Watch) unmounted(at tree.Path) {
	r, own := w.regions[at]
	if own {
		delete(w.regions, at)
	}
	switch {
	case own && r.poll != nil:
		r.poll.end()
	case own && r.backend == Fanotify:
		_ = w.fan.tasks.call(w.ctx, func() { w.fan.unmark(at) })
	}
	if w.ino != nil {
		_ = w.ino.tasks.call(w.ctx, func() { w.ino.reclaim(at) })
	}
	w.send([]Event{{Op: Unmount, Path: at, Dir: true}}, nil)
}
