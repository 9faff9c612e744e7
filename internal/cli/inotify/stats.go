package inotify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/live/watch"
)

// errStopped ends the wait for events: somebody asked for the table.
var errStopped = errors.New("asked to stop")

// errTable interrupts the wait for events: somebody asked for the table.
var errTable = errors.New("asked for the table")

// fatalAbort ends the program while it sets up watches.
const fatalAbort = "No statistics collected, asked to abort before all watches could be established."

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
	r.prepare(r.asked(), paths.skip)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)

	r.say("Establishing watches...")
	r.stop = r.interruption(signals)
	if err := r.establish(paths.watch); err != nil {
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

// interruption says, the first time that somebody wants to end while watches
// are set up, that there is nothing to show yet. The second time it is an error.
func (r *run) interruption(signals <-chan os.Signal) func() error {
	asked := false
	return func() error {
		for {
			select {
			case s := <-signals:
				switch {
				case s == syscall.SIGUSR1:
				case asked:
					return fatal{fatalAbort}
				default:
					asked = true
					r.say("No statistics have been collected because I haven't finished establishing\n" +
						"inotify watches yet.  If you are sure you want me to exit, interrupt me again.")
				}
			default:
				return nil
			}
		}
	}
}

// establish watches the arguments.
func (r *run) establish(args []string) error {
	for _, arg := range args {
		if r.set.verbose > 0 && r.set.recursive && !r.set.fileSystem {
			r.say("Setting up watch(es) on " + arg)
		}
		if r.set.verbose > 0 && r.set.fileSystem {
			r.say("Setting up filesystem watch on " + arg)
		}
		var stopped fatal
		if err := r.watchTop(arg); errors.As(err, &stopped) {
			return err
		} else if err != nil {
			return r.explain(arg, args, err)
		}
		if r.set.verbose > 0 && r.set.recursive && !r.set.fileSystem {
			r.say("OK, " + arg + " is now being watched.")
		}
	}
	r.stop = nil
	return nil
}

// collectCounts counts events until it is time for the table.
func (r *run) collectCounts(signals <-chan os.Signal) (int, error) {
	ending, end := context.WithCancelCause(context.Background())
	defer end(nil)
	if r.set.timeout > 0 {
		t := time.AfterFunc(time.Duration(r.set.seconds())*time.Second, func() { end(errStopped) })
		defer t.Stop()
	}
	tables := make(chan struct{}, 1)
	go func() {
		for {
			select {
			case s := <-signals:
				if s != syscall.SIGUSR1 {
					end(errStopped)
					return
				}
				select {
				case tables <- struct{}{}:
				default:
				}
			case <-ending.Done():
				return
			}
		}
	}()
	for {
		err := r.countUntil(ending, tables)
		if !errors.Is(err, errTable) && !errors.Is(err, errStopped) {
			return exitError, fatal{strerror(err)}
		}
		r.table()
		if ending.Err() != nil {
			return exitEvent, nil
		}
		fmt.Fprintln(r.out)
		if err := r.out.Flush(); err != nil {
			return exitError, err
		}
	}
}

// countUntil counts until ending ends, whose cause it returns, or somebody asks
// for the table: errTable.
func (r *run) countUntil(ending context.Context, tables <-chan struct{}) error {
	ctx, pause := context.WithCancelCause(ending)
	defer pause(nil)
	go func() {
		select {
		case <-tables:
			pause(errTable)
		case <-ctx.Done():
		}
	}()
	for {
		ev, ok, err := r.next(ctx, 0)
		if err != nil {
			return errors.Join(err, r.countRest())
		}
		if ok {
			r.tally(&ev)
		}
	}
}

// countRest counts what has happened by now.
func (r *run) countRest() error {
	for now := r.raw.Now(); r.raw.Took() < now; {
		ev, ok, err := r.raw.Next(context.Background(), tableDelay)
		if err != nil {
			return err
		}
		if ok {
			r.tally(&ev)
		}
	}
	r.settle()
	return nil
}

// tableDelay bounds one wait for records that are in memory already.
const tableDelay = 50 * time.Millisecond

// tally counts one record.
func (r *run) tally(ev *watch.RawEvent) {
	if ev.Mask&unix.IN_Q_OVERFLOW != 0 {
		r.say("Events were lost, since they came faster than they could be taken: the counts are too low.")
		r.again()
		return
	}
	o := r.byMark[ev.Mark]
	if r.set.fan {
		o = r.object(ev.Dir + ev.Name)
	}
	if o == nil {
		return
	}
	newDir := r.set.recursive && ev.Mask&watch.RawIsDir != 0 && ev.Mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0
	switch path := r.pathOf(o); {
	case r.repeats(ev, o):
	case newDir, r.set.fan && !r.sel.drops(path), !r.set.fan && !r.sel.drops(path+ev.Name):
		o.tally(ev.Mask)
	}
	if r.set.fan {
		o = &object{name: ev.Dir, dir: true}
	}
	for _, found := range r.follow(ev, o) {
		if found.mask&watch.RawIsDir == 0 && r.sel.drops(found.watched+found.name) {
			continue
		}
		if r.set.fan {
			r.object(found.watched + found.name).tally(found.mask)
		} else if found.in != nil && found.mask&r.mask&^unix.IN_ISDIR != 0 {
			found.in.tally(found.mask)
		}
	}
}

// counts are those of columns.
type counts [len(columns)]int

func (o *object) tally(mask uint32) {
	if o.counts == nil {
		o.counts = &counts{}
	}
	o.total++
	for i := range columns {
		if mask&columns[i].mask != 0 {
			o.counts[i]++
		}
	}
}

// count is that of a column, by its index.
func (o *object) count(column int) int {
	if o.counts == nil {
		return 0
	}
	return o.counts[column]
}

// object is the row of what fanotify records tell of path.
func (r *run) object(path string) *object {
	o := r.byPath[path]
	if o == nil {
		if r.byPath == nil {
			r.byPath = map[string]*object{}
		}
		o = &object{name: path, number: len(r.byPath)}
		r.byPath[path] = o
		r.rows = append(r.rows, o)
	}
	return o
}

// table prints the counts.
func (r *run) table() {
	rows := r.sorted()
	if len(rows) == 0 {
		r.say("No events occurred.")
		return
	}
	shown := r.columnsOf(rows)
	fmt.Fprint(r.out, "total  ")
	for _, c := range shown {
		fmt.Fprintf(r.out, "%s  ", columns[c].name)
	}
	fmt.Fprintln(r.out, "filename")
	for _, o := range rows {
		fmt.Fprintf(r.out, "%-*d  ", len("total"), o.total)
		for _, c := range shown {
			fmt.Fprintf(r.out, "%-*d  ", len(columns[c].name), o.count(c))
		}
		fmt.Fprintln(r.out, o.path())
	}
}

// sorted are the rows that are shown.
func (r *run) sorted() []*object {
	total := 0
	var all []*object
	for _, o := range r.rows {
		total += o.total
		if !o.left && (r.set.zero || o.total > 0) {
			all = append(all, o)
		}
	}
	if total == 0 {
		return nil
	}
	value := func(o *object) int { return o.total }
	for i, c := range columns {
		if c.name == r.set.key {
			value = func(o *object) int { return o.count(i) }
		}
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

// columnsOf are the kinds that get a column, as indexes of columns.
func (r *run) columnsOf(rows []*object) (shown []int) {
	for i, c := range columns {
		sum := 0
		for _, o := range rows {
			sum += o.count(i)
		}
		if r.asked()&c.mask != 0 && (sum > 0 || r.set.zero) {
			shown = append(shown, i)
		}
	}
	return shown
}
