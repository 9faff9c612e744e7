package proof_test

// mixed has a bit of everything that a plain run over an older copy meets.
const mixed = `
src/same 3000
src/newer 2000 t=1600000100
src/older 2000 t=1500000000.5
src/grown 5000
src/shrunk 100
src/edited 20k#1+"changed"+20k#2
src/touched 1234 t=1600000001
src/rewritten 900#7
src/new 1000
src/empty
src/zeros z64k
src/perm 500 mode=0640
src/script "#!/bin/sh\n" mode=0755
src/readonly 100 mode=0400
src/setid 77 mode=6755
src/dir/deep/file 700
src/dir/deep/er/file 701 t=1600000002
src/dir/side 20
src/emptydir/
src/dirmode/ mode=0700
src/dirtime/ t=1400000000
src/dirtime/x 5
src/link -> same
src/dangling -> nowhere
src/newlink -> dir/deep
src/relink -> new
src/isfile 10
src/isdir/inner 30
src/islink -> new
src/islinktoo 31
"src/odd name" 3
"src/new\nline" 4
src/ünï 5
dst/same 3000
dst/newer 2000#9
dst/older 2000#9
dst/grown 300
dst/shrunk 7000
dst/edited 20k#1+20k#2 t=1500000000
dst/touched 1234
dst/rewritten 900#8
dst/zeros 64k t=1500000000
dst/perm 500 mode=0600
dst/script "#!/bin/sh\n" mode=0644
dst/readonly 100 mode=0644
dst/setid 77 mode=0755
dst/dir/deep/file 700
dst/dir/deep/extra 33
dst/dir/gone/a 1
dst/dir/gone/b/c 2
dst/dirmode/ mode=0755
dst/dirtime/ t=1500000000
dst/dirtime/x 5
dst/link -> same
dst/relink -> old
dst/isfile/ 
dst/isdir 30
dst/islink 12
dst/islinktoo -> new
dst/extra 17
dst/.hidden 18
dst/extralink -> extra
dst/zextra/with/more 19
`

// small is a short one, for options that change little.
const small = `
src/a 1000
src/b 2000 t=1600000005
src/d/c 300
src/d/e/f 40k
src/l -> a
dst/a 1000
dst/b 1500
dst/d/c 300 t=1500000000
dst/d/x 20
dst/y 10
`

// linked has names that share files, at both ends in different ways.
const linked = `
src/a 1000
src/b = src/a
src/d/c = src/a
src/one 2000
src/two 2000#5
src/x/p 50
src/x/q = src/x/p
src/y/r = src/x/p
src/z/late 10k
src/z/later = src/z/late
src/z/m/latest = src/z/late
src/sl -> a
src/sm = src/sl
dst/a 1000
dst/b 1000 t=1500000000
dst/one 2000
dst/two = dst/one
dst/x/p 50
dst/x/q = dst/x/p
dst/extra = dst/x/p
dst/z/later 9k
`

// selected is for filters: names of many kinds.
const selected = `
src/a.c 10
src/a.o 11
src/b.c 12
src/b.h~ 13
src/core 14
src/keep.o 15
src/CVS/Entries 16
src/sub/a.c 17
src/sub/a.o 18
src/sub/keep.o 19
src/sub/deep/a.o 20
src/sub/deep/tmp/x 21
src/tmp/x 22
src/tmp/y.c 23
src/only/o/a.o 24
src/.git/config 25
src/.rsync-filter "- *.o\n+ CVS\n"
src/sub/.rsync-filter "+ keep.o\n- a.?\n: .inner\n"
src/sub/deep/.inner "- tmp/\n"
src/.cvsignore "b.c\n"
src/rules "# a comment\n- *.o\n+ */\n- /tmp\n"
dst/a.c 10
dst/a.o 11 t=1500000000
dst/old.c 30
dst/old.o 31
dst/sub/old.o 32
dst/sub/keep.o 19
dst/sub/deep/old/x.o 33
dst/tmp/x 22
dst/tmp/old 34
dst/emptied/only.o 35
dst/.rsync-filter "- *.h\n"
`

// lateLinks has more data than may be under way while sources are removed when
// src/c/x2 has its turn; what is waited for then is the first name of a link.
const lateLinks = `
src/a/f 100
src/b/f = src/a/f
src/b/x1 2
src/b/x2 2
src/b/x3 2
src/b/x4 2
src/b/x5 2
src/b/x6 2
src/b/x7 2
src/b/x8 2
src/b/x9 2
src/c/big 131000
src/c/x1 2
src/c/x2 2
src/c/x3 2
`

// pieces has files that differ in what a sender has of them when it finds the
// first block of the destination's.
const pieces = `
src/early 200k#1
src/later 9k#3+200k#1
src/long 50k#3+200k#1
src/none 60k#3
src/nolong 90k#3
dst/early 200k#1 t=1500000000
dst/later 200k#1 t=1500000000
dst/long 200k#1 t=1500000000
dst/none 50k#1 t=1500000000
dst/nolong 50k#1 t=1500000000
`
