package proof_test

import "lockstep/internal/proof/harness"

const manyLinks = `
src/a 10
src/d/b 20
src/inside -> a
src/dirlink -> d
src/d/up -> ../a
src/outside -> ../keep/secret
src/absolute -> /etc/hostname
src/dangling -> nowhere
src/d/out -> ../../keep
src/loop -> loop
keep/secret 30
keep/tree/x 31
dst/dirlink/b 5
dst/inside 12
dst/d -> ../other
other/b 20 t=1500000000
`

// Symlinks and hard links.
var linkRows = []row{
	{name: "links", world: manyLinks, args: "-ai"},
	{name: "no links", world: manyLinks, args: "-rti"},
	{name: "no links with verbose", world: manyLinks, args: "-rtv"},
	{name: "copy links through a file", world: "src/a 1\nsrc/l -> a/b\nsrc/n -> none\n", args: "-aiL", via: []harness.Transport{harness.ShellPush}},
	{name: "existing without implied directories", world: "src/d/a 1\ndst/\n", least: 30, args: "-rR --existing --no-implied-dirs", from: "src/d/a"},
	{name: "copy links", world: manyLinks, args: "-aiL"},
	{name: "copy unsafe links", world: manyLinks, args: "-ai --copy-unsafe-links"},
	{name: "safe links", world: manyLinks, args: "-ai --safe-links"},
	{name: "safe links with verbose", world: manyLinks, args: "-av --safe-links"},
	{name: "copy dirlinks", world: manyLinks, args: "-aik"},
	{name: "keep dirlinks", world: manyLinks, args: "-aiK"},
	{name: "keep dirlinks of another user", root: true, world: "real/\nsrc/d/a 1\ndst/d -> ../real uid=1000\n", args: "-aiK"},
	{name: "keep dirlinks with delete", world: manyLinks, args: "-aiK --delete"},
	{name: "munged links", world: manyLinks, args: "-ai --munge-links", twice: true},
	{name: "links unmunged", world: "src/a -> /rsyncd-munged/b\nsrc/c -> d\n", args: "-ai --munge-links"},
	{name: "a link as the source", world: manyLinks, args: "-ai", from: "src/dirlink"},
	{name: "a link with a slash as the source", world: manyLinks, args: "-ai", from: "src/dirlink/"},
	{name: "the destination is a link", world: "src/a 1\nreal/a 2\ndst -> real\n", args: "-ai", to: "dst"},
	{name: "links with omitted times", world: "src/l -> a t=1500000000\nsrc/m -> b t=1500000000\ndst/l -> a\n", args: "-aiJ"},
	{name: "link times", world: "src/l -> a t=1500000000\nsrc/m -> b t=1500000000\ndst/l -> a\n", args: "-ai", twice: true},
	{name: "hard links", world: linked, args: "-aHi", twice: true},
	{name: "hard links without inc recursion", world: linked, args: "-aHi --no-i-r", twice: true},
	{name: "hard links into nothing", world: linked, args: "-aHi", to: "fresh/", order: true},
	{name: "hard links that overlapping arguments list twice", world: "src/d/a 7\nsrc/d/x/b = src/d/a\n", args: "-aHi", from: "src/d/ src/", to: "fresh",
		via: []harness.Transport{harness.Local, harness.ShellPush}},
	{name: "hard links not asked for", world: linked, args: "-ai"},
	{name: "hard links with delete", world: linked, args: "-aHi --delete"},
	{name: "hard links with verbose", world: linked, args: "-aHvv", order: true},
	{name: "hard links with a delta in place", world: "src/a 30k#1+5\nsrc/b = src/a\ndst/a 30k#1 t=1500000000\ndst/b = dst/a\n", args: "-aHi --inplace --no-W --stats"},
	{name: "hard links of which one is excluded", world: linked, args: "-aHi --exclude=/a --exclude=late", to: "fresh/", order: true},
	{name: "hard links that grow, of which the last is longer", world: "src/g 1000\nsrc/x = src/g\ndst/x 5000 t=1500000000\n", args: "-aHi --append"},
	{name: "hard links of which one exists", world: linked, args: "-aHi --ignore-existing"},
	{name: "hard links that exist only", world: linked, args: "-aHi --existing"},
	{name: "hard links of specials", world: "src/p fifo\nsrc/q = src/p\nsrc/d/r = src/p\nsrc/l -> p\nsrc/m = src/l\n", args: "-aHi", twice: true},
	{name: "hard links of devices", world: "src/n char=1:3\nsrc/o = src/n\n", args: "-aHi", root: true, twice: true},
	{name: "hard links from a list", world: linked + "list \"x/q\\ny/r\\nb\\n\"\n", args: "-aHi --files-from=$W/list", to: "fresh/"},
	{name: "hard links with backups", world: linked, args: "-aHib"},
	{name: "hard links with delayed updates", world: linked, args: "-aHi --delay-updates"},
	{name: "hard links by checksum", world: linked, args: "-aHic"},
	{name: "hard links of several sources", world: linked, args: "-aHi", from: "src/x src/y src/z", to: "fresh/"},
	{name: "hard links dry", world: linked, args: "-aHin"},
	{name: "hard links in full detail", world: linked, args: "-aHii"},
}

const owned = `
src/a 10 uid=1000 gid=1000
src/b 20 uid=0 gid=4
src/c 30 uid=65534 gid=65534
src/d/ uid=12345 gid=54321 mode=0750
src/d/e 40 uid=12345 gid=0
src/l -> a uid=1000 gid=4
src/set 50 mode=6755 uid=1000 gid=1000
dst/a 10
dst/c 30 uid=65534 gid=65534
dst/set 50 mode=6755
dst/d/
`

const access = `
src/a 10 acl=u::rw-,u:1:r--,g::r--,m::r--,o::---
src/b 20 mode=0640
src/c 30 acl=u::rwx,u:1000:rwx,g::---,g:4:r-x,m::rwx,o::r--
src/d/ dacl=u::rwx,u:1:rwx,g::r-x,m::rwx,o::--- acl=u::rwx,u:12345:rwx,g::r-x,m::rwx,o::r-x
src/d/e 40
dst/a 10
dst/b 20 mode=0640 acl=u::rw-,u:1:r--,g::r--,m::r--,o::---
dst/d/ dacl=u::rwx,u:2:rwx,g::r-x,m::rwx,o::r-x
dst/d/f/
`

const attributed = `
src/a 10 user.one=1 user.two=second
src/b 20 user.big="` + hundred + hundred + hundred + `"
src/c 30 user.big="` + hundred + hundred + `"
src/d/ user.dir=x
src/d/e 40 user.one=1 user.two=second
src/f 50
src/l -> a
dst/a 10 user.one=1 user.two=other user.three=3
dst/b 20 user.big="` + hundred + hundred + hundred + `"
dst/c 30 user.big="` + hundred + `"
dst/f 50 user.gone=1
`

const hundred = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

// Owners, modes, times, ACLs, extended attributes, devices.
var attributeRows = []row{
	{name: "owners", world: owned, args: "-ai", root: true, twice: true},
	{name: "owners by number", world: owned, args: "-ai --numeric-ids", root: true, twice: true},
	{name: "owners not asked for", world: owned, args: "-rlpti", root: true},
	{name: "groups only", world: owned, args: "-rlptgi", root: true},
	{name: "chown", world: owned, args: "-ai --chown=nobody:nogroup", root: true},
	{name: "chown by number", world: owned, args: "-ai --chown=1234:4321", root: true},
	{name: "user map", world: owned, args: "-ai --usermap=1000:2000,0:nobody,12000-13000:7 --groupmap=*:4", root: true},
	{name: "map of names", world: owned, args: "-ai --usermap=nobody:daemon,root:bin --groupmap=adm:1,*:nogroup", root: true},
	{name: "map of ids without names", world: owned, args: "-ai --usermap=:99 --groupmap=:98", root: true},
	{name: "maps with numeric ids", world: owned, args: "-ai --numeric-ids --usermap=1000:2000", root: true},
	{name: "no super", world: owned, args: "-ai --no-super", root: true},
	{name: "fake super", world: owned + "src/n char=1:3\nsrc/p fifo\n", args: "-ai --fake-super", root: true, twice: true, least: 30},
	{name: "fake super at the other end", world: owned + "src/n char=1:3\nsrc/p fifo\n", args: "-ai -M--fake-super", root: true, via: overShell, least: 30},
	{name: "fake super without times of links", world: "src/a 1\nsrc/l -> a t=1500000000\n", args: "-aiJ --fake-super", root: true},
	{name: "permissions as an old protocol shows them", world: "src/d/ mode=0777\nsrc/l -> a\nsrc/p fifo mode=0666\nsrc/q fifo mode=0666\ndst/q 1\n",
		args: "-rlD --out-format='%i %n %B' --protocol=28", via: []harness.Transport{harness.ShellPull}},
	{name: "executability", world: mixed, args: "-rliE", twice: true},
	{name: "perms of new files without perms", world: "src/a 1 mode=0777\nsrc/b 2 mode=0400\nsrc/d/ mode=2775\nsrc/d/e 3 mode=1644\nsrc/s 4 mode=4711\n", args: "-rti"},
	{name: "chmod", world: mixed, args: "-ai --chmod=Dg+s,ug+w,Fo-rwx,+X", twice: true},
	{name: "chmod by number", world: mixed, args: "-ai --chmod=D755,F640"},
	{name: "chmod without perms", world: mixed, args: "-rti --chmod=D700,F600"},
	{name: "chmod copying classes", world: mixed, args: "-ai --chmod=g=u,o=g,Fa-x --chmod=Do+t"},
	{name: "omitted dir times", world: mixed, args: "-aiO"},
	{name: "access times", world: "src/a 10 at=1400000000\nsrc/b 20 at=1400000000.5\ndst/b 20 at=1300000000\nsrc/d/ at=1200000000\n", args: "-aiU --open-noatime", least: 30, want: harness.Comparison{Atimes: true}},
	{name: "creation times", world: small, args: "-aiN"},
	{name: "devices and specials", world: "src/n char=1:3 mode=0666\nsrc/b block=7:100\nsrc/p fifo mode=0600\nsrc/s socket\nsrc/q fifo\ndst/n char=1:5\ndst/q 10\ndst/b block=7:100 mode=0600\n", args: "-ai", root: true, twice: true},
	{name: "specials only", world: "src/n char=1:3\nsrc/p fifo\nsrc/s socket\n", args: "-rlti --specials", root: true},
	{name: "devices only", world: "src/n char=1:3\nsrc/p fifo\n", args: "-rlti --devices", root: true},
	{name: "no devices", world: "src/n char=1:3\nsrc/p fifo\nsrc/a 1\n", args: "-rti", root: true},
	{name: "devices dropped", world: "src/n char=1:3\nsrc/p fifo\nsrc/a 1\n", args: "-ai --drop-D", root: true},
	{name: "acls", world: access, args: "-aAi", twice: true},
	{name: "acls into nothing", world: access, args: "-aAi", to: "fresh/", twice: true},
	{name: "acls of names by number", world: access, args: "-aAi --numeric-ids"},
	{name: "acls dry", world: access, args: "-aAin"},
	{name: "default acls without acls", world: "src/d/a 1 mode=0666\nsrc/d/x 2 mode=0777\nsrc/d/s/\ndst/d/ dacl=u::rwx,u:1:rwx,g::r-x,m::rwx,o::---\n", args: "-rti"},
	{name: "xattrs", world: attributed, args: "-aXi", twice: true, least: 30},
	{name: "xattrs into nothing", world: attributed, args: "-aXi", to: "fresh/", twice: true, least: 30},
	{name: "xattrs of roots", world: "src/a 1 trusted.x=1 security.capability=\"\\x01\\x00\\x00\\x02\\x00\\x04\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"\nsrc/l -> a trusted.y=2\n", args: "-aXi", root: true, least: 30},
	{name: "xattrs with hard links", world: attributed + "src/h = src/a\n", args: "-aXHi", least: 30},
	{name: "xattrs and acls", world: attributed + "src/z 1 user.x=y acl=u::rw-,u:1:r--,g::r--,m::r--,o::---\n", args: "-aXAi", least: 30},
	{name: "xattrs dry", world: attributed, args: "-aXin", least: 30},
	{name: "xattrs with link dest", world: attributed + "alt/a 10 user.one=1 user.two=second\nalt/f 50\nalt/d/e 40 user.one=1 user.two=wrong\n", args: "-aXi --link-dest=../alt", to: "fresh/", least: 30},
	{name: "xattrs at an old protocol", world: attributed, args: "-aXi --protocol=29", via: overShell},
}

// What is said.
var wordRows = []row{
	{name: "verbose", world: mixed, args: "-av", twice: true},
	{name: "verbose with delete", world: mixed, args: "-av --delete"},
	{name: "very verbose", world: mixed, args: "-avv", order: true},
	{name: "very verbose with delete", world: mixed, args: "-avv --delete", order: true},
	{name: "quiet", world: small, args: "-aq", from: "src/ src/nothing"},
	{name: "itemized twice", world: mixed, args: "-aii"},
	{name: "verbose and itemized", world: mixed, args: "-avi"},
	{name: "very verbose and itemized", world: mixed, args: "-avvi", order: true},
	{name: "stats", world: mixed, args: "-a --stats --delete"},
	{name: "stats of numbers", world: "src/a 3m\nsrc/b 1500k\n", args: "-a --stats -h"},
	{name: "stats without marks", world: "src/a 3m\nsrc/b 1500k\n", args: "-a --stats --no-h"},
	{name: "stats of duplicates and what is pruned", world: "src/d/\nsrc/e/\nsrc/f 1\n", args: "-am --stats", from: "src/d/ src/",
		via: []harness.Transport{harness.ShellPull}},
	{name: "secluded arguments told", world: "src/a 1\n", args: "-rsvv --backup-dir=foo", via: []harness.Transport{harness.ShellPush}, order: true},
	{name: "duplicates told", world: "src/d/x 1\nsrc/x 2\n", args: "-r --debug=dup -M--debug=dup", from: "src/d/ src/"},
	{name: "duplicates told once the list is there", world: "src/d/x 1\nsrc/x 2\n", args: "-rv --no-i-r --debug=dup", from: "src/d/ src/", via: []harness.Transport{harness.ShellPull}},
	{name: "stats of missing arguments", world: small, args: "-a --stats --delete-missing-args", from: "src/none src/",
		via: []harness.Transport{harness.ShellPull}},
	{name: "stats dry", world: mixed, args: "-an --stats"},
	{name: "progress", world: small, args: "-a --progress"},
	{name: "progress without inc recursion", world: small, args: "-a --no-i-r --progress"},
	{name: "progress of deltas", world: pieces, args: "-a --no-W --progress"},
	{name: "progress of what is appended", world: "src/a 200k#1+90k#2\ndst/a 200k#1 t=1500000000\n", args: "-a --append --progress"},
	{name: "progress of what is appended and verified", world: "src/a 200k#1+90k#2\ndst/a 200k#1 t=1500000000\n", args: "-a --append-verify --progress"},
	{name: "progress of the whole", world: small, args: "-a --info=progress2"},
	{name: "human progress", world: "src/a 3m\n", args: "-ahP"},
	{name: "out format", world: small, args: "-a --delete --out-format='%i|%o|%n|%L|%l|%B|%M|%U|%G|%f'"},
	{name: "out format after the transfer", world: mixed, args: "-a --no-W --out-format='%n %b %c %C'"},
	{name: "out format after a dry run", world: small, args: "-an --delete --out-format='%n %b %c %C %l'"},
	{name: "out format of modes without perms", world: mixed, args: "-rtlD --out-format='%i %n %B'", least: 29, via: []harness.Transport{harness.ShellPull}},
	{name: "out format with widths", world: small, args: "-a --out-format='[%10l] [%-12n] [%3l] %% %q'"},
	{name: "out format of names", world: small, args: "-a --out-format=%n --delete"},
	{name: "out format with units", world: "src/a 3m\nsrc/b 4567\n", args: "-a --out-format=\"%'l %''l %'''l %n\""},
	{name: "info name", world: mixed, args: "-a --info=name"},
	{name: "info name2", world: mixed, args: "-a --info=name2", order: true},
	{name: "info of nothing", world: mixed, args: "-avv --info=none"},
	{name: "info of deletions", world: mixed, args: "-a --delete --info=del"},
	{name: "info of backups and removals", world: small, args: "-ab --remove-source-files --info=backup,remove,skip", order: true},
	{name: "info help", world: small, args: "--info=help", via: localOnly},
	{name: "debug help", world: small, args: "--debug=help", via: localOnly},
	{name: "info nobody knows", world: small, args: "-a --info=foo"},
	{name: "messages on standard error", world: mixed, args: "-av --stderr=all", order: true},
	{name: "messages by the client", world: small, args: "-av --stderr=client", from: "src/ src/nothing"},
	{name: "skipped directories", world: small, args: "-tv", from: "src/d src/a"},
	{name: "skipped specials", world: "src/p fifo\nsrc/a 1\n", args: "-rtv"},
	{name: "help", world: small, args: "--help", via: localOnly},
}

// What goes wrong.
var troubleRows = []row{
	{name: "a source that is not there", world: small, args: "-ai", from: "src/nothing"},
	{name: "one of the sources is not there", world: small, args: "-ai", from: "src/nothing src/a"},
	{name: "no rsync option", world: small, args: "-ai --nonsense"},
	{name: "an argument that is missing", world: small, args: "-ai --max-size"},
	{name: "an argument that is no number", world: small, args: "-ai --max-delete=x"},
	{name: "an argument that is no size", world: small, args: "-ai --max-size=10q"},
	{name: "conflict of in place and partial dir", world: small, args: "-ai --inplace --partial-dir=x"},
	{name: "conflict of in place and delayed updates", world: small, args: "-ai --inplace --delay-updates"},
	{name: "conflict of append and in place without", world: small, args: "-ai --append --whole-file"},
	{name: "conflict of delete timings", world: small, args: "-ai --delete-before --delete-after"},
	{name: "conflict of delete and no recursion", world: small, args: "--delete -i"},
	{name: "conflict of compare dest and link dest", world: small, args: "-ai --compare-dest=a --link-dest=b"},
	{name: "conflict of files from and two sources", world: small + "list \"a\\n\"\n", args: "-ai --files-from=$W/list", from: "src/ src/d"},
	{name: "conflict of checksum choice", world: small, args: "-ai --cc=nonsense"},
	{name: "conflict of compress choice", world: small, args: "-aiz --zc=nonsense"},
	{name: "chmod nobody understands", world: small, args: "-ai --chmod=u+q"},
	{name: "user map nobody understands", world: small, args: "-ai --usermap=a", root: true},
	{name: "suffix with a slash", world: small, args: "-aib --suffix=a/b"},
	{name: "iconv nobody understands", world: small, args: "-ai --iconv=nonsense", via: localOnly, quiet: true},
	{name: "block size that is too large", world: small, args: "-ai -B 1000000"},
	{name: "protocol that is too new", world: small, args: "-ai --protocol=99", via: localOnly},
	{name: "protocol that is too old", world: small, args: "-ai --protocol=10", via: localOnly, quiet: true},
	{name: "a destination below a file", world: small, args: "-ai", to: "dst/a/b/"},
	{name: "a program that is not there", world: small, args: "-ai --rsync-path=/nonexistent/rsync", via: localOnly},
	{name: "max alloc", world: small, args: "-ai --max-alloc=1m"},
	{name: "stop at the past", world: small, args: "-ai --stop-at=2001-01-01T00:00"},
	{name: "a files from list that is not there", world: small, args: "-ai --files-from=$W/nothing"},
	{name: "a backup dir that is a file", world: small + "bak 5\n", args: "-aib --backup-dir=../bak"},
	{name: "daemon options without daemon", world: small, args: "-ai --config=x", via: localOnly},
}
