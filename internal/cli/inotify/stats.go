package inotify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/live/watch"
)

// errStopped ends the wait for events: somebody asked for the table.
var errStopped = errors.New("asked to stop")

// statistics is inotifywatch.
func (r *run) statistics() (int, error) {
	var err error
	if r.sel, err = r.set.selection(); err != nil {
		return exitError, err
	}
	if err := r.open(); err != nil {
		return exitError, err
	}
	defer r.raw.Close()
	paths, err := r.set.collect(r.in, r.complain)
	if err != nil {
		return exitError, err
	}
	r.prepare(r.asked()&^unix.IN_ISDIR, paths.skip)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)

	r.say("Establishing watches...")
	stopped, err := r.establish(paths.watch, signals)
	if err != nil || stopped {
		return exitError, err
	}
	if r.set.verbose > 0 {
		r.say(fmt.Sprintf("Total of %d watches.", r.count))
	}
	r.say("Finished establishing watches, now collecting statistics.")
	if r.set.timeout < 0 {
		r.say("Negative timeout specified - abort!")
		return exitError, nil
	}
	if r.set.timeout > 0 && r.set.verbose > 0 {
		r.say(fmt.Sprintf("Will listen for events for %d seconds.", r.set.timeout))
	}
	return r.collectCounts(signals)
}

// establish watches the arguments; stopped says that somebody wanted to end.
func (r *run) establish(args []string, signals <-chan os.Signal) (stopped bool, err error) {
	for _, arg := range args {
		if r.set.verbose > 0 && r.set.recursive && !r.set.fileSystem {
			r.say("Setting up watch(es) on " + arg)
		}
		if r.set.verbose > 0 && r.set.fileSystem {
			r.say("Setting up filesystem watch on " + arg)
		}
		if err := r.watchTop(arg); err != nil {
			return false, r.explain(arg, args, err)
		}
		if r.set.verbose > 0 && r.set.recursive && !r.set.fileSystem {
			r.say("OK, " + arg + " is now being watched.")
		}
		select {
		case s := <-signals:
			if s != syscall.SIGUSR1 {
				r.say("No statistics collected, asked to abort before all watches could be established.")
				return true, nil
			}
		default:
		}
	}
	return false, nil
}

// collectCounts counts events until it is time for the table.
func (r *run) collectCounts(signals <-chan os.Signal) (int, error) {
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	if r.set.timeout > 0 {
		t := time.AfterFunc(time.Duration(r.set.seconds())*time.Second, func() { stop(errStopped) })
		defer t.Stop()
	}
	tables := make(chan struct{}, 1)
	go func() {
		for {
			select {
			case s := <-signals:
				if s != syscall.SIGUSR1 {
					stop(errStopped)
					return
				}
				select {
				case tables <- struct{}{}:
				default:
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-tables:
			r.table()
			fmt.Fprintln(r.out)
			r.out.Flush()
		default:
		}
		ev, ok, err := r.raw.Next(ctx, tableDelay)
		switch {
		case errors.Is(err, errStopped):
			r.settle()
			r.table()
			return exitEvent, nil
		case err != nil:
			return exitError, fatal{strerror(err)}
		case ok:
			r.tally(ctx, &ev)
		default:
			r.settle()
		}
	}
}

// tableDelay is how long a table that was asked for may have to wait.
const tableDelay = 50 * time.Millisecond

// tally counts one record.
func (r *run) tally(ctx context.Context, ev *watch.RawEvent) {
	if ev.Mask&unix.IN_Q_OVERFLOW != 0 {
		r.say("Events were lost, since they came faster than they could be taken: the counts are too low.")
		r.again()
		return
	}
	o := r.byMark[ev.Mark]
	if r.set.fan {
		o = r.object(ev)
	}
	if o == nil {
		return
	}
	newDir := r.set.recursive && ev.Mask&watch.RawIsDir != 0 && ev.Mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0
	if path := o.path(); newDir || !r.sel.drops(path+ev.Name) || r.set.fan && !r.sel.drops(path) {
		if o.counts == nil {
			o.counts = map[uint32]int{}
		}
		o.total++
		for _, name := range columns {
			if m := maskOf(name); ev.Mask&m != 0 {
				o.counts[m]++
			}
		}
	}
	if !r.set.fan {
		r.follow(ctx, ev, o)
	} else if dir := (&object{name: ev.Dir, dir: true}); ev.Dir != "" {
		r.follow(ctx, ev, dir)
	}
}

// object is the row of what a fanotify record is about.
func (r *run) object(ev *watch.RawEvent) *object {
	path := ev.Dir + ev.Name
	for _, o := range r.tops {
		if o.name == path && o.up == nil {
			return o
		}
	}
	o := &object{name: path, number: r.count}
	r.count++
	r.tops = append(r.tops, o)
	return o
}

// table prints the counts.
func (r *run) table() {
	rows := r.rows()
	if len(rows) == 0 {
		r.say("No events occurred.")
		return
	}
	shown := r.columnsOf(rows)
	header := append([]string{"total"}, shown...)
	for _, name := range header {
		fmt.Fprintf(r.out, "%s  ", name)
	}
	fmt.Fprintln(r.out, "filename")
	for _, o := range rows {
		fmt.Fprintf(r.out, "%-*d  ", len("total"), o.total)
		for _, name := range shown {
			fmt.Fprintf(r.out, "%-*d  ", len(name), o.counts[maskOf(name)])
		}
		fmt.Fprintln(r.out, o.path())
	}
}

// rows are the objects that are shown, sorted.
func (r *run) rows() []*object {
	var all []*object
	total := 0
	for _, o := range r.tops {
		all = o.collect(all)
	}
	for _, o := range all {
		total += o.total
	}
	if total == 0 && !r.set.zero {
		return nil
	}
	if !r.set.zero {
		all = slices.DeleteFunc(all, func(o *object) bool { return o.total == 0 })
	}
	value := func(o *object) int {
		if r.set.key == "" || r.set.key == "total" {
			return o.total
		}
		return o.counts[maskOf(r.set.key)]
	}
	slices.SortFunc(all, func(a, b *object) int {
		x, y := value(a), value(b)
		if !r.set.ascending {
			x, y = y, x
		}
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a.number, b.number))
	})
	return all
}

func (o *object) collect(all []*object) []*object {
	all = append(all, o)
	for _, kid := range o.kids {
		all = kid.collect(all)
	}
	return all
}

// columnsOf are the kinds that get a column.
func (r *run) columnsOf(rows []*object) []string {
	var shown []string
	for _, name := range columns {
		mask, sum := maskOf(name), 0
		for _, o := range rows {
			sum += o.counts[mask]
		}
		if r.asked()&mask != 0 && (sum > 0 || r.set.zero) {
			shown = append(shown, strings.ToLower(name))
		}
	}
	return shown
}
