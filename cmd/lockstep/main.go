// Command lockstep keeps directory trees in step. It has several faces: called
// by the name of a program that it stands in for, or with that name as its
// first word, it is that program; otherwise it is lockstep itself.
package main

import (
	"io"
	"os"
	"path/filepath"

	"lockstep/internal/cli/inotify"
	"lockstep/internal/cli/lockstep"
	"lockstep/internal/cli/rsync"
)

// face runs one command line; name is the program's as typed, args are the
// words after it.
type face func(name string, args []string, in io.Reader, out, errs io.Writer) int

// faces are the programs that lockstep stands in for.
var faces = map[string]face{
	"rsync":         rsync.Main,
	"inotifywait":   inotify.Main,
	"inotifywatch":  inotify.Main,
	"fsnotifywait":  inotify.Main,
	"fsnotifywatch": inotify.Main,
}

func main() {
	localTime(os.Getenv("TZ"))
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run picks the face by the program's name, then by the first word.
func run(argv []string, in io.Reader, out, errs io.Writer) int {
	var args []string
	if len(argv) > 0 {
		args = argv[1:]
		if f, ok := faces[filepath.Base(argv[0])]; ok {
			return f(argv[0], args, in, out, errs)
		}
	}
	if len(args) > 0 {
		if f, ok := faces[args[0]]; ok {
			return f(args[0], args[1:], in, out, errs)
		}
	}
	return lockstep.Main(args, in, out, errs)
}
