package daemon

import (
	"strings"

	"lockstep/internal/rsync/daemon/conf"
	"lockstep/internal/rsync/option"
)

// Bounds on what a client may ask for (rsync-session 7).
const (
	minAlloc   = 1 << 20
	maxThreads = 8
)

// impose forces the module's policy on the options of a client, whatever it
// sent (rsync-session 2.5).
func (m *Module) impose(opt *option.Set) {
	opt.Server = true
	opt.MungeLinks = m.Munge
	opt.InsecureLinks = m.InsecureLinks
	opt.LogFile, opt.LogFormat, opt.CopyAs, opt.PasswordFile = "", "", "", ""
	opt.ConfineRoot = m.Dir
	opt.WriteBatch, opt.ReadBatch = "", ""
	if opt.Iconv != "" && opt.Iconv != "-" {
		opt.Iconv = m.Charset
	}
	opt.IgnoreErrors = opt.IgnoreErrors || m.IgnoreErrors
	if m.OpenNoatime != conf.Unset {
		opt.OpenNoatime = m.OpenNoatime == conf.Yes
	}
	if m.FakeSuper {
		opt.FakeSuper, opt.Xattrs = true, min(opt.Xattrs, 1)
	}
	if opt.TempDir == "" {
		opt.TempDir = m.TempDir
	}
	if m.Timeout > 0 && (opt.Timeout == 0 || opt.Timeout > m.Timeout) {
		opt.Timeout = m.Timeout
	}
	if m.BwLimit > 0 && (opt.BwLimit == 0 || opt.BwLimit > m.BwLimit) {
		opt.BwLimit = m.BwLimit
	}
	change := m.Incoming
	if opt.Sender {
		change = m.Outgoing
	}
	if change != "" {
		opt.Chmod = append(opt.Chmod, change)
	}
	if opt.MaxAlloc < minAlloc {
		opt.MaxAlloc = minAlloc
	}
	opt.CompressThreads = min(opt.CompressThreads, maxThreads)
	if m.NoCompress && opt.Sender && opt.Compress {
		opt.CompressLevel, opt.HasCompressLevel = 1, true
	}
	m.calm(opt)
}

// calm lowers what the client wants to be told to what the module allows.
func (m *Module) calm(opt *option.Set) {
	limit := max(m.MaxVerbosity, 0)
	words := []string{"--server", ".", "."}
	if limit > 0 {
		words = []string{"--server", "-" + strings.Repeat("v", min(limit, 9)), ".", "."}
	}
	most, err := option.Parse(option.Input{Words: words})
	if err != nil {
		return
	}
	opt.Verbose = min(opt.Verbose, limit)
	for i := range opt.Info {
		opt.Info[i] = min(opt.Info[i], most.Info[i])
	}
	for i := range opt.Debug {
		opt.Debug[i] = min(opt.Debug[i], most.Debug[i])
	}
}

// forbids is why a request cannot be served, nil if it can.
func (m *Module) forbids(opt *option.Set) error {
	switch {
	case opt.Sender && m.WriteOnly:
		return failuref(exitSyntax, "ERROR: module is write only")
	case opt.Sender && m.ReadOnly && (opt.RemoveSourceFiles || opt.RemoveSentFiles):
		return failuref(exitSyntax, "ERROR: --remove-source-files cannot be used with a read-only module")
	case !opt.Sender && m.ReadOnly:
		return failuref(exitSyntax, "ERROR: module is read only")
	case opt.Daemon:
		return failuref(exitUnsupported, "rsync: Attempt to hack rsync thwarted!")
	}
	return nil
}

// judgeChmods reports what is wrong with changes of modes.
func judgeChmods(changes ...string) error {
	for _, change := range changes {
		if change == "" {
			continue
		}
		if _, err := option.ParseChmod([]string{change}, 0); err != nil {
			return err
		}
	}
	return nil
}
