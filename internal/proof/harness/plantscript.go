package harness

import (
	"fmt"
	"path"
	"sort"
	"strings"
)

// Script is a layout as commands of a shell, to be run in the empty directory
// that it is for: what reproduces a failure by hand.
func Script(layout string) (string, error) {
	objects, err := parseLayout(layout)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	dirs := map[string]bool{".": true}
	for _, o := range objects {
		if dir := path.Dir(o.name); !dirs[dir] {
			fmt.Fprintf(&b, "mkdir -p %s\n", ShellQuote(dir))
			for ; dir != "."; dir = path.Dir(dir) {
				dirs[dir] = true
			}
		}
		b.WriteString(o.command())
		if o.kind == 'd' {
			dirs[o.name] = true
		}
	}
	for _, o := range objects {
		b.WriteString(o.attributeCommands())
	}
	b.WriteString(timeCommands(objects, dirs))
	return b.String(), nil
}

// ShellQuote is s as one word of a shell.
func ShellQuote(s string) string {
	plain := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=:,+@%", r))
	}
	if s != "" && strings.IndexFunc(s, plain) < 0 {
		return s
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, `\%03o`, s[i])
		}
		return "$'" + b.String() + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (o *layoutObject) command() string {
	at := ShellQuote(o.name)
	switch o.kind {
	case 'd':
		return fmt.Sprintf("mkdir -p %s\n", at)
	case 'l':
		return fmt.Sprintf("ln -s -- %s %s\n", ShellQuote(o.target), at)
	case 'h':
		return fmt.Sprintf("ln %s %s\n", ShellQuote(o.target), at)
	case 'p':
		return fmt.Sprintf("mkfifo %s\n", at)
	case 's':
		return fmt.Sprintf("perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => shift, Listen => 1)' %s\n", at)
	case 'c', 'b':
		return fmt.Sprintf("mknod %s %c %d %d\n", at, o.kind, o.major, o.minor)
	}
	if len(o.pieces) == 0 {
		return fmt.Sprintf(": >%s\n", at)
	}
	var parts []string
	for _, p := range o.pieces {
		switch {
		case p.text != "":
			parts = append(parts, "printf %s "+ShellQuote(p.text))
		case p.zero:
			parts = append(parts, fmt.Sprintf("head -c %d /dev/zero", p.size))
		case p.size > 0:
			parts = append(parts, fmt.Sprintf("seq %d 999999999999 | head -c %d", p.first(), p.size))
		}
	}
	line := fmt.Sprintf("{ %s; } >%s\n", strings.Join(append(parts, ":"), "; "), at)
	for _, p := range o.pieces {
		if p.zero {
			return line + fmt.Sprintf("fallocate -d %s\n", at)
		}
	}
	return line
}

func (o *layoutObject) attributeCommands() string {
	if o.kind == 'h' {
		return ""
	}
	var b strings.Builder
	at := ShellQuote(o.name)
	if o.uid >= 0 || o.gid >= 0 {
		who := ""
		if o.uid >= 0 {
			who = fmt.Sprint(o.uid)
		}
		if o.gid >= 0 {
			who += fmt.Sprintf(":%d", o.gid)
		}
		fmt.Fprintf(&b, "chown -h %s %s\n", who, at)
	}
	for _, x := range o.xattrs {
		fmt.Fprintf(&b, "setfattr -h -n %s -v %s %s\n", ShellQuote(x.name), ShellQuote(x.value), at)
	}
	if o.kind != 'l' {
		fmt.Fprintf(&b, "chmod %04o %s\n", o.mode, at)
	}
	if o.acl != "" {
		fmt.Fprintf(&b, "setfacl --set %s %s\n", ShellQuote(o.acl), at)
	}
	if o.dacl != "" {
		fmt.Fprintf(&b, "setfacl -d --set %s %s\n", ShellQuote(o.dacl), at)
	}
	return b.String()
}

// timeCommands sets all times, of directories last and deepest first.
func timeCommands(objects []layoutObject, dirs map[string]bool) string {
	byName := map[string]*layoutObject{}
	for i := range objects {
		byName[objects[i].name] = &objects[i]
	}
	var names []string
	for name := range byName {
		names = append(names, name)
	}
	for name := range dirs {
		if name != "." && byName[name] == nil {
			names = append(names, name)
		}
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := strings.Count(names[i], "/"), strings.Count(names[j], "/")
		return a > b || a == b && names[i] < names[j]
	})
	var b strings.Builder
	same := []string{}
	for _, name := range names {
		o := byName[name]
		switch {
		case o != nil && o.kind == 'h':
		case o == nil || o.mtime == defaultTime && o.atime == "":
			same = append(same, ShellQuote(name))
		default:
			fmt.Fprintf(&b, "touch -h -m -d @%s %s\n", o.mtime, ShellQuote(name))
			if o.atime != "" {
				fmt.Fprintf(&b, "touch -h -a -d @%s %s\n", o.atime, ShellQuote(name))
			}
		}
	}
	if len(same) > 0 {
		fmt.Fprintf(&b, "touch -h -d @%s %s\n", defaultTime, strings.Join(same, " "))
	}
	return b.String()
}
