package session

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// maxRuleFile bounds a file of filter rules, in bytes.
const maxRuleFile = 1 << 30

// operator opens the files that a command line names.
type operator struct {
	opt   *option.Set
	stdin io.Reader
	env   func(string) string
}

// open opens name for reading; "-" is the standard input.
func (o *operator) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		if o.stdin == nil {
			return io.NopCloser(strings.NewReader("")), nil
		}
		return io.NopCloser(o.stdin), nil
	}
	return walk.Operator{Insecure: o.opt.InsecureLinks}.Open(name, os.O_RDONLY, 0)
}

func (o *operator) read(name string) ([]byte, error) {
	f, err := o.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRuleFile+1))
	if err == nil && len(data) > maxRuleFile {
		err = fmt.Errorf("longer than %d bytes", maxRuleFile)
	}
	return data, err
}

// builder is ready for the rules of this user.
func (o *operator) builder() *filter.Builder {
	b := &filter.Builder{Read: o.read, From0: o.opt.From0, CVSEnv: o.env("CVSIGNORE")}
	if home := o.env("HOME"); home != "" {
		if words, err := o.read(filepath.Join(home, ".cvsignore")); err == nil {
			b.CVSHome = string(words)
		}
	}
	return b
}

// rules compiles the filter options, with what other options imply. For a client
// that pulls -C's own list keeps its files from --delete-excluded: as the receiver
// rsync's client has it whole, and no server does.
func (o *operator) rules(pull bool) (*filter.Rules, error) {
	b := o.builder()
	for _, f := range o.opt.Filters {
		b.From0 = f.From0
		if err := ruleError(give(b, f), f); err != nil {
			return nil, err
		}
	}
	b.From0 = o.opt.From0
	more := implied(o.opt)
	more.CVSProtects = pull
	rules, err := b.Rules(more)
	return rules, ruleError(err, option.Filter{})
}

func give(b *filter.Builder, f option.Filter) error {
	switch f.Kind {
	case option.ExcludeRule:
		return b.Exclude(f.Value)
	case option.IncludeRule:
		return b.Include(f.Value)
	case option.ExcludeFrom:
		return b.ExcludeFrom(f.Value)
	case option.IncludeFrom:
		return b.IncludeFrom(f.Value)
	case option.ShortF:
		return b.ShortF()
	}
	return b.Filter(f.Value)
}

// implied are the rules that other options append (rsync-filelist 7.2).
func implied(opt *option.Set) filter.Implied {
	i := filter.Implied{OldDirs: opt.OldDirs, CVS: opt.CVSExclude}
	if opt.Backup && opt.BackupDir == "" && deletes(opt) && !opt.DeleteExcluded {
		i.BackupSuffix = opt.Suffix
	}
	if !strings.HasPrefix(opt.PartialDir, "/") {
		i.PartialDir = opt.PartialDir
	}
	return i
}

// deletes reports whether opt has what rsync calls delete mode.
func deletes(opt *option.Set) bool {
	return opt.Delete || opt.DeleteBefore || opt.DeleteDuring || opt.DeleteDelay || opt.DeleteAfter || opt.DeleteExcluded
}

// ruleError puts what is wrong with a rule into rsync's words.
func ruleError(err error, f option.Filter) error {
	var e *filter.Error
	var path *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &path):
		kind, name := "exclude", f.Value
		if f.Kind == option.IncludeFrom {
			kind = "include"
		}
		if f.Kind == option.FilterRule {
			name = strings.Trim(path.Path, `"`)
		}
		return &fatal{ExitFile, untrusted(err) + fmt.Sprintf("rsync: [client] failed to open %s file %s: %s", kind, name, output.Strerror(err))}
	case !errors.As(err, &e):
		return fatalf(ExitSyntax, "%v", err)
	}
	rule := e.Rule
	if e.Origin.File != "" {
		rule = fmt.Sprintf("<rule from %s line %d>", e.Origin.File, e.Origin.Line)
	}
	switch r := e.Reason; {
	case r == filter.ReasonUnknown:
		return fatalf(ExitSyntax, "Unknown filter rule: %s", rule)
	case r == filter.ReasonShort:
		return fatalf(ExitSyntax, "unexpected end of filter rule: %s", rule)
	case r == filter.ReasonTrailing:
		return fatalf(ExitSyntax, "'!' rule has trailing characters: %s", rule)
	default:
		return fatalf(ExitSyntax, "%s in filter rule: %s", r, rule)
	}
}

// untrusted is the line about a symlink that is not followed, if err is that.
func untrusted(err error) string {
	var link walk.UntrustedLink
	if errors.As(err, &link) {
		return link.Error() + "\n"
	}
	return ""
}

// filtersDue reports whether the client sends its filter rules
// (rsync-session 4.4).
func filtersDue(opt *option.Set, push bool, protocol int) bool {
	if !push {
		return true
	}
	return opt.PruneEmptyDirs || deletes(opt) && (!opt.DeleteExcluded || protocol >= sidedProtocol)
}

// maxRule is the longest filter rule in bytes (rsync-session 4.4).
const maxRule = 5119

// maxRules bounds what a client may send of them, in bytes.
const maxRules = 64 << 20

// writeRules sends a filter list.
func writeRules(w *wire.Writer, texts []string) error {
	for _, text := range texts {
		if len(text) == 0 || len(text) > maxRule || strings.Contains(text, "\x00") {
			return fatalf(ExitProtocol, "filter rule %q cannot be sent", clip(text))
		}
		w.Int(int32(len(text)))
		io.WriteString(w, text)
	}
	w.Int(0)
	return w.Err()
}

// readRules reads a filter list into b.
func readRules(r *wire.Reader, protocol int, b *filter.Builder) error {
	for total := 0; ; {
		n, err := r.Int()
		switch {
		case err != nil:
			return fmt.Errorf("filter list: %w", err)
		case n == 0:
			return nil
		case n < 0 || n > maxRule:
			return fmt.Errorf("filter rule of %d bytes: %w", n, wire.ErrStream)
		}
		if total += int(n); total > maxRules {
			return fmt.Errorf("more than %d bytes of filter rules: %w", maxRules, wire.ErrStream)
		}
		text := make([]byte, n)
		if err := r.ReadFull(text); err != nil {
			return fmt.Errorf("filter list: %w", err)
		}
		if err := ruleError(b.Received(protocol, string(text)), option.Filter{}); err != nil {
			return err
		}
	}
}

// maxMerge bounds a per-directory file of rules, in bytes.
const maxMerge = 16 << 20

// mergeReader reads the per-directory files of the destination. As the operator
// names them they are read through symlinks that he could have made; at a daemon,
// where a client names them, as far as those stay in the module.
func (e *end) mergeReader(root *walk.Root) filter.ReadMerge {
	return func(dir tree.Path, name string) ([]byte, error) {
		at, named := dir.Join(name), e.merging()
		if e.host != nil {
			return e.tellRefusal(named.ReadFileBelow(root, at, maxMerge))
		}
		var err error
		if named.Base, err = root.File(); err != nil {
			return nil, err
		}
		defer named.Base.Close()
		return e.tellRefusal(named.ReadFile(string(at), maxMerge))
	}
}

// readAbove reads a file of rules outside of the destination, by its absolute
// path; at a daemon that begins at the module, and nothing leads out of it. One
// that may not be read is not there: it is not ours.
func (e *end) readAbove(name string) (data []byte, err error) {
	if e.host == nil {
		data, err = e.tellRefusal(e.merging().ReadFile(name, maxMerge))
	} else if f, bad := e.host.openFile(name); bad != nil {
		err = bad
	} else {
		data, err = walk.ReadRegular(f, maxMerge)
	}
	if errors.Is(err, fs.ErrPermission) {
		err = fs.ErrNotExist
	}
	return data, err
}

// merging opens files of rules.
func (e *end) merging() walk.Operator {
	return walk.Operator{Insecure: e.opt.InsecureLinks, Confine: e.opt.ConfineRoot}
}

// tellRefusal says that a file of rules was not opened because of a symlink; it is
// not there then.
func (e *end) tellRefusal(data []byte, err error) ([]byte, error) {
	if output.TellRefusal(e.talk, err) {
		err = fs.ErrNotExist
	}
	return data, err
}
