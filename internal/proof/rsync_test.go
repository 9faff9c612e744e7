package proof_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/proof/harness"
)

// row is one piece of work for rsync. It is done once by the real rsync at
// both ends and then again, each time in a new world that begins the same,
// with lockstep at either end or both; all must leave the same world, say the
// same and end with the same code.
type row struct {
	name  string
	world string // layout of what there is before; see harness.Plant
	args  string // options, as a shell would take them apart; $W is the world
	from  string // sources, src/ by default, - for none
	to    string // destination, dst/ by default, - for none
	env   string // words NAME=VALUE
	stdin string
	root  bool                // needs root
	via   []harness.Transport // all, if nil
	least int                 // the least protocol that can do it
	twice bool                // run it again in the same world
	order bool                // the order of lines is not determined
	quiet bool                // compare no standard error: several processes fail at once
	said  string              // a file in the world that holds messages, such as a log
	mount string              // directories to mount a file system on first; needs root
	want  harness.Comparison  // what to compare besides names, types, content, attributes and hard links
}

// corner is who is at which end.
type corner struct{ sender, receiver bool } // true: lockstep

func (c corner) String() string {
	name := map[bool]string{false: "rsync", true: "lockstep"}
	return name[c.sender] + " to " + name[c.receiver]
}

var reference = corner{}

// corners are those of a transport, without the reference.
func corners(via harness.Transport) []corner {
	if via == harness.Local {
		return []corner{{true, true}}
	}
	return []corner{{true, false}, {false, true}, {true, true}}
}

const (
	oldestProtocol  = 27
	reportsProtocol = 29 // before, a client that receives shows from two processes what it does
	newestProtocol  = 32
)

// lab is where worlds are made and what they are tried with.
var lab struct {
	once    sync.Once
	err     error
	dir     string // holds the worlds; the daemons' module
	tools   string
	real    string
	ours    string
	shell   *harness.Shell
	daemons map[bool]*harness.Daemon // true is ours
	worlds  atomic.Int64
}

// oursVar names the environment variable with a program to try in place of
// lockstep, such as the real rsync, which must pass.
const oursVar = "LOCKSTEP_RSYNC_OURS"

// worldsVar names the environment variable with the directory to make worlds
// in: a tmpfs by default, where that costs least.
const worldsVar = "LOCKSTEP_RSYNC_WORLDS"

// worldsRoom is what the largest worlds that are there at one time take, in
// bytes, with much to spare.
const worldsRoom = 1 << 30

// moduleVar names the environment variable with further lines for the daemons'
// module, a semicolon between them, such as "use chroot = yes".
const moduleVar = "LOCKSTEP_RSYNC_MODULE"

func worldsDir() string {
	if dir := os.Getenv(worldsVar); dir != "" {
		return dir
	}
	const memory = "/dev/shm"
	probe, err := os.CreateTemp(memory, "lockstep-probe-")
	if err != nil {
		return ""
	}
	defer os.Remove(probe.Name())
	defer probe.Close()
	if unix.Fsetxattr(int(probe.Fd()), "user.probe", []byte("x"), 0) != nil {
		return ""
	}
	var room unix.Statfs_t // containers may have 64 MiB there
	if unix.Fstatfs(int(probe.Fd()), &room) != nil || room.Bavail*uint64(room.Bsize) < worldsRoom {
		return ""
	}
	return memory
}

func openLab() error {
	base, err := os.MkdirTemp(worldsDir(), "lockstep-worlds-")
	if err != nil {
		return err
	}
	lab.dir, lab.tools = filepath.Join(base, "w"), filepath.Join(base, "tools")
	for _, dir := range []string{lab.dir, lab.tools} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(base, 0o755); err != nil {
		return err
	}
	if lab.real, err = harness.RealRsync(); err != nil {
		return err
	}
	if lab.ours = os.Getenv(oursVar); lab.ours == "" {
		built, err := harness.Binary()
		if err != nil {
			return err
		}
		lab.ours = filepath.Join(lab.tools, "rsync")
		if err := os.Symlink(built, lab.ours); err != nil {
			return err
		}
	}
	if lab.shell, err = harness.NewShell(lab.tools); err != nil {
		return err
	}
	lab.daemons = map[bool]*harness.Daemon{}
	for ours, program := range map[bool]string{false: lab.real, true: lab.ours} {
		if err := serveLab(ours, program); err != nil {
			return err
		}
	}
	return nil
}

// serveLab starts a program's daemon.
func serveLab(ours bool, program string) error {
	dir := filepath.Join(lab.tools, map[bool]string{false: "real", true: "ours"}[ours])
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "motd"), []byte("Welcome!\n"), 0o644); err != nil {
		return err
	}
	owner := ""
	if os.Geteuid() == 0 {
		owner = "uid = root\ngid = root"
	}
	d, err := harness.StartDaemon(harness.DaemonConfig{
		Dir: dir, Path: lab.dir, Module: "m", NoAuth: true, Program: program,
		Lines: append([]string{"munge symlinks = no", "ignore errors = no", "max connections = 0", "numeric ids = no", "list = yes", "comment = worlds"},
			strings.Split(os.Getenv(moduleVar), ";")...),
		Other: []string{
			"[locked]", "path = " + lab.dir, "comment = with a password", "read only = yes", "list = yes",
			"auth users = " + harness.User, "secrets file = " + filepath.Join(dir, "web.pass"), owner,
			"[hidden]", "path = " + lab.dir, "list = no", owner,
		},
		Global: []string{"motd file = " + filepath.Join(dir, "motd")},
	})
	if err == nil {
		lab.daemons[ours] = d
	}
	return err
}

// closeLab ends what openLab began.
func closeLab() {
	for _, d := range lab.daemons {
		d.End()
	}
	if lab.dir != "" {
		_ = os.RemoveAll(filepath.Dir(lab.dir))
	}
}

func needLab(t *testing.T) {
	t.Helper()
	need(t, "rsync")
	lab.once.Do(func() { lab.err = openLab() })
	check(t, lab.err)
}

// attempt is one run of a row.
type attempt struct {
	world    string
	via      harness.Transport
	mounts   []string
	words    []string
	outcomes []harness.Outcome
	span     harness.Span
}

func (a attempt) remove() {
	for _, dir := range a.mounts {
		if harness.Unmount(filepath.Join(a.world, dir)) != nil {
			return
		}
	}
	_ = os.RemoveAll(a.world)
}

// newWorld plants a layout in a directory of its own, on which file systems
// are mounted first.
func newWorld(layout string, mounts ...string) (string, error) {
	world := filepath.Join(lab.dir, fmt.Sprintf("w%07d", lab.worlds.Add(1)))
	if err := os.Mkdir(world, 0o755); err != nil {
		return "", err
	}
	for _, dir := range mounts {
		at := filepath.Join(world, dir)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return world, err
		}
		if err := harness.Tmpfs(at, 1<<20); err != nil {
			return world, err
		}
	}
	return world, harness.Plant(world, layout)
}

func (r row) transfer(world string, via harness.Transport, protocol int, c corner) (*harness.Transfer, error) {
	args, err := harness.Words(r.args)
	if err != nil {
		return nil, err
	}
	env, err := harness.Words(r.env)
	if err != nil {
		return nil, err
	}
	if protocol != newestProtocol {
		args = append(args, "--protocol="+strconv.Itoa(protocol))
	}
	from, err := harness.Words(orElse(r.from, "src/"))
	if err != nil {
		return nil, err
	}
	if r.from == "-" {
		from = nil
	}
	program := map[bool]string{false: lab.real, true: lab.ours}
	client, server := c.sender, c.receiver
	if via.Pull() {
		client, server = server, client
	}
	return &harness.Transfer{
		Client: program[client], Server: program[server], Via: via, World: world, Args: args,
		From: from, To: orElse(r.to, "dst/"), Env: env, Stdin: r.stdin, Shell: lab.shell, Daemon: lab.daemons[server],
	}, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// try does the row once, or twice if that is asked for.
func (r row) try(via harness.Transport, protocol int, c corner) (attempt, error) {
	a := attempt{via: via, span: harness.Span{From: time.Now().Add(-time.Second)}, mounts: strings.Fields(r.mount)}
	var err error
	if a.world, err = newWorld(r.world, a.mounts...); err != nil {
		return a, err
	}
	transfer, err := r.transfer(a.world, via, protocol, c)
	if err != nil {
		return a, err
	}
	a.words = transfer.Words()
	for range map[bool]int{false: 1, true: 2}[r.twice] {
		o, err := transfer.Run()
		if err != nil {
			return a, err
		}
		a.outcomes = append(a.outcomes, o)
	}
	// A directory for temporary files is left as it was, or not: a file that
	// has no name until it is complete never was in it.
	if tmp := filepath.Join(a.world, "tmp"); exists(tmp) {
		err = os.Chtimes(tmp, a.span.From, a.span.From)
	}
	a.span.To = time.Now().Add(time.Second)
	return a, err
}

// leftToCheck is how much there is to do still, which with incremental
// recursion depends on how much of the list there is already.
var leftToCheck = regexp.MustCompile(`(?:ir|to)-chk=\d+/\d+`)

// differences lists what is not the same after two attempts at a row.
func (r row) differences(want, got attempt) ([]string, error) {
	var found []string
	for i, a := range want.outcomes {
		b := got.outcomes[i]
		if want.via == harness.DaemonPush {
			a, b = a.HungUp(), b.HungUp()
		}
		say := func(o harness.Outcome, world string) string {
			if o.TimedOut {
				return "no end within the limit"
			}
			return fmt.Sprint("exit code ", o.Code)
		}
		if x, y := say(a, want.world), say(b, got.world); x != y {
			found = append(found, fmt.Sprintf("run %d: %s, want %s", i+1, y, x))
		}
		plain := func(text, world string) string { return harness.Plain(text, world, lab.ours, lab.real) }
		outA, outB := harness.Settled(plain(a.Out, want.world)), harness.Settled(plain(b.Out, got.world))
		if !strings.Contains(r.args, "--no-i-r") {
			outA, outB = leftToCheck.ReplaceAllString(outA, "chk=N"), leftToCheck.ReplaceAllString(outB, "chk=N")
		}
		if r.order {
			outA, outB = harness.SortedLines(outA), harness.SortedLines(outB)
		}
		if d := harness.DiffLines(outA, outB); d != "" {
			found = append(found, fmt.Sprintf("run %d: standard output:\n%s", i+1, d))
		}
		errA := harness.SortedLines(harness.PlainErrors(a.Err, want.world, a.Code, lab.ours, lab.real))
		errB := harness.SortedLines(harness.PlainErrors(b.Err, got.world, b.Code, lab.ours, lab.real))
		if d := harness.DiffLines(errA, errB); d != "" && !r.quiet {
			found = append(found, fmt.Sprintf("run %d: standard error:\n%s", i+1, d))
		}
		if d := harness.TrafficDiffers(a.Out, b.Out); d != "" && !strings.Contains(r.args, "z") {
			found = append(found, fmt.Sprintf("run %d: %s", i+1, d))
		}
	}
	c := r.want
	if r.said != "" {
		var texts [2]string
		for i, a := range []attempt{want, got} {
			text, err := os.ReadFile(filepath.Join(a.world, r.said))
			if err != nil {
				return found, err
			}
			texts[i] = harness.Settled(harness.Plain(string(text), a.world, lab.ours, lab.real))
			if r.order {
				texts[i] = harness.SortedLines(texts[i])
			}
		}
		if d := harness.DiffLines(texts[0], texts[1]); d != "" {
			found = append(found, fmt.Sprintf("%s:\n%s", r.said, d))
		}
		leave := c.Leave
		c.Leave = func(name string) bool { return name == r.said || leave != nil && leave(name) }
	}
	c.HardLinks, c.Xattrs, c.AllXattrs = true, true, true
	c.Now = want.span
	if got.span.From.Before(c.Now.From) {
		c.Now.From = got.span.From
	}
	if got.span.To.After(c.Now.To) {
		c.Now.To = got.span.To
	}
	left, err := harness.Compare(want.world, got.world, c)
	if len(left) > 0 {
		found = append(found, "what is left (the source is the real one's, the target lockstep's):\n"+strings.Join(left, "\n"))
	}
	return found, err
}

// rowCase is a row at one protocol over one transport.
type rowCase struct {
	row
	via      harness.Transport
	protocol int
}

// cases are what of a row is tried: everything, or a sample that depends on the
// row's name, so that it stays the same whatever rows there are.
func (r row) cases(all bool) []rowCase {
	number := int(crc32.ChecksumIEEE([]byte(r.name)) % 60)
	var cases []rowCase
	add := func(via harness.Transport, protocol int) {
		if r.via != nil && !slices.Contains(r.via, via) || protocol < r.least {
			return
		}
		c := rowCase{r, via, protocol}
		c.order = c.order || via.Pull() && protocol < reportsProtocol
		if !slices.ContainsFunc(cases, func(o rowCase) bool { return o.via == via && o.protocol == protocol }) {
			cases = append(cases, c)
		}
	}
	if all {
		for _, via := range harness.Transports {
			for p := oldestProtocol; p <= newestProtocol; p++ {
				add(via, p)
			}
		}
		return cases
	}
	shells := [2]harness.Transport{harness.ShellPush, harness.ShellPull}
	daemons := [2]harness.Transport{harness.DaemonPush, harness.DaemonPull}
	old := oldestProtocol + number%(newestProtocol-oldestProtocol)
	switch {
	case r.via == nil && number%3 == 0:
		add(harness.Local, newestProtocol)
	case r.via == nil && number%3 == 1:
		add(daemons[number/2%2], newestProtocol)
	case r.via == nil:
		add(shells[1-number%2], old)
	default:
		for _, via := range r.via {
			add(via, newestProtocol)
		}
	}
	return cases
}

// allVar names the environment variable that, when not empty, has every row
// tried over every transport at every protocol.
const allVar = "LOCKSTEP_RSYNC_ALL"

func TestRsyncFourCorners(t *testing.T) {
	needLab(t)
	var seen knownTally
	t.Run("rows", func(t *testing.T) {
		names := map[string]bool{}
		for _, r := range slices.Concat(rsyncRows...) {
			if names[r.name] {
				t.Errorf("two rows are called %q", r.name)
			}
			names[r.name] = true
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				if r.root || r.mount != "" {
					needRoot(t, "owners, devices and mounts")
				}
				for _, c := range r.cases(os.Getenv(allVar) != "") {
					t.Run(fmt.Sprintf("%s at protocol %d", c.via, c.protocol), func(t *testing.T) { c.compare(t, &seen) })
				}
			})
		}
	})
	if !t.Failed() && os.Getenv(allVar) != "" { // a sample does not show that an entry is gone
		seen.unused(t)
	}
}

// tries is how often a case is tried: how two processes take turns decides the
// order of some lines, and a difference counts if it is always there.
const tries = 3

// compare tries all corners of a case. They run at the same time: rsync spends
// most of its time with waiting for its other processes.
func (c rowCase) compare(t *testing.T, seen *knownTally) {
	all := append([]corner{reference}, corners(c.via)...)
	first := make([]attempt, len(all))
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, at := range all {
		wait.Go(func() { first[i], errs[i] = c.try(c.via, c.protocol, at) })
	}
	wait.Wait()
	for _, a := range first {
		defer a.remove()
	}
	check(t, errors.Join(errs...))
	for i, at := range all[1:] {
		t.Run(at.String(), func(t *testing.T) {
			got := first[1+i]
			found, err := c.differences(first[0], got)
			for n := 1; n < tries && err == nil && len(found) > 0; n++ {
				var want attempt
				want, err = c.try(c.via, c.protocol, reference)
				defer want.remove()
				check(t, err)
				got, err = c.try(c.via, c.protocol, at)
				defer got.remove()
				check(t, err)
				found, err = c.differences(want, got)
			}
			check(t, err)
			seen.report(t, fmt.Sprintf("%s/%s/%d/%s", c.name, c.via, c.protocol, at), append([]string{
				c.name + ": " + strings.Join(harness.QuoteAll(got.words), " "),
			}, found...))
		})
	}
}
