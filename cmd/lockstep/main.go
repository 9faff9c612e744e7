// Command lockstep keeps directory trees in step. It has several faces: called
// by the name of a program that it stands in for, or with that name as its
// first word, it is that program; otherwise it is lockstep itself.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"lockstep/internal/cli/inotify"
	"lockstep/internal/cli/lockstep"
)

// face runs one command line; name is the program's as typed, args are the
// words after it.
type face func(name string, args []string, in io.Reader, out, errs io.Writer) int

// faces are the programs that lockstep stands in for. Those without a function
// have their name reserved: it must not be taken for a word of lockstep's own.
var faces = map[string]face{
	"rsync":         nil,
	"inotifywait":   inotify.Main,
	"inotifywatch":  inotify.Main,
	"fsnotifywait":  inotify.Main,
	"fsnotifywatch": inotify.Main,
}

func main() {
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run picks the face by the program's name, then by the first word.
func run(argv []string, in io.Reader, out, errs io.Writer) int {
	var args []string
	if len(argv) > 0 {
		args = argv[1:]
		if f, ok := faces[filepath.Base(argv[0])]; ok {
			return show(f, argv[0], args, in, out, errs)
		}
	}
	if len(args) > 0 {
		if f, ok := faces[args[0]]; ok {
			return show(f, args[0], args[1:], in, out, errs)
		}
	}
	return lockstep.Main(args, in, out, errs)
}

func show(f face, name string, args []string, in io.Reader, out, errs io.Writer) int {
	if f == nil {
		fmt.Fprintf(errs, "lockstep: error: this release does not have the %s face yet\n", filepath.Base(name))
		return lockstep.ExitUnsupported
	}
	return f(name, args, in, out, errs)
}
