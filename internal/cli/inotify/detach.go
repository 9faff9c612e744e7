package inotify

import (
	"os"
	"strings"
	"syscall"
)

// detachedVar tells the program that it runs in the background; its value is
// what the paths are read from.
const detachedVar = "LOCKSTEP_INOTIFY_DETACHED"

func detached() bool { return os.Getenv(detachedVar) != "" }

// startDetached starts this program again in a session of its own, in "/",
// with its output going to out. All paths come through a pipe, each with a NUL
// at its end.
func startDetached(out *os.File, p paths) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	list, feed, err := os.Pipe()
	if err != nil {
		return err
	}
	defer list.Close()
	child, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{
		Env:   append(os.Environ(), detachedVar+"=1"),
		Files: []*os.File{list, out, null},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		feed.Close()
		return err
	}
	var lines strings.Builder
	for _, path := range p.watch {
		lines.WriteString(path + "\x00")
	}
	for path := range p.skip {
		lines.WriteString("@" + path + "\x00")
	}
	_, err = feed.WriteString(lines.String())
	if e := feed.Close(); err == nil {
		err = e
	}
	if e := child.Release(); err == nil {
		err = e
	}
	return err
}
