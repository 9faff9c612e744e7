package proof_test

import "lockstep/internal/proof/harness"

// What is chosen, other than by filters.
var selectRows = []row{
	{name: "files from", world: small + "list \"a\\nd/c\\nnothing\\nl\\n\"\n", args: "-ai --files-from=$W/list"},
	{name: "files from with recursion", world: small + "list \"d\\n./b\\n/a\\n\"\n", args: "-air --files-from=$W/list"},
	{name: "files from with a directory", world: small + "list \"d/\\nl\\n# no\\n; no\\n\\n\"\n", args: "-ai --files-from=$W/list"},
	{name: "files from without relative", world: small + "list \"d/c\\nd/e/f\\na\\n\"\n", args: "-ai --no-R --files-from=$W/list"},
	{name: "files from without implied dirs", world: small + "list \"d/e/f\\na\\n\"\n", args: "-ai --no-implied-dirs --files-from=$W/list"},
	{name: "files from with nulls", world: small + "list \"d/c\\x00a\\x00\"\n", args: "-ai -0 --files-from=$W/list"},
	{name: "files from standard input", world: small, args: "-ai --files-from=-", stdin: "d/c\r\nb\n../src/a\n"},
	{name: "files from the other side", world: small + "list \"d/c\\nb\\n\"\n", args: "-ai --files-from=:$W/list", via: overShell},
	{name: "files from with delete", world: small + "list \"d\\na\\n\"\n", args: "-air --delete --files-from=$W/list"},
	{name: "files from with delete missing args", world: small + "list \"y\\na\\nd/x\\n\"\n", args: "-ai --delete-missing-args --files-from=$W/list", least: 31},
	{name: "files from with anchors", world: small + "list \"d/./e/f\\n./d/e/\\n\"\n", args: "-ai --files-from=$W/list"},
	{name: "relative", world: small, args: "-aiR", from: "src/d/c src/a", to: "dst/"},
	{name: "relative with an anchor", world: small, args: "-aiR", from: "src/./d/e src/d/./c", to: "dst/"},
	{name: "relative without implied dirs", world: small + "dst/d/ mode=0711\n", args: "-aiR --no-implied-dirs", from: "src/./d/e/f", to: "dst/"},
	{name: "relative with a slash at the end", world: small, args: "-aiR --delete", from: "src/./d/", to: "dst/"},
	{name: "relative through a link", world: "src/real/f 10\nsrc/via -> real\n", args: "-aiR", from: "src/./via/f", to: "dst/"},
	{name: "relative with dot dot", world: small, args: "-aiR", from: "src/d/../a", to: "dst/"},
	{name: "prune empty dirs", world: selected, args: "-aim -f '+ */' -f '+ *.c' -f '- *'"},
	{name: "prune empty dirs with delete", world: selected, args: "-aim --delete --exclude=*.o"},
	{name: "prune empty dirs without inc recursion", world: mixed, args: "-aim --no-i-r --exclude=file"},
	{name: "one file system", world: "src/a 1\nsrc/m/b 2\nsrc/n/c 3\ndst/m/old 3\n", args: "-aix --delete", mount: "src/m"},
	{name: "one file system in detail", world: "src/a 1\nsrc/m/b 2\nsrc/n/c 3\n", args: "-avvx", mount: "src/m src/n", order: true},
	{name: "one file system twice said", world: "src/a 1\nsrc/m/b 2\nsrc/n/c 3\ndst/m/old 3\n", args: "-aixx --delete", mount: "src/m"},
	{name: "mount points in the way of delete", world: "src/a 1\ndst/m/b 2\ndst/n/m/c 3\n", args: "-aix --delete", mount: "dst/m dst/n/m"},
	{name: "mount points in the way of delete across", world: "src/a 1\ndst/m/b 2\ndst/n/m/c 3\n", args: "-ai --delete", mount: "dst/m dst/n/m"},
	{name: "files that move across file systems", world: "src/a 50k\nsrc/d/b 3\ndst/a 10\ntmp/\n", args: "-ai -T $W/tmp", mount: "tmp", via: noDaemon},
	{name: "backups on another file system", world: small, args: "-aib --backup-dir=../bak --delete", mount: "bak"},
	{name: "human names", world: "\"src/tab\\tname\" 1\n\"src/bell\\a\" 2\n\"src/\\\\#012\" 3\n\"src/latin-\\xe9\" 4\nsrc/日本 5\n", args: "-ai"},
	{name: "eight bit output", world: "\"src/latin-\\xe9\" 4\nsrc/日本 5\n\"src/n\\nl\" 6\n", args: "-ai8"},
	{name: "names in the C locale", world: "\"src/latin-\\xe9\" 4\nsrc/日本 5\n", args: "-ai", env: "LC_ALL=C"},
	{name: "iconv to latin1", world: "src/ünï/é 1\nsrc/日本 2\nsrc/plain 3\nsrc/l -> ü\n", args: "-ai --iconv=UTF-8,ISO-8859-1"},
	{name: "iconv from latin1", world: "\"src/\\xfcn\" 1\nsrc/plain 3\ndst/ün 1\n", args: "-ai --delete --iconv=ISO-8859-1,UTF-8"},
	{name: "iconv with files from", world: "src/ü 1\nsrc/o 2\nlist \"ü\\no\\n\"\n", args: "-ai --iconv=UTF-8,ISO-8859-1 --files-from=$W/list"},
	{name: "a long name", world: "src/" + long + " 10\nsrc/" + long + "d/x 11\ndst/" + long + " 20\n", args: "-ai"},
	{name: "names like options", world: "src/-rf 1\nsrc/--delete 2\nsrc/~ 3\nsrc/... 4\n", args: "-ai"},
	{name: "names with blanks and wildcards as arguments", world: "\"src/a b\" 1\nsrc/*x 2\nsrc/$y 3\n", args: "-ai", from: `"src/a b" src/\*x`},
	{name: "wildcards for the server", world: small, args: "-ai", from: "src/[ab]", via: []harness.Transport{harness.ShellPull, harness.DaemonPull}},
	{name: "secluded args", world: "\"src/a b\" 1\nsrc/c 2\n", args: "-ais", from: `"src/a b" src/c`, least: 30},
	{name: "old args", world: "src/a 1\nsrc/c 2\n", args: "-ai --old-args", from: "src/a", via: overShell},
	{name: "many files", world: manyFiles, args: "-ai --stats"},
	{name: "many files with delete", world: manyFiles + "dst/d07/f003 9\ndst/d07/x 1\ndst/zz/y 2\n", args: "-ai --delete"},
	{name: "trusted sender", world: small, args: "-ai --trust-sender"},
}

const long = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789" +
	"abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnop"

// manyFiles is enough for incremental recursion to take several rounds.
var manyFiles = func() string {
	b := ""
	for d := range 12 {
		for f := range 20 {
			b += "src/d" + string(rune('0'+d/10)) + string(rune('0'+d%10)) + "/f0" + string(rune('0'+f/10)) + string(rune('0'+f%10)) + " 20\n"
		}
	}
	return b
}()

// The filter language.
var filterRows = []row{
	{name: "rules with and without NULs", world: "src/a 1\nsrc/b 2\nsrc/c 3\nsrc/d 4\nlines \"a\\nb\\n\"\nnuls \"c\\x00#x\\x00\"\n", args: "-ai --exclude-from=$W/lines -0 --exclude-from=$W/nuls"},
	{name: "exclude", world: selected, args: "-ai --exclude=*.o --exclude=/tmp --exclude=deep/"},
	{name: "include and exclude", world: selected, args: "-ai --include=keep.o --exclude=*.o --include=*/ --exclude=sub/a*"},
	{name: "exclude from", world: selected, args: "-ai --exclude-from=$W/src/rules"},
	{name: "include from", world: selected + "inc \"*/\\n*.c\\n\"\n", args: "-ai --include-from=$W/inc --exclude=*"},
	{name: "exclude from with nulls", world: selected + "list \"*.o\\x00/tmp\\x00\"\n", args: "-ai -0 --exclude-from=$W/list"},
	{name: "merge file", world: selected, args: "-ai -f '. $W/src/rules'"},
	{name: "merge file of excludes", world: selected + "plain \"*.o\\n*.c\\n\"\n", args: "-ai -f '.- $W/plain'"},
	{name: "the rules that let names of later lists pass", world: "src/d/a.c 1\nsrc/d/b 2\nsrc/d/e/f.c 3\nsrc/g.c 4\n", args: "-a -vv --include=*/ --include=*.c --exclude=*",
		via: []harness.Transport{harness.ShellPull, harness.DaemonPull}, order: true},
	{name: "dir merge", world: selected, args: "-aiF"},
	{name: "dir merge with delete", world: selected, args: "-aiF --delete"},
	{name: "dir merge above what is listed", world: "src/d/\ndst/d/old.o 5\ndst/.rsync-filter \"- *.o\\n\"\n", args: "-ri --delete -f ': .rsync-filter'", from: "src/d", least: 29},
	{name: "dir merge that hides itself", world: selected, args: "-aiFF --delete"},
	{name: "dir merge without inheritance", world: selected, args: "-ai -f 'dir-merge,n .rsync-filter'"},
	{name: "dir merge of words", world: "src/.w \"a.o b.c\"\nsrc/a.o 1\nsrc/b.c 2\nsrc/c 3\nsrc/d/a.o 4\n", args: "-ai -f ':w- .w'"},
	{name: "dir merge excluded from the transfer", world: selected, args: "-ai -f ':e .rsync-filter' --delete"},
	{name: "dir merge beside anchors", world: "src/x/.m \"- /f\\n- g/h\\n+ i\\n- i*\\n\"\nsrc/x/f 1\nsrc/x/y/f 2\nsrc/x/g/h 3\nsrc/x/y/g/h 4\nsrc/x/i 5\nsrc/x/ij 6\n", args: "-ai -f ': .m'"},
	{name: "dir merge above the source", world: ".m \"- *.o\\n\"\n" + selected, args: "-ai -f ': /.m'"},
	{name: "dir merge above the destination", world: ".m \"P old\\n\"\ndst/.m \"P keep\\n\"\nsrc/a 1\ndst/d/keep 2\ndst/d/old 3\ndst/d/gone 4\n", args: "-ai --delete -f ': /.m'", to: "dst/d/"},
	{name: "dir merge through symlinks", root: true, args: "-ai -L --delete -f ': .m'", world: "rules \"- f\\nP keep\\n\"\nother/.m \"- g\\n\"\nother/g 1\nother/h 2\n" +
		"src/.m -> ../rules\nsrc/f 1\nsrc/keep/.m -> ../../rules uid=1000\nsrc/keep/f 2\nsrc/d -> ../other uid=1000\nsrc/e -> ../other\n" +
		"dst/.m -> ../rules\ndst/keep/f 2\ndst/d/x 1\n"},
	{name: "dir merge in the destination through symlinks", root: true, args: "-ai --delete -f ': .m' --exclude=.m", world: "rules \"P keep\\n\"\nsrc/d/a 1\n" +
		"dst/.m -> ../rules\ndst/keep 1\ndst/d/.m -> ../../rules uid=1000\ndst/d/keep 1\n"},
	{name: "dir merge in a whole pass over symlinks", root: true, args: "-ai --delete-before -f ': .m'",
		world: "real/\nsrc/l -> nowhere\nsrc/d/a 1\ndst/l -> nowhere uid=1000\ndst/d -> ../real uid=1000\n"},
	{name: "files from behind another user's symlinks", root: true, args: "-ai --files-from=$W/list", world: "other/e/f 1\nsrc/l -> ../other uid=1000\nsrc/m -> ../other\n" +
		"list \"l\\nl/\\nl/e/f\\nl/./e\\nl/none\\nm/e\\nm/e/f\\n\"\n"},
	{name: "files from with slashes behind symlinks", args: "-ai --files-from=$W/list", world: "src/f 1\nsrc/loop -> loop\nsrc/none -> nowhere\nsrc/file -> f\n" +
		"list \"loop/\\nnone/\\nfile/\\nloop/x\\n\"\n"},
	{name: "files from where symlinks are followed", root: true, args: "-ai --copy-unsafe-links --files-from=$W/list", world: "other/e/f 1\nsrc/l -> ../other uid=1000\nlist \"l/e/f\\n\"\n"},
	{name: "dir merge that clears", world: "src/.m \"- a\\n\"\nsrc/a 1\nsrc/x/.m \"!\\n- b\\n\"\nsrc/x/a 2\nsrc/x/b 3\n", args: "-ai -f ': .m'"},
	{name: "cvs exclude", world: selected, args: "-aiC"},
	{name: "cvs exclude with delete", world: selected, args: "-aiC --delete"},
	{name: "cvs exclude with delete excluded", world: selected, args: "-aiC --delete-excluded", env: "CVSIGNORE=*.c"},
	{name: "cvs exclude with its variable", world: selected, args: "-aiC", env: "CVSIGNORE=*.c"},
	{name: "cvs exclude as rules", world: selected, args: "-ai -f ':C' -f '-C'"},
	{name: "hide and show", world: selected, args: "-ai --delete -f 'S keep.o' -f 'H *.o'"},
	{name: "sides by letter", world: selected, args: "-ai --delete -f '-s *.o' -f '-r old.c'"},
	{name: "protect and risk", world: selected, args: "-ai --delete -f 'R sub/old.o' -f 'P *.o'"},
	{name: "perishable", world: selected, args: "-ai --delete -f '-p *.o'"},
	{name: "negated", world: selected, args: "-ai -f '-! */' -f '-! x'"},
	{name: "absolute rules", world: selected, args: "-ai -f '-/ $W/src/tmp' -f '-/ $W/src/a.c'", via: localOnly},
	{name: "clear", world: selected, args: "-ai --exclude=*.c -f '!' --exclude=*.o"},
	{name: "anchored", world: selected, args: "-ai -f '- /a.c' -f '- sub/a.c' -f '- **/tmp/x'"},
	{name: "double star and brackets", world: selected, args: "-ai -f '- sub/**/x' -f '- [ab].[!co]' -f '- ke?p.*'"},
	{name: "triple star", world: selected, args: "-ai -f '+ sub/' -f '+ sub/deep/***' -f '- *'"},
	{name: "rules in words", world: selected, args: "-ai --filter='exclude *.o' --filter='include,r *.c' --filter='exclude *.c'"},
	{name: "excluded destination of a link", world: "src/l -> x\nsrc/x 1\n", args: "-ai --exclude=x"},
	{name: "delete excluded with rules of sides", world: selected, args: "-ai --delete-excluded -f 'P old.o' --exclude=*.o"},
	{name: "filter with several sources", world: selected, args: "-ai --exclude=/sub/deep --exclude=/tmp", from: "src/sub src/tmp"},
	{name: "xattr rules", world: "src/a 1 user.one=1 user.two=2\nsrc/b 2 user.two=3\ndst/a 1 user.old=9\n", args: "-aiX -f '-x user.two'"},
	{name: "a rule nobody knows", world: small, args: "-ai -f 'bogus x'"},
	{name: "an exclude file that is not there", world: small, args: "-ai --exclude-from=$W/nothing"},
	{name: "verbose filters", world: selected, args: "-avv --exclude=*.o --exclude=deep", order: true},
}
