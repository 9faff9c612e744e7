package dest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/rsync/option"
)

// everything makes a source with all kinds of things.
const everything = `
	mkdir -p s/dir/deep s/empty s/closed d
	echo hello > s/a; echo set > s/setid; chmod 6755 s/setid; echo ro > s/ro; chmod 400 s/ro
	ln -s a s/link; mkfifo s/dir/pipe; echo x > s/dir/x; head -c 300000 /dev/urandom > s/dir/deep/big
	head -c 200000 /dev/zero > s/zeros; echo end >> s/zeros
	chmod 500 s/closed; chmod 2775 s/dir
	touch -d '2001-02-03 04:05:06.789' s/a s/dir/x; touch -h -d '2002-02-02' s/link; touch -d 1999-01-01 s/empty s/dir/deep
	touch -h -d '2003-03-03 03:03:03' s/dir/pipe s/setid s/ro s/zeros s/dir/deep/big s/dir/deep s/dir s/closed s
`

const rooted = `
	mknod s/null c 1 3; mknod s/blk b 7 9; chown 1000:100 s/a; chown 1001:5 s/dir s/setid; chmod 6755 s/setid; chown -h 5:6 s/link; touch -d 2004-04-04 s/null s/blk s
`

const tagged = `
	setfattr -n user.short -v 1 s/a; setfattr -n user.long -v 0123456789012345678901234567890123456789012345678901234567890123456789 s/dir/x
	setfacl -m u:1000:rw,g:5:r s/a; setfacl -d -m u:7:rwx,o::- s/dir; setfacl -m u:9:r s/dir
`

const attributesHere = `
	setfattr -n trusted.t -v 1 s/a; cp -a s/. d; setfattr -n user.more -v 1 d/a; setfattr -n user.short -v 2 d/a; setfattr -n trusted.t -v 2 d/a
	setfattr -n trusted.u -v 1 d/a; setfattr -n user.short -v 3 d/dir/x
`

func attributeRule(rule string) func(*option.Set) {
	return func(o *option.Set) { o.Xattrs, o.Filters = 1, []option.Filter{{Kind: option.FilterRule, Value: rule}} }
}

var sameCases = []struct {
	name  string
	args  string
	set   func(*option.Set)
	setup string
	times bool // compare times as well
	root  bool // needs root
	acl   bool // needs the tools for attributes
}{
	{"a new tree", "-a", nil, everything, true, false, false},
	{"a new tree with owners and devices", "-a", nil, everything + rooted, true, true, false},
	{"without -p and -t", "-rlD", func(o *option.Set) { o.Perms, o.Times, o.Owner, o.Group = false, false, false, false }, everything, false, false, false},
	{"without -p over existing items", "-rltD", func(o *option.Set) { o.Perms, o.Owner, o.Group = false, false, false },
		everything + "mkdir -p d/dir d/empty; echo old > d/a; chmod 606 d/a; chmod 711 d/dir; ln -s zz d/ro; echo y > d/dir/x; chmod 640 d/dir/x", true, false, false},
	{"executability", "-rltDE", func(o *option.Set) { o.Perms, o.Owner, o.Group, o.Executability = false, false, false, true },
		everything + "echo set > d/setid; touch -r s/setid d/setid; chmod 604 d/setid; echo hello > d/a; chmod 775 d/a; touch -r s/a d/a", true, false, false},
	{"a setgid parent without -p", "-rltD", func(o *option.Set) { o.Perms, o.Owner, o.Group = false, false, false }, everything + "chgrp 100 d; chmod 2775 d", true, true, false},
	{"a default ACL without -p", "-rltD", func(o *option.Set) { o.Perms, o.Owner, o.Group = false, false, false },
		everything + "setfacl -d -m u:7:rwx,g::r,o::- d", true, false, true},
	{"a default ACL with -p", "-a", nil, everything + "setfacl -d -m u:7:rwx,g::r,o::- d", true, false, true},
	{"ACLs and attributes", "-aAX", func(o *option.Set) { o.ACLs, o.Xattrs = true, 1 }, everything + tagged, true, false, true},
	{"ACLs and attributes that differ", "-aAX", func(o *option.Set) { o.ACLs, o.Xattrs = true, 1 },
		everything + tagged + "cp -a s/. d; setfacl -b d/a; setfacl -d -m u:8:r d/dir; setfacl -d -m u:8:r d/empty; setfattr -x user.short d/a; setfattr -n user.gone -v 1 d/dir/x; setfattr -n user.long -v 2 d/dir/x", true, false, true},
	{"attributes of other name spaces", "-aX", func(o *option.Set) { o.Xattrs = 1 },
		everything + tagged + "setfattr -n trusted.t -v 1 s/a; setfattr -h -n trusted.l -v 1 s/link; setfattr -n user.rsync.%stat -v '100644 0,0 5:5' s/a", true, true, true},
	{"attributes chosen by a rule", "-aX --filter=-x_user.short", attributeRule("-x user.short"), everything + tagged + attributesHere, true, true, true},
	{"attributes protected by a rule", "-aX --filter=-xr_user.*", attributeRule("-xr user.*"), everything + tagged + attributesHere, true, true, true},
	{"attributes hidden by a rule", "-aX --filter=-xs_user.*", attributeRule("-xs user.*"), everything + tagged + attributesHere, true, true, true},
	{"only attributes of users", "-aX --filter=-x!_user.*", attributeRule("-x! user.*"), everything + tagged + attributesHere, true, true, true},
	{"all attributes", "-aXX", func(o *option.Set) { o.Xattrs = 2 },
		everything + tagged + "setfattr -n user.rsync.%stat -v '100644 0,0 5:5' s/a", true, true, true},
	{"fake super", "-aAX -M--fake-super", func(o *option.Set) { o.ACLs, o.Xattrs, o.FakeSuper = true, 1, true },
		everything + rooted + tagged + "setfattr -n trusted.t -v 1 s/a", true, true, true},
	{"fake super over an earlier state", "-aAX -M--fake-super", func(o *option.Set) { o.ACLs, o.Xattrs, o.FakeSuper = true, 1, true },
		everything + rooted + tagged + "rsync -aAX -M--fake-super s/ d; chown 0:0 s/a; chmod 755 s/setid; setfacl -b s/a; setfacl -k s/dir; ln -snf bb s/link; rm s/null; mknod s/null c 1 5; chmod 600 s/blk; echo more >> s/ro; touch -h -d 2005-05-05 s/link s/null s", true, true, true},
	{"no super", "-a -M--no-super --no-D", func(o *option.Set) { o.Super, o.Devices, o.Specials = -1, false, false }, everything + rooted, true, true, false},
	{"access times", "-aU", func(o *option.Set) { o.Atimes = 1 }, everything, true, false, false},
	{"no times of directories and symlinks", "-aOJ", func(o *option.Set) { o.OmitDirTimes, o.OmitLinkTimes = true, true },
		everything + "cp -a s/. d; touch -h -d 1980-01-01 d/link; touch -d 1980-01-01 d/empty d; touch -d 1990-01-01 d/a", true, false, false},
	{"sparse", "-aS", func(o *option.Set) { o.Sparse = true }, everything, true, false, false},
	{"preallocated", "-a --preallocate", func(o *option.Set) { o.Preallocate = true }, everything, true, false, false},
	{"preallocated and sparse", "-aS --preallocate", func(o *option.Set) { o.Sparse, o.Preallocate = true, true }, everything, true, false, false},
	{"in place", "-aW --inplace", func(o *option.Set) { o.Inplace = true },
		everything + "cp -a s/. d; echo longer than before > d/a; ln d/a d/other; head -c 400000 /dev/urandom > d/dir/deep/big", true, false, false},
	{"in place, sparse", "-aWS --inplace", func(o *option.Set) { o.Inplace, o.Sparse = true, true },
		everything + "head -c 400000 /dev/urandom > d/zeros", true, false, false},
	{"in place with backups", "-aWb --inplace", func(o *option.Set) { o.Inplace, o.Backup, o.OmitDirTimes = true, true, true },
		everything + "cp -a s/. d; echo longer than before > d/a; touch -d 1990-01-01 d/a; ln d/a d/other", true, false, false},
	{"checksums", "-ac", func(o *option.Set) { o.Checksum = true },
		everything + "cp -a s/. d; echo HELLO > d/a; touch -r s/a d/a; touch -d 1990-01-01 d/ro", true, false, false},
	{"size only", "-a --size-only", func(o *option.Set) { o.SizeOnly = true },
		everything + "cp -a s/. d; echo HELLO > d/a; echo more >> d/dir/x", true, false, false},
	{"ignore times", "-aI", func(o *option.Set) { o.IgnoreTimes = true }, everything + "cp -a s/. d; echo HELLO > d/a; touch -r s/a d/a", true, false, false},
	{"modify window", "-a --modify-window=2", func(o *option.Set) { o.ModifyWindow = 2 },
		everything + "cp -a s/. d; touch -d '2001-02-03 04:05:08' d/a; touch -d '2001-02-03 04:05:09' d/dir/x", true, false, false},
	{"nanoseconds", "-a -@-1", func(o *option.Set) { o.ModifyWindow = -1 }, everything + "cp -a s/. d; touch -d '2001-02-03 04:05:06.5' d/a", true, false, false},
	{"deletion", "-a --delete", func(o *option.Set) { o.Delete = true },
		everything + "cp -a s/. d; mkdir -p d/gone/x/y; touch d/gone/x/1 d/gone/x/y/2 d/dir/extra; ln -s z d/lgone; mkfifo d/pgone", true, false, false},
	{"deletion with a limit", "-a --delete --max-delete=3", func(o *option.Set) { o.Delete, o.MaxDelete = true, 3 },
		everything + "mkdir -p d/gone/x/y; touch d/gone/x/1 d/gone/x/y/2 d/gone/3 d/4", true, false, false},
	{"other kinds in the way", "-a --delete", func(o *option.Set) { o.Delete = true },
		everything + "mkdir -p d/a/sub d/link d/dir/pipe/x; touch d/a/sub/f; ln -s zz d/dir/x; mkfifo d/empty; touch d/closed; ln -s dir d/ro", true, false, false},
	{"a directory with entries in the way", "-a", nil, everything + "mkdir -p d/a/sub d/dir/pipe; touch d/a/sub/f", true, false, false},
	{"force", "-a --force", func(o *option.Set) { o.Force = true }, everything + "mkdir -p d/a/sub d/link/x; touch d/a/sub/f", true, false, false},
	{"backups", "-ab", func(o *option.Set) { o.Backup, o.OmitDirTimes = true, true },
		everything + "cp -a s/. d; for f in a ro dir/x zeros; do chmod u+w d/$f; echo old > d/$f; touch -d 1990-01-01 d/$f; done; ln -snf old d/link; rm d/dir/pipe; echo p > d/dir/pipe", true, false, false},
	{"backups of deletions in a directory", "-ab --delete --backup-dir=../b", func(o *option.Set) { o.Backup, o.BackupDir, o.Suffix, o.Delete = true, "../b", "", true },
		everything + "cp -a s/. d; echo old > d/a; mkdir -p d/gone/x b/gone b/a; echo 1 > d/gone/x/1; echo 2 > d/gone/2; echo old > d/dir/x; touch b/gone/x", true, false, false},
	{"backups with a suffix in a new directory", "-ab --backup-dir=../b/c --suffix=.old", func(o *option.Set) { o.Backup, o.BackupDir, o.Suffix = true, "../b/c", ".old" },
		everything + "cp -a s/. d; echo old > d/a; echo old > d/dir/x; ln -snf old d/link", true, false, false},
	{"link-dest", "-a --link-dest=../alt", func(o *option.Set) { o.LinkDest = []string{"../alt"} },
		everything + "cp -a s alt; echo changed > alt/a; chmod 640 alt/dir/x; touch -d 1990-01-01 alt/ro", true, false, false},
	{"link-dest over another file", "-a --link-dest=../alt", func(o *option.Set) { o.LinkDest = []string{"../alt"} },
		everything + "cp -a s alt; echo other > d/a; mkdir d/dir; echo other > d/dir/x; chmod 600 alt/dir/x", true, false, false},
	{"two link-dests", "-a --link-dest=../alt --link-dest=../alt2", func(o *option.Set) { o.LinkDest = []string{"../alt", "../alt2"} },
		everything + "cp -a s alt; cp -a s alt2; chmod 600 alt/a; rm alt/dir/x", true, false, false},
	{"link-dest with symlinks in it", "-a --link-dest=../alt", func(o *option.Set) { o.LinkDest = []string{"../alt"} },
		everything + "mkdir alt; cp -a s/dir alt/real; cp -a s/closed s/empty s/a alt; ln -s real alt/dir", true, false, false},
	{"copy-dest", "-a --copy-dest=../alt", func(o *option.Set) { o.CopyDest = []string{"../alt"} },
		everything + "cp -a s alt; chmod 600 alt/a; echo changed > alt/dir/x", true, false, false},
	{"compare-dest", "-a --compare-dest=../alt", func(o *option.Set) { o.CompareDest = []string{"../alt"} },
		everything + "cp -a s alt; chmod 600 alt/a; echo changed > alt/dir/x; rm alt/link", true, false, false},
	{"a temporary directory", "-a -T t", func(o *option.Set) { o.TempDir = "t" }, everything + "mkdir d/t; echo old > d/a", true, false, false},
	{"a temporary directory elsewhere", "-a -T /dev/shm", func(o *option.Set) { o.TempDir = "/dev/shm" }, everything + "echo old > d/a", true, false, false},
	{"a temporary and a partial directory", "-a -T /dev/shm --partial-dir=.pp", func(o *option.Set) { o.TempDir, o.PartialDir, o.Partial = "/dev/shm", ".pp", true },
		everything + "echo old > d/a; mkdir -p d/dir/.pp; echo part > d/dir/.pp/x", true, false, false},
	{"delayed updates", "-a --delay-updates", func(o *option.Set) { o.DelayUpdates = true }, everything + "echo old > d/a", true, false, false},
	{"delayed updates with backups", "-ab --delay-updates --partial-dir=.pp", func(o *option.Set) {
		o.DelayUpdates, o.Backup, o.PartialDir, o.OmitDirTimes, o.Partial = true, true, ".pp", true, true
	}, everything + "echo old > d/a", true, false, false},
	{"munged symlinks", "-a -M--munge-links", func(o *option.Set) { o.MungeLinks = true }, everything, true, false, false},
	{"symlinks to directories", "-aK", func(o *option.Set) { o.KeepDirlinks = true },
		everything + "mkdir d/real; ln -s real d/dir; chmod 2775 d/real; touch -d '2003-03-03 03:03:03' d/real; touch -h -d '2003-03-03 03:03:03' d/dir", true, false, false},
	{"symlinks to directories replaced", "-a", nil, everything + "mkdir d/real; ln -s real d/dir", true, false, false},
}

// TestSameAsRsync does the same work with a Dest and with rsync, and compares
// what both leave, itself and in the directories that options name.
func TestSameAsRsync(t *testing.T) {
	needs(t, "rsync")
	for _, c := range sameCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.root {
				needsRoot(t)
			}
			if c.acl {
				needs(t, "setfacl", "setfattr")
			}
			top := t.TempDir()
			ours, theirs := filepath.Join(top, "ours"), filepath.Join(top, "theirs")
			must(t, os.Mkdir(ours, 0o755))
			shell(t, ours, c.setup)
			shell(t, top, "cp -a ours theirs")
			opt := options()
			archive(opt)
			if c.set != nil {
				c.set(opt)
			}
			e, err := newEngine(t, opt, ours, "s", "d", "")
			must(t, err)
			must(t, e.run())
			words := append(strings.Fields(c.args), "s/", filepath.Join(theirs, "d"))
			cmd := exec.Command("rsync", words...)
			cmd.Dir = theirs
			said, _ := cmd.CombinedOutput()
			for _, dir := range []string{"d", "b", "alt", "alt2"} {
				if _, err := os.Lstat(filepath.Join(theirs, dir)); err != nil {
					continue
				}
				times := c.times && dir != "b"
				// What is deleted in a directory that stays gives it the time of that; and rsync 3.5.0 can't set
				// the times of a directory that a symlink leads to.
				dirTimes := !opt.OmitDirTimes && opt.MaxDelete < 0 && !opt.KeepDirlinks && opt.TempDir == ""
				got, want := fingerprint(t, filepath.Join(ours, dir), times, dirTimes), fingerprint(t, filepath.Join(theirs, dir), times, dirTimes)
				if got != want {
					t.Errorf("%s differs:\n%s\nwe said:\n%s\nrsync said:\n%s", dir, difference(got, want), strings.Join(e.talk.lines, "\n"), said)
				}
			}
		})
	}
}

// difference shows the lines that are in one text only.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	var out strings.Builder
	for _, l := range g {
		if !strings.Contains("\n"+want+"\n", "\n"+l+"\n") {
			out.WriteString("ours   " + l + "\n")
		}
	}
	for _, l := range w {
		if !strings.Contains("\n"+got+"\n", "\n"+l+"\n") {
			out.WriteString("theirs " + l + "\n")
		}
	}
	return out.String()
}
