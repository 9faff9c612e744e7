package sender_test

import (
	"strings"
	"testing"
)

func TestSourcesAreListedAsRsyncListsThem(t *testing.T) {
	for i, c := range []struct{ name, words string }{
		{"a directory", "-ai s"},
		{"the contents of a directory", "-ai s/"},
		{"several directories with the same names in them", "-ai s/ t/"},
		{"the same in the other order", "-ai t/ s/"},
		{"directories and files", "-ai s/d t/a s/a t/d/"},
		{"a directory twice", "-ai s/d s/d s/d/"},
		{"the working directory's parent by its dots", "-ai s/d/.. s/d/."},
		{"a directory through a symlink", "-ai todir/ todir"},
		{"without recursion", "-li s/ s s/a"},
		{"directories without contents", "-lid s s/d t/"},
		{"a directory with its children", "-lid s/ t/d/."},
		{"recursion of old", "-li --old-dirs s"},
		{"what is not there", "-ai s/nope s/d nodir/x t/a/ t/a/b"},
		{"what is not there does not keep from deleting", "-ai --delete s/nope s/d/"},
		{"what cannot be entered does", "-ai --delete nodir/nope s/d/"},
		{"nothing at all", "-ai s/nope"},
		{"missing arguments ignored", "-ai --ignore-missing-args s/nope s/a nodir/x"},
		{"missing arguments deleted", "-ai --delete-missing-args s/nope s/a nodir/x"},
		{"relative", "-aiR s/d/sub s/e"},
		{"relative from a point on", "-aiR s/./d/sub s/./e t/./d/n s/./d/b"},
		{"relative with the same parents", "-aiR s/./d/sub/c s/./d/b s/./d/sub/deep s/a"},
		{"relative with a directory after one in it", "-aiR s/./d/sub s/./d s/./d/b"},
		{"relative with a directory before one in it", "-aiR s/./d s/./d/sub s/./d/b"},
		{"relative with a dot in front", "-aiR ./s/d/b s/././e ./t/a"},
		{"relative contents", "-aiR s/./ t/./."},
		{"relative with slashes at the end", "-aiR s/./todir/ s//d// s/./a/"},
		{"relative through a symlink", "-aiR s/./todir/b todir/sub"},
		{"relative to above", "-aiR s/../t"},
		{"relative and what is not there", "-aiR s/./nope s/./d/nope s/./nodir/nope s/a/x s/e"},
		{"relative and missing arguments deleted", "-aiR --delete-missing-args s/./nope s/./d/nope s/e"},
		{"relative without recursion", "-lidR s/./d s/./e/ s/d/sub/c"},
		{"relative and filtered", "-aiR --exclude=d --exclude=/e/g s/./d/b s/./d s/./e/g s/./e"},
		{"symlinks followed", "-aiL s/ t"},
		{"symlinks to directories followed", "-aik s t"},
		{"a named symlink to a directory followed", "-aik s/todir s/tofile s/dangling"},
		{"named symlinks followed", "-aiL s/todir s/tofile s/dangling"},
		{"unsafe symlinks followed", "-aiv --copy-unsafe-links s t"},
		{"unsafe symlinks followed, named", "-aiv --copy-unsafe-links s/d s/abs s/todir"},
		{"unsafe symlinks left out", "-ai --safe-links s"},
		{"no symlinks", "-ri s"},
		{"munged symlinks", "-ai --munge-links s"},
		{"filters", "-ai --exclude=*.o --include=/s/d/*** --exclude=sub/ s"},
		{"filters, explained", "-aivv --exclude=*.o --exclude=/s/d/sub/ --include=e s"},
		{"filters of one side", "-ai --delete --filter=H_*.o --filter=P_b s/"},
		{"filters and symlinks followed", "-aiL --exclude=dangling --exclude=todir/ --exclude=abs/ s"},
		{"what CVS ignores", "-aiC s"},
		{"hard links", "-aiH s"},
		{"hard links, some in other directories", "-aiH s/d s/a t"},
		{"permissions changed", "-ai --chmod=D750,F640,Fu+x s"},
		{"one file system", "-aixx s"},
		{"checksums", "-aic s/"},
		{"checksums, shown", "-ac --out-format=%i_%C_%l_%n%L s/"},
		{"a format of everything", "-aH --out-format=%i|%n|%L|%l|%b|%c|%B|%M|%o|%f|%U|%G s/./d t/"},
		{"digests of transfers", "-a --out-format=%C_%n --checksum-choice=md5 s/"},
		{"names only", "-av s"},
		{"names, verbose", "-avv s/ t/"},
		{"names and links", "-avH s"},
		{"numeric ids", "-ai --numeric-ids s"},
		{"a dry run", "-ain s t/"},
		{"a dry run of links", "-ainH s"},
		{"nothing but what changed since", "-aiu s"},
		{"whole files", "-aiW s"},
		{"no data to compare", "-ai --checksum-choice=none s"},
		{"sizes and numbers", "-a --stats s t/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, someWays(i), twin{dir: forest(t), words: strings.Fields(c.words)})
		})
	}
}

func TestNamesFromAFile(t *testing.T) {
	for i, c := range []struct {
		name, words string
		names       []string
	}{
		{"files and directories", "-ai --files-from=- s", []string{"d/b", "e/g", "d/sub/c", "a", "d", "e/", "tofile"}},
		{"with comments and empty lines", "-ai --files-from=- s", []string{"", "#a", ";a", "b.o"}},
		{"with recursion", "-air --files-from=- s", []string{"d/b", "e/g", "d/sub/c", "a", "d", "e/"}},
		{"that try to leave the directory", "-ai --files-from=- s", []string{"../t/a", "/e/g", "d/../../a", "./e.f", "d/./sub/c", "./d/./../a"}},
		{"that are not there", "-ai --files-from=- s", []string{"nope", "d/nope", "nodir/nope", "a"}},
		{"that are to be deleted", "-ai --delete-missing-args --files-from=- s", []string{"nope", "d/nope", "a"}},
		{"without their directories", "-ai --no-R --files-from=- s", []string{"d/b", "d/sub/", "nodir/x", "e"}},
		{"relative to nothing", "-ai --files-from=- nope", []string{"a"}},
		{"relative to a file", "-ai --files-from=- s/a", []string{"a"}},
		{"everything", "-ai --files-from=- s", []string{"/"}},
		{"the same names again and again", "-ai --files-from=- s", []string{"d/b", "d/b", "d/sub/deep/x", "d/b", "d/sub/c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, someWays(i), twin{dir: forest(t), words: strings.Fields(c.words), names: c.names})
		})
	}
}
