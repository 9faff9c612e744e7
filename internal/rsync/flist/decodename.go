package flist

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/wire"
)

// readName reads the name, which becomes the one that the next entry continues.
func (d *Decoder) readName(flags uint32) {
	in := &d.in
	prefix := 0
	if flags&flagSameName != 0 {
		prefix = int(in.byte())
	}
	if prefix > len(d.name) {
		in.failf(wire.ErrStream, "name repeats %d bytes of %d", prefix, len(d.name))
	}
	n := 0
	if flags&flagLongName != 0 {
		n = in.count("length of a name", tree.MaxPath)
	} else {
		n = int(in.byte())
	}
	if prefix+n > tree.MaxPath {
		in.failf(ErrUnsafe, "name of %d bytes", prefix+n)
	}
	if in.err != nil {
		return
	}
	d.spare = append(d.spare[:0], d.name[:prefix]...)
	d.spare = append(d.spare, make([]byte, n)...)
	in.full(d.spare[prefix:])
	d.name, d.spare = d.spare, d.name
}

// wireName is the name that was read last, made safe to print.
func (d *Decoder) wireName() string { return tree.Quote(string(d.name)) }

// identify turns the name into the path of f, or refuses it (section 9.1). A
// name that cannot be converted leaves an entry that only holds its place.
func (d *Decoder) identify(f *File) {
	name := d.name
	if d.opts.Convert != nil {
		var err error
		if name, err = convertName(d.opts.Convert, name); err != nil {
			d.drop(f, fmt.Sprintf("[Receiver] cannot convert filename: %s (%v)", d.name, err))
			return
		}
	}
	if len(name) > 0 && name[0] == '/' {
		if !d.recv.Relative {
			d.in.failf(ErrUnsafe, "absolute name %s", d.wireName())
		}
		f.slash = true
	}
	path, err := d.cleanName(name)
	if err != nil {
		d.in.failf(ErrUnsafe, "name %s: %v", d.wireName(), err)
	}
	f.Path = path
	d.check(f)
}

// check refuses an entry that has no business in the list.
func (d *Decoder) check(f *File) {
	if d.in.err != nil {
		return
	}
	isDir := f.Meta.IsDir()
	if f.Path.IsRoot() && !isDir {
		d.in.failf(ErrProtocol, "the root of the transfer as a %s", f.Meta.Kind)
		return
	}
	if d.opts.Incremental() {
		parent := tree.Root
		if d.list.dir != nil {
			parent = d.list.dir.Path
		}
		if f.Path.Parent() != parent || f.Path.IsRoot() && d.list.dir != nil {
			d.in.failf(ErrUnsafe, "%s in the list of directory %s", f.Path, parent)
			return
		}
	}
	switch err := d.recv.Accept(f.Path, isDir); {
	case err == nil:
	case errors.Is(err, ErrParentOnly) && isDir:
		if d.opts.Protocol >= 30 {
			f.Implied = true
		}
		f.Top, f.Content = false, false
	case errors.Is(err, ErrUnsafe):
		d.in.fail(err)
	default:
		d.in.fail(fmt.Errorf("%w: %w", err, ErrUnsafe))
	}
}

// cleanName turns a name from the wire into a path. Unlike tree.Clean it takes
// components that are too long for Linux: storing such an entry fails, the rest
// goes on.
func (d *Decoder) cleanName(name []byte) (tree.Path, error) {
	if len(name) == 0 {
		return "", errors.New("it is empty")
	}
	if bytes.IndexByte(name, 0) >= 0 {
		return "", errors.New("it holds a NUL byte")
	}
	if isClean(name) {
		return tree.Path(d.store.text(name)), nil
	}
	parts := strings.Split(string(name), "/")
	kept := parts[:0]
	for _, part := range parts {
		switch part {
		case "", ".":
		case "..":
			return "", errors.New("it leads upwards")
		default:
			kept = append(kept, part)
		}
	}
	return tree.Path(strings.Join(kept, "/")), nil
}

// isClean reports whether no component of s is empty, "." or "..".
func isClean(s []byte) bool {
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '/' {
			continue
		}
		switch string(s[start:i]) {
		case "", ".", "..":
			return false
		}
		start = i + 1
	}
	return true
}

// Why something that was converted is of no use.
var (
	errNoName   = errors.New("what comes out is no name")
	errLongName = errors.New("what comes out is too long")
)

// convertName converts the directory part and the last component of a name on
// their own, as both sides do.
func convertName(convert func([]byte) ([]byte, error), name []byte) ([]byte, error) {
	i := bytes.LastIndexByte(name, '/')
	if i < 0 {
		return convertPart(convert, nil, name)
	}
	out, err := convertPart(convert, nil, name[:i])
	if err != nil {
		return nil, err
	}
	return convertPart(convert, append(out, '/'), name[i+1:])
}

// convertPart appends what part is in the other charset. It must not bring in
// what the name did not have: a slash or a NUL byte.
func convertPart(convert func([]byte) ([]byte, error), dst, part []byte) ([]byte, error) {
	out, err := convert(part)
	switch {
	case err != nil:
		return nil, err
	case len(out) == 0 != (len(part) == 0) || bytes.IndexByte(out, 0) >= 0 ||
		bytes.Count(out, []byte{'/'}) != bytes.Count(part, []byte{'/'}):
		return nil, errNoName
	case len(dst)+len(out) > tree.MaxPath:
		return nil, errLongName
	}
	return append(dst, out...), nil
}

// sweep is how "content" follows from TOP_DIR below protocol 30 (section 1.3).
type sweep struct {
	on     bool
	prefix string // of what belongs to the directory named last, "" for all
}

// directoryFlags says what of a directory is listed.
func (d *Decoder) directoryFlags(flags uint32, f *File) {
	f.Gone = !f.Meta.Exists()
	if !f.Meta.IsDir() {
		return
	}
	if d.opts.Protocol >= 30 {
		top, noContent := flags&flagTop != 0, flags&flagNoContent != 0
		f.Implied = top && noContent
		f.Top, f.Content = top && !noContent, !noContent
		return
	}
	switch {
	case flags&flagTop != 0:
		prefix := strings.TrimSuffix(string(d.name), "/.")
		if prefix == "." || prefix == "" {
			d.sweep = sweep{on: true}
		} else {
			d.sweep = sweep{on: true, prefix: prefix + "/"}
		}
		f.Top, f.Content = true, true
	case d.sweep.on:
		f.Content = !d.recv.Relative || bytes.HasPrefix(d.name, []byte(d.sweep.prefix))
		d.sweep.on = f.Content
	}
}
