package harness

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Script is a program for bash that does the transfer once with the real rsync
// at both ends and once as it is described, each in a new directory in which
// the commands of plant were run, and shows what the two say. $OURS is the
// program that stands for any but the real rsync.
func (t *Transfer) Script(plant string) string {
	var b strings.Builder
	b.WriteString("#!/bin/bash\n# usage: OURS=/path/to/a/link/called/rsync bash THIS\nset -u\nexport LC_ALL=C.UTF-8 TZ=UTC\nbase=$(mktemp -d)\n")
	fmt.Fprintf(&b, "plant() {\n%s}\n", plant)
	switch {
	case t.Via.Shell():
		fmt.Fprintf(&b, "printf '%%s\\n' '#!/bin/sh' 'shift; cd \"$%s\" && exec sh -c \"$*\"' >$base/shell; chmod +x $base/shell\n", ShellHomeVar)
	case t.Via.Daemon():
		lines := strings.Join(t.Daemon.Lines, "\n")
		fmt.Fprintf(&b, "printf '%%s\\n' 'use chroot = no' \"[%s]\" \"path = $base\" 'read only = no' 'uid = root' 'gid = root' %s >$base/conf\n",
			t.Daemon.Module, ShellQuote(lines))
	}
	b.WriteString("run() { # client, server\n")
	if t.Via.Daemon() {
		b.WriteString("  export RSYNC_CONNECT_PROG=\"$2 --server --daemon --config=$base/conf --log-file=$base/log .\"\n")
	}
	fmt.Fprintf(&b, "  mkdir $base/$W; cd $base/$W; plant; export HOME=$PWD %s=$PWD\n", ShellHomeVar)
	var words []string
	for _, w := range t.Words()[1:] {
		switch {
		case strings.HasPrefix(w, "--rsync-path="):
			w = `--rsync-path="$2"`
		case t.Shell != nil && w == t.Shell.Path:
			w = `$base/shell`
		case t.Daemon != nil && w == "--port="+strconv.Itoa(t.Daemon.Port):
			continue
		case t.Via.Daemon():
			w = strings.ReplaceAll(ShellQuote(w), "/"+filepath.Base(t.World)+"/", "/$W/")
			w = strings.ReplaceAll(w, t.World, "$PWD")
		default:
			w = strings.ReplaceAll(ShellQuote(w), t.World, "$PWD")
		}
		words = append(words, w)
	}
	input := ""
	if t.Stdin != "" {
		input = " <<<" + ShellQuote(t.Stdin)
	}
	env := ""
	for _, e := range t.Env {
		env += ShellQuote(e) + " "
	}
	fmt.Fprintf(&b, "  %s\"$1\" %s%s; echo \"exit code $?\"\n", env, strings.Join(words, " "), input)
	b.WriteString("  find . -printf '%y %m %U:%G %s %T+ %n %p -> %l\\n' | sort -k7\n}\n")
	real, _ := RealRsync()
	name := func(program string) string {
		if program == real {
			return "rsync"
		}
		return `"$OURS"`
	}
	fmt.Fprintf(&b, "W=real; (run rsync rsync) >$base/real.out 2>&1\nW=ours; (run %s %s) >$base/ours.out 2>&1\n", name(t.Client), name(t.Server))
	b.WriteString("diff $base/real.out $base/ours.out && echo same; echo \"kept in $base\"\n")
	return b.String()
}
