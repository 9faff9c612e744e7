package session

import (
	"lockstep/internal/rsync/option"
)

// set is o as a command line would have it, for a session of some protocol.
func (o *Options) set(protocol int) *option.Set {
	s := option.New()
	s.Recurse, s.Dirs, s.Relative, s.IncRecurse = o.Recurse, o.Dirs || o.Recurse || o.deletes(), o.Relative, o.IncRecurse
	s.ImpliedDirs = o.Relative && !o.NoImplied
	s.Links, s.Perms, s.Times, s.Owner, s.Group = o.Links, o.Perms, o.Times, o.Owner, o.Group
	s.Devices, s.Specials, s.HardLinks, s.ACLs, s.NumericIDs = o.Devices, o.Specials, o.HardLinks, o.ACLs, o.NumericIDs
	s.Xattrs = boolInt(o.Xattrs)
	s.Checksum, s.IgnoreTimes, s.SizeOnly, s.Update = o.Checksum, o.IgnoreTimes, o.SizeOnly, o.Update
	s.Existing, s.IgnoreExisting, s.DryRun = o.Existing, o.IgnoreExisting, o.DryRun
	s.ModifyWindow = o.ModifyWindow
	if protocol < nsecProtocol {
		s.ModifyWindow = max(0, o.ModifyWindow)
	}
	s.Delete, s.DeleteExcluded, s.DeleteMissingArgs = o.deletes(), o.DeleteExcluded, o.DeleteMissing
	s.IgnoreErrors, s.Force, s.MaxDelete = o.IgnoreErrors, o.Force, o.MaxDelete
	s.DeleteBefore, s.DeleteDuring = o.DeleteWhen == "before", o.DeleteWhen == "during"
	s.DeleteDelay, s.DeleteAfter = o.DeleteWhen == "delay", o.DeleteWhen == "after"
	s.Fuzzy, s.LinkDest = o.Fuzzy, o.LinkDest
	if s.Backup, s.BackupDir = o.Backup, o.BackupDir; s.BackupDir != "" {
		s.Suffix = ""
	}
	s.WholeFile, s.Sparse, s.Partial, s.Fsync, s.MkPath = boolInt(o.WholeFile), o.Sparse, o.Partial, o.Fsync, o.MkPath
	s.TempDir = o.TempDir
	s.KeepDirlinks, s.OmitDirTimes, s.OmitLinkTimes = o.KeepDirlinks, o.OmitDirTimes, o.OmitLinkTimes
	s.Compress = o.Compress != ""
	if o.Compress != compressAuto {
		s.CompressChoice = o.Compress
	}
	s.CompressLevel, s.HasCompressLevel = o.CompressLevel, o.CompressLevel != 0
	s.BwLimit, s.Timeout, s.Remote = int64(o.BwLimit)<<10, o.Timeout, o.Remote
	return s
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
