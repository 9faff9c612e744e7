package session

import (
	"errors"
	"fmt"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/flist"
)

// Options are what is asked of the receiving server, and what shapes the file
// list on both sides. The zero value asks for nothing, with one exception:
// MaxDelete.
type Options struct {
	// What is transferred and kept: -r -d -R -l -p -t -o -g -H -A -X, devices,
	// fifos and sockets, --numeric-ids. Dirs is for directories without their
	// contents; with Delete and not Recurse it goes without saying.
	Recurse, Dirs, Relative, Links, Perms, Times, Owner, Group bool
	Devices, Specials, HardLinks, ACLs, Xattrs, NumericIDs     bool

	// How files are compared: -c -I --size-only -u --existing
	// --ignore-existing, and -n. ModifyWindow is in seconds, -1 means
	// nanoseconds too.
	Checksum, IgnoreTimes, SizeOnly, Update, Existing, IgnoreExisting, DryRun bool
	ModifyWindow                                                              int

	// What is deleted. DeleteWhen is "" (the server's choice), "before",
	// "during", "delay" or "after". MaxDelete is -1 for no limit: beware, 0
	// allows no deletion at all.
	Delete, DeleteExcluded, DeleteMissing, IgnoreErrors, Force bool
	DeleteWhen                                                 string
	MaxDelete                                                  int

	// Backup keeps what is deleted or replaced in BackupDir, relative to the
	// destination.
	Backup    bool
	BackupDir string

	// Where content may come from that does not cross the wire: LinkDest
	// directories are relative to the destination; Fuzzy is 0, 1 or 2.
	Fuzzy    int
	LinkDest []string

	// How files are written: -W -S --partial --fsync --mkpath --temp-dir -K
	// -O -J --no-implied-dirs.
	WholeFile, Sparse, Partial, Fsync, MkPath            bool
	TempDir                                              string
	KeepDirlinks, OmitDirTimes, OmitLinkTimes, NoImplied bool

	// Compress is "" (off), "auto" (negotiated) or the name of a method; a
	// level of 0 is the method's own.
	Compress      string
	CompressLevel int

	BwLimit int        // KiB/s, both ways; 0 is no limit
	Rate    func() int // KiB/s that we send at this moment, 0 is no limit; in place of BwLimit, and the peer is not told
	Timeout int        // seconds without any traffic, both ways; 0 is the peer's choice

	// IncRecurse accepts incremental file lists.
	IncRecurse bool

	// Filters are the rules which a deleting server is to know, in their wire
	// form for the protocol of the session; nil is none. It is called when
	// they are due.
	Filters func(protocol int) ([]string, error)

	// Remote are further options for the server, as -M gives them.
	Remote []string

	// Names caches user and group names from session to session; nil is a
	// cache for this one.
	Names *flist.Names
}

// Protocols that brought options with them (rsync-session 4.3).
const (
	aclProtocol     = 30
	fuzzyProtocol   = 29
	altDestProtocol = 29
	nulProtocol     = 30 // arguments end with NUL instead of LF
	capsProtocol    = 30 // the capability string
	sidedProtocol   = 29 // filter rules know sides
	perishProtocol  = 30 // filter rules may be perishable
	nsecProtocol    = 31 // nanoseconds travel, and servers may know of a window of -1
)

// maxAltDest is how many --link-dest directories a server takes.
const maxAltDest = 20

// Validate reports options that contradict each other or are out of range.
func (o *Options) Validate() error {
	switch {
	case (o.Delete || o.DeleteExcluded) && !o.Recurse && !o.Dirs && !o.Relative:
		return errors.New("options: Delete needs Recurse or Dirs")
	case o.DeleteWhen != "" && !deleteTimes[o.DeleteWhen]:
		return fmt.Errorf("options: DeleteWhen %q is not before, during, delay or after", o.DeleteWhen)
	case o.MaxDelete < -1:
		return fmt.Errorf("options: MaxDelete %d is below -1", o.MaxDelete)
	case o.ModifyWindow < -1:
		return fmt.Errorf("options: ModifyWindow %d is below -1", o.ModifyWindow)
	case o.Fuzzy < 0 || o.Fuzzy > 2:
		return fmt.Errorf("options: Fuzzy %d is not 0 to 2", o.Fuzzy)
	case len(o.LinkDest) > maxAltDest:
		return fmt.Errorf("options: %d LinkDest directories, at most %d can be given", len(o.LinkDest), maxAltDest)
	case o.BwLimit < 0:
		return fmt.Errorf("options: BwLimit %d is negative", o.BwLimit)
	case o.Timeout < 0:
		return fmt.Errorf("options: Timeout %d is negative", o.Timeout)
	}
	if _, err := o.method(); err != nil {
		return fmt.Errorf("options: Compress: %w", err)
	}
	for _, s := range append(append([]string{o.TempDir}, o.LinkDest...), o.Remote...) {
		if strings.Contains(s, "\x00") {
			return fmt.Errorf("options: %s holds a NUL byte", tree.Quote(s))
		}
	}
	return nil
}

var deleteTimes = map[string]bool{"before": true, "during": true, "delay": true, "after": true}

// deletes reports whether the server is in what rsync calls delete mode.
func (o *Options) deletes() bool { return o.Delete || o.DeleteExcluded || o.DeleteWhen != "" }

// compressAuto leaves the method to negotiation.
const compressAuto = "auto"

// method is the explicit compression method, None without compression or if
// it is negotiated.
func (o *Options) method() (compress.Method, error) {
	if o.Compress == "" || o.Compress == compressAuto {
		return compress.None, nil
	}
	return compress.Parse(o.Compress)
}
