package mirror

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
	"lockstep/internal/live/hours"
	"lockstep/internal/live/target"
	"lockstep/internal/live/watch"
	"lockstep/internal/rsync/secure"
)

// Config describes one mirror. The zero value of every field but Source,
// Targets and MaxDelete is the documented default.
type Config struct {
	Source  string
	Targets []string // as typed: directory, rsync://…, host::module, host:path

	Once      bool // bring in step, then end
	DryRun    bool // full passes say what they would do; implies Once
	NoDelete  bool
	MaxDelete change.Limit // of one pass, and of ten seconds
	Rules     *filter.Rules
	Backups   target.Backups // Rules must exclude its Pattern

	PasswordFile  string
	PasswordFiles map[string]string // by target; before PasswordFile
	TLS           bool              // with rsync daemons, whatever their URL begins with
	TLSFiles      secure.Client     // for those that TLS is spoken with
	Shell         string            // remote shell command; "" = ssh
	RsyncPath     string            // rsync at the other end; "" = rsync
	Protocol      int               // highest rsync protocol to offer, 27 to 32; 0 = 32
	Compress      bool
	BwLimit       hours.Rates   // for each target; nil = no limit
	Quiet         hours.Windows // nothing is begun in them; what changes is collected
	Checksum      bool
	HardLinks     bool
	ACLs          bool
	Xattrs        bool
	NumericIDs    bool

	Watch        watch.Backend
	PollInterval time.Duration
	Events       watch.Op      // which events count; 0 = all that change a tree
	MaxHold      time.Duration // longest time a file being written is held back; 0 = for ever
	BatchDelay   time.Duration // wait this long after a change for more; 0 = none
	Fstab        string        // says what belongs to be mounted in the source; "" = /etc/fstab

	Listener Listener
}

// Fatal outcomes of Run.
var (
	ErrSourceGone = target.ErrSourceGone
	ErrOutOfStep  = errors.New("not everything could be brought in step")
	ErrMaxDelete  = target.ErrMaxDelete
)

// Validate checks c; errors name the field, the value and the bound.
func (c *Config) Validate() error {
	switch {
	case c.Source == "":
		return errors.New("source: no directory named")
	case len(c.Targets) == 0:
		return errors.New("targets: none named")
	case c.Backups.Validate() != nil:
		return c.Backups.Validate()
	case c.Protocol != 0 && (c.Protocol < 27 || c.Protocol > 32):
		return fmt.Errorf("protocol: %d is not within 27 to 32", c.Protocol)
	case c.MaxHold < 0:
		return fmt.Errorf("max-hold: %v is below 0", c.MaxHold)
	case c.BatchDelay < 0:
		return fmt.Errorf("batch-delay: %v is below 0", c.BatchDelay)
	case c.PollInterval < 0:
		return fmt.Errorf("poll-interval: %v is below 0", c.PollInterval)
	case c.Protocol != 0 && c.Protocol < 30 && (c.ACLs || c.Xattrs):
		return fmt.Errorf("protocol: %d carries neither ACLs nor xattrs, they need 30", c.Protocol)
	}
	info, err := os.Stat(c.Source)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("source: %s is not a directory", tree.Quote(c.Source))
	}
	return nil
}

// TargetOptions are the parts of c that the target called name needs.
func (c *Config) TargetOptions(name string) target.Options {
	var planned func(bool, tree.Path)
	if tell := c.Listener.Planned; tell != nil && c.DryRun {
		planned = func(removed bool, p tree.Path) { tell(name, removed, p) }
	}
	return target.Options{
		Planned: planned,
		Delete:  !c.NoDelete, MaxDelete: c.MaxDelete, DryRun: c.DryRun, Backups: c.Backups, Checksum: c.Checksum,
		HardLinks: c.HardLinks, ACLs: c.ACLs, Xattrs: c.Xattrs, NumericIDs: c.NumericIDs, Hold: !c.Once,
		Compress: c.Compress, BwLimit: c.BwLimit, Shell: c.Shell, RsyncPath: c.RsyncPath,
		Protocol: c.Protocol, PasswordFile: cmp.Or(c.PasswordFiles[name], c.PasswordFile), Rules: c.Rules,
		TLS: c.TLS, TLSFiles: c.TLSFiles,
	}
}

// openTargets makes the targets named in c.
func (c *Config) openTargets(src target.Source) ([]target.Target, error) {
	var ts []target.Target
	seen := map[string]bool{}
	secret := false
	for _, text := range c.Targets {
		sp, err := target.ParseSpec(text)
		if err != nil {
			return nil, err
		}
		if seen[text] {
			return nil, fmt.Errorf("target %s: named twice", tree.Quote(text))
		}
		seen[text] = true
		secret = secret || sp.TLS || c.TLS && sp.Transport == target.Daemon
		if sp.Transport == target.Local {
			if err := apart(src.Dir, sp.Path); err != nil {
				return nil, err
			}
			ts = append(ts, target.NewDirectory(sp, src, c.TargetOptions(text)))
			continue
		}
		t, err := target.NewRsync(sp, src, c.TargetOptions(text))
		if err != nil {
			return nil, err
		}
		ts = append(ts, t)
	}
	if (c.TLS || c.TLSFiles.Set()) && !secret {
		return nil, errors.New("TLS is for rsync daemons, and no target would have it: say --tls too, or rsyncs:// in place of rsync://")
	}
	return ts, nil
}

// apart checks that neither of two directories holds the other: a mirror into
// its own source would never end, and one of its own parent would delete it.
func apart(source, dir string) error {
	a, err := resolve(source)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	b, err := resolve(dir)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	a, b = strings.TrimSuffix(a, "/")+"/", strings.TrimSuffix(b, "/")+"/"
	if strings.HasPrefix(a, b) || strings.HasPrefix(b, a) {
		return fmt.Errorf("target %s and source %s overlap: one must not lie inside the other", tree.Quote(dir), tree.Quote(source))
	}
	return nil
}

// resolve follows the symlinks in the part of dir that exists.
func resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	rest := ""
	for {
		real, err := filepath.EvalSymlinks(abs)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, os.ErrNotExist) || abs == "/" {
			return "", err
		}
		rest = filepath.Join(filepath.Base(abs), rest)
		abs = filepath.Dir(abs)
	}
}

// eventSet is what the change set is told.
func (c *Config) eventSet() change.Options {
	return change.Options{Events: c.Events, MaxHold: c.MaxHold}
}
