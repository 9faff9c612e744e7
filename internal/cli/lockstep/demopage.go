package lockstep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"lockstep/internal/fs/tree"
)

// demoDaemons is how many daemons the demo with a page serves.
const demoDaemons = 3

// demoWrites is how often the source of that demo changes.
const demoWrites = 700 * time.Millisecond

// pageDemo is a directory with everything that the demo with a page needs.
type pageDemo struct {
	*app
	dir     string
	config  string
	address string // of the page
	daemons []*exec.Cmd
}

// runPageDemo runs until it is interrupted, or its time is over.
func (a *app) runPageDemo(o *demoOptions) (err error) {
	d := &pageDemo{app: a}
	if d.dir, err = os.MkdirTemp("", "lockstep-demo-"); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	if o.last > 0 {
		ctx, cancel = context.WithTimeout(ctx, o.last)
	}
	var writer sync.WaitGroup
	defer func() {
		cancel()
		writer.Wait()
		err = errors.Join(err, d.close(o.keep))
	}()
	if err := d.prepare(); err != nil {
		return err
	}
	writer.Go(func() { d.write(ctx) })
	d.explain()
	return a.runFleet(ctx, &runOptions{config: d.config, quiet: true})
}

func (d *pageDemo) source() string { return filepath.Join(d.dir, "source") }

// prepare makes the source, starts the daemons and writes the configuration.
func (d *pageDemo) prepare() error {
	if err := errors.Join(os.Mkdir(d.source(), 0o755), os.WriteFile(filepath.Join(d.source(), "index.html"), []byte("<h1>hello</h1>\n"), 0o644)); err != nil {
		return err
	}
	var targets []string
	for i := range demoDaemons {
		name := fmt.Sprintf("web%d", i+1)
		port, err := d.serve(name)
		if err != nil {
			return fmt.Errorf("demo: %s: %w", name, err)
		}
		targets = append(targets, fmt.Sprintf("rsync://127.0.0.1:%d/%s", port, name))
	}
	port, err := loopbackPort()
	if err != nil {
		return err
	}
	d.address = fmt.Sprintf("127.0.0.1:%d", port)
	d.config = filepath.Join(d.dir, "lockstep.toml")
	text := fmt.Sprintf("control = %q\npage = %q\n\n[mirror.demo]\nsource = %q\ntargets = [%q, %q, %q]\n",
		filepath.Join(d.dir, "control"), d.address, d.source(), targets[0], targets[1], targets[2])
	return os.WriteFile(d.config, []byte(text), 0o644)
}

// loopbackPort is a TCP port on loopback that was free a moment ago.
func loopbackPort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// serve starts a daemon of ours with one module and gives its port.
func (d *pageDemo) serve(name string) (port int, err error) {
	if port, err = loopbackPort(); err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	conf, copied := filepath.Join(d.dir, name+".conf"), filepath.Join(d.dir, name)
	text := fmt.Sprintf("log file = %s.log\nuse chroot = no\n[%s]\npath = %s\nread only = no\nhosts allow = 127.0.0.1\n", copied, name, copied)
	if os.Geteuid() == 0 {
		text += "uid = root\ngid = root\n"
	}
	if err := errors.Join(os.Mkdir(copied, 0o755), os.WriteFile(conf, []byte(text), 0o644)); err != nil {
		return 0, err
	}
	cmd := exec.Command(self, "rsync", "--daemon", "--no-detach", "--address=127.0.0.1", fmt.Sprint("--port=", port), "--config="+conf)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true} // ctrl-C is for us
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	d.daemons = append(d.daemons, cmd)
	return port, nil
}

// explain says what there is to see and to try.
func (d *pageDemo) explain() {
	self := tree.ShellWord(cmp.Or(os.Args[0], "lockstep"))
	pid := d.daemons[1].Process.Pid
	d.console.printf(`A source that changes all the time, and three rsync daemons that follow:

  the page    http://%s/
  the source  %s

Try, in another terminal:

  # see a file arrive
  echo hello >%s
  # a frozen daemon delays no other; a dead one is told of in plain words
  kill -STOP %d; sleep 20; kill -CONT %d
  kill %d
  # what the page shows, in a terminal; and to be sure that all is there
  %s status --watch -c %s
  %s flush -c %s && echo everything is there

Interrupt to end; everything is removed.`, d.address, tree.Quote(d.source()), tree.ShellWord(filepath.Join(d.source(), "hello")),
		pid, pid, pid, self, tree.ShellWord(d.config), self, tree.ShellWord(d.config))
}

// write changes the source until ctx ends: edits most of the time, now and then
// a new file, a rename, a burst, a deletion.
func (d *pageDemo) write(ctx context.Context) {
	tick := time.NewTicker(demoWrites)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := d.change(i); err != nil && ctx.Err() == nil {
			d.console.warnf("demo: %s", plain(err.Error()))
		}
	}
}

// change makes the i-th change.
func (d *pageDemo) change(i int) error {
	in := func(format string, args ...any) string {
		return filepath.Join(d.source(), fmt.Sprintf(format, args...))
	}
	text := fmt.Appendf(nil, "change %d\n", i)
	switch i % 12 {
	case 3:
		return os.WriteFile(in("article-%d.html", i/12%20), text, 0o644)
	case 5: // an editor's save
		return errors.Join(os.WriteFile(in(".index.swp"), text, 0o644), os.Rename(in(".index.swp"), in("index.html")))
	case 7:
		for j := range 20 + rand.IntN(200) {
			if err := errors.Join(os.MkdirAll(in("photos"), 0o755), os.WriteFile(in("photos/%04d.jpg", j), text, 0o644)); err != nil {
				return err
			}
		}
		return nil
	case 9:
		return os.Rename(in("photos"), in("photos-%d", i))
	case 11:
		return os.RemoveAll(in("photos-%d", i-2))
	}
	return os.WriteFile(in("index.html"), text, 0o644)
}

// close ends the daemons and removes the directory.
func (d *pageDemo) close(keep bool) error {
	for _, cmd := range d.daemons {
		_ = cmd.Process.Signal(syscall.SIGCONT) // one that is frozen would not end
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may be dead already
	}
	for _, cmd := range d.daemons {
		_ = cmd.Wait() // by a signal
	}
	if keep {
		return nil
	}
	return os.RemoveAll(d.dir)
}
