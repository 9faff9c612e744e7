package option

// optionsKept are about links and the attributes of files.
var optionsKept = []*Option{
	{Long: "links", Short: 'l', Off: no("links", "l"), Help: "copy symlinks as symlinks",
		set: flag(func(s *state) *bool { return &s.Links })},
	{Long: "copy-links", Short: 'L', Help: "transform symlink into referent file/directory",
		set: flag(func(s *state) *bool { return &s.CopyLinks })},
	{Long: "copy-unsafe-links", Help: `only "unsafe" symlinks are transformed`,
		set: flag(func(s *state) *bool { return &s.CopyUnsafeLinks })},
	{Long: "safe-links", Help: "ignore symlinks that point outside the tree",
		set: flag(func(s *state) *bool { return &s.SafeLinks })},
	{Long: "insecure-links", Off: no("insecure-links"), Help: "follow attacker-owned symlinks in operator paths",
		set: flag(func(s *state) *bool { return &s.InsecureLinks })},
	{Long: "confine-root", Arg: "DIR", Help: "refuse operator paths resolving outside DIR",
		set: text(func(s *state) *string { return &s.ConfineRoot })},
	{Long: "munge-links", Off: no("munge-links"), Help: "munge symlinks to make them safe & unusable",
		set: flag(func(s *state) *bool { return &s.MungeLinks })},
	{Long: "copy-dirlinks", Short: 'k', Help: "transform symlink to directory into referent directory",
		set: flag(func(s *state) *bool { return &s.CopyDirlinks })},
	{Long: "keep-dirlinks", Short: 'K', Help: "treat symlinked directory on receiver as directory",
		set: flag(func(s *state) *bool { return &s.KeepDirlinks })},
	{Long: "hard-links", Short: 'H', Off: no("hard-links", "H"), Help: "preserve hard links",
		set: setHardLinks},
	{Long: "perms", Short: 'p', Off: no("perms", "p"), Help: "preserve permissions",
		set: flag(func(s *state) *bool { return &s.Perms })},
	{Long: "executability", Short: 'E', Help: "preserve executability",
		set: flag(func(s *state) *bool { return &s.Executability })},
	{Long: "chmod", Arg: "CHMOD", Help: "affect file and/or directory permissions", set: setChmod},
	{Long: "acls", Short: 'A', Off: no("acls", "A"), Help: "preserve ACLs (implies --perms)",
		Implies: []string{"perms"}, set: flag(func(s *state) *bool { return &s.ACLs })},
	{Long: "xattrs", Short: 'X', Off: no("xattrs", "X"), Help: "preserve extended attributes",
		set: count(func(s *state) *int { return &s.Xattrs })},
	{Long: "owner", Short: 'o', Off: no("owner", "o"), Help: "preserve owner (super-user only)",
		set: flag(func(s *state) *bool { return &s.Owner })},
	{Long: "group", Short: 'g', Off: no("group", "g"), Help: "preserve group",
		set: flag(func(s *state) *bool { return &s.Group })},
	{Long: "devices", Off: no("devices"), Help: "preserve device files (super-user only)",
		set: flag(func(s *state) *bool { return &s.Devices })},
	{Long: "copy-devices", Help: "copy device contents as a regular file",
		set: flag(func(s *state) *bool { return &s.CopyDevices })},
	{Long: "write-devices", Off: no("write-devices"), Help: "write to devices as files (implies --inplace)",
		set: flag(func(s *state) *bool { return &s.WriteDevices })},
	{Long: "specials", Off: no("specials"), Help: "preserve special files",
		set: flag(func(s *state) *bool { return &s.Specials })},
	{Long: "drop-D", Off: no("drop-D"), Help: "receiver refuses to create devices/specials",
		set: flag(func(s *state) *bool { return &s.DropD })},
	{Short: 'D', Off: no("D"), Help: "same as --devices --specials",
		Implies: []string{"devices", "specials"}, Both: true, set: nothing},
	{Long: "times", Short: 't', Off: no("times", "t"), Help: "preserve modification times",
		set: flag(func(s *state) *bool { return &s.Times })},
	{Long: "atimes", Short: 'U', Off: no("atimes", "U"), Help: "preserve access (use) times",
		set: count(func(s *state) *int { return &s.Atimes })},
	{Long: "open-noatime", Off: no("open-noatime"), Help: "avoid changing the atime on opened files",
		set: flag(func(s *state) *bool { return &s.OpenNoatime })},
	{Long: "crtimes", Short: 'N', Off: no("crtimes", "N"), Help: "preserve create times (newness)", set: setCrtimes},
	{Long: "omit-dir-times", Short: 'O', Off: no("omit-dir-times", "O"), Help: "omit directories from --times",
		set: flag(func(s *state) *bool { return &s.OmitDirTimes })},
	{Long: "omit-link-times", Short: 'J', Off: no("omit-link-times", "J"), Help: "omit symlinks from --times",
		set: flag(func(s *state) *bool { return &s.OmitLinkTimes })},
	{Long: "super", Off: no("super"), Help: "receiver attempts super-user activities", set: setSuper},
	{Long: "fake-super", Help: "store/recover privileged attrs using xattrs", set: setFakeSuper},
}

func setHardLinks(st *state, v value) error {
	if st.HardLinks = v.on; v.on {
		st.said.hardLinks++
	} else {
		st.said.hardLinks = 0
	}
	return nil
}

func setChmod(st *state, v value) error {
	if _, err := ParseChmod([]string{v.text}, 0); err != nil {
		return err
	}
	st.Chmod = append(st.Chmod, v.text)
	return nil
}

// setCrtimes refuses what Linux cannot do.
func setCrtimes(_ *state, v value) error {
	if v.on {
		return usage("This rsync does not support --crtimes (-N)")
	}
	return nil
}

// setSuper and setFakeSuper override each other.
func setSuper(st *state, v value) error {
	if st.Super, st.FakeSuper = -1, false; v.on {
		st.Super = 1
	}
	return nil
}

func setFakeSuper(st *state, _ value) error {
	st.Super, st.FakeSuper = 0, true
	return nil
}
