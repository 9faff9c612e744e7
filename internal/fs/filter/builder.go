package filter

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// A Builder collects the filter options of a command line, in their order.
// The zero value is ready; fields are set before the first call that needs
// them, From0 before each. A failed call leaves the rules that came before the error in place.
type Builder struct {
	// Read opens the file of a merge rule, of IncludeFrom or ExcludeFrom; "-"
	// stands for the standard input. Nil means that no file exists.
	Read func(name string) ([]byte, error)
	// From0 makes NUL end the rules in files, not the end of a line (--from0): in
	// those that the next call reads, and for Rules in per-directory files.
	From0 bool
	// CVSHome is the content of $HOME/.cvsignore and CVSEnv the value of
	// $CVSIGNORE; both are words, for -C and for "C" rules.
	CVSHome, CVSEnv string

	load    loader
	started bool
	shortF  int
}

// Implied are the rules that other options append after all given ones
// (rsync-filelist 7.2), in this order. The zero value appends nothing.
type Implied struct {
	OldDirs      bool   // --old-dirs: "- /*/*"
	BackupSuffix string // --backup with --delete and no --backup-dir: "P *SUFFIX"
	PartialDir   string // a relative --partial-dir: "-p DIR/"
	CVS          bool   // -C
	CVSProtects  bool   // its list protects though excluded files are deleted; its per-directory files don't
}

func (b *Builder) start() *loader {
	if !b.started {
		b.started = true
		names := map[string]bool{}
		b.load = loader{
			max:  maxGiven,
			cvs:  cvsLists{b.CVSHome, b.CVSEnv},
			open: b.open,
			register: func(r *Rule) (bool, error) {
				if names[r.mergeName()] {
					return false, nil
				}
				if len(names) == maxDirMerges {
					return false, fmt.Errorf("more than %d per-directory files", maxDirMerges)
				}
				names[r.mergeName()] = true
				return true, nil
			},
			cleared: func() { clear(names) },
		}
	}
	b.load.from0 = b.From0
	return &b.load
}

func (b *Builder) open(name string) ([]byte, string, error) {
	if b.Read == nil {
		return nil, "", &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	data, err := b.Read(name)
	return data, name, err
}

// Filter adds the value of a --filter option; an empty one is nothing.
func (b *Builder) Filter(rule string) error {
	if rule == "" {
		return nil
	}
	return b.given(rule, parseRule)
}

// Exclude adds the value of an --exclude option; an empty one is nothing.
func (b *Builder) Exclude(pattern string) error { return b.old(pattern, false) }

// Include adds the value of an --include option; an empty one is nothing.
func (b *Builder) Include(pattern string) error { return b.old(pattern, true) }

func (b *Builder) old(pattern string, include bool) error {
	if pattern == "" {
		return nil
	}
	return b.given(pattern, func(s string) (spec, error) { return parseOld(s, include) })
}

func (b *Builder) given(text string, parse func(string) (spec, error)) error {
	s, err := parse(text)
	if err == nil {
		err = b.start().add(s, Origin{}, template{}, 0)
	}
	var inner *Error
	if err == nil || errors.As(err, &inner) && inner.Origin.File != "" {
		return err
	}
	if inner != nil {
		return &Error{Rule: text, Reason: inner.Reason, Err: inner.Err}
	}
	return &Error{Rule: text, Reason: err.Error()}
}

// Received adds a rule as a client of some protocol sends it (rsync-filelist
// 7.2). A rule that would have us read a file that the client names is refused.
func (b *Builder) Received(protocol int, rule string) error {
	if protocol < protocolModifiers {
		return b.given(rule, func(s string) (spec, error) { return parseOld(s, false) })
	}
	return b.given(rule, func(s string) (spec, error) {
		r, err := parseRule(s)
		if err == nil && r.op == opMerge {
			err = errors.New("a merge rule cannot come from the other side")
		}
		return r, err
	})
}

// ExcludeFrom adds the patterns of a file, one a line.
func (b *Builder) ExcludeFrom(file string) error { return b.from(file, false) }

// IncludeFrom adds the patterns of a file, one a line.
func (b *Builder) IncludeFrom(file string) error { return b.from(file, true) }

func (b *Builder) from(file string, include bool) error {
	data, name, err := b.open(file)
	if err != nil {
		return fmt.Errorf("filter file: %w", err)
	}
	return b.start().file(data, name, template{style: styleOld, include: include}, 1)
}

// ShortF is the option -F: the first time ": /.rsync-filter", the second time
// "- .rsync-filter", nothing after that.
func (b *Builder) ShortF() error {
	b.shortF++
	switch b.shortF {
	case 1:
		return b.Filter(": /.rsync-filter")
	case 2:
		return b.Filter("- .rsync-filter")
	}
	return nil
}

// Rules compiles what was given, with the implied rules behind it. It is the
// last call; the result is nil if there is no rule at all.
func (b *Builder) Rules(implied Implied) (*Rules, error) {
	if implied.OldDirs {
		if err := b.Filter("- /*/*"); err != nil {
			return nil, err
		}
	}
	if implied.BackupSuffix != "" {
		if err := b.Filter("P *" + implied.BackupSuffix); err != nil {
			return nil, err
		}
	}
	if dir := strings.TrimRight(implied.PartialDir, "/"); dir != "" {
		if err := b.imply(spec{op: opExclude, flags: flagSoftPerish, text: dir + "/"}); err != nil {
			return nil, err
		}
	}
	if implied.CVS {
		merge := flagCVS | flagNoInherit | flagWords | flagRawExclude | flagImplied | flagOption
		if err := b.imply(spec{op: opDirMerge, flags: merge, text: cvsFile}); err != nil {
			return nil, err
		}
		list := spec{op: opExclude, flags: flagCVS | flagOption}
		if implied.CVSProtects {
			list.sides = Sender | Receiver
		}
		if err := b.imply(list); err != nil {
			return nil, err
		}
	}
	load := b.start()
	return newRules(load.list, load.cvs, b.From0), nil
}

func (b *Builder) imply(s spec) error {
	return b.given(s.text, func(string) (spec, error) { return s, nil })
}
