package proof_test

import "slices"

// choice is an option that may be made up, one in so many times.
type choice struct {
	once  int // in how many cases
	words []string
	root  bool
	least int // protocol
}

// choices are what random cases are made of, besides a first option that says
// what is preserved. Options that contradict each other are welcome: what is
// said then must be the same too.
var choices = []choice{
	{once: 4, words: []string{"-H"}},
	{once: 10, words: []string{"-A"}, least: 30},
	{once: 6, words: []string{"-X"}, least: 30},
	{once: 10, words: []string{"-S"}},
	{once: 12, words: []string{"-u"}},
	{once: 8, words: []string{"-c"}},
	{once: 14, words: []string{"-I"}},
	{once: 16, words: []string{"--size-only"}},
	{once: 8, words: []string{"-n"}},
	{once: 3, words: []string{"--delete", "--delete", "--delete-before", "--delete-during", "--delete-delay", "--delete-after"}},
	{once: 14, words: []string{"--delete-excluded"}},
	{once: 12, words: []string{"--force"}},
	{once: 12, words: []string{"--max-delete=2", "--max-delete=0", "--max-delete=5"}},
	{once: 14, words: []string{"--ignore-errors"}},
	{once: 12, words: []string{"--existing"}},
	{once: 12, words: []string{"--ignore-existing"}},
	{once: 14, words: []string{"--remove-source-files"}},
	{once: 6, words: []string{"-b", "-b --suffix=.o", "-b --backup-dir=../bak", "-b --backup-dir=bak --suffix=.old"}},
	{once: 3, words: []string{"--no-W", "--no-W", "-W"}},
	{once: 14, words: []string{"--inplace"}},
	{once: 20, words: []string{"--append", "--append-verify"}},
	{once: 14, words: []string{"--partial", "--partial-dir=.p", "--delay-updates"}},
	{once: 20, words: []string{"-T $W/tmp", "-T d"}},
	{once: 6, words: []string{"--compare-dest=../alt", "--copy-dest=../alt", "--link-dest=../alt"}},
	{once: 12, words: []string{"-y"}},
	{once: 6, words: []string{"-z", "-z --zc=zlib", "-z --zc=zlibx", "-z --zc=lz4", "-z --zc=zstd --zl=9"}},
	{once: 14, words: []string{"--cc=md5", "--cc=xxh64", "--cc=md4", "--cc=sha1,xxh3"}, least: 30},
	{once: 16, words: []string{"-B 700", "-B 1024", "-B 3333"}},
	{once: 20, words: []string{"--checksum-seed=77"}},
	{once: 5, words: []string{"--no-i-r"}},
	{once: 10, words: []string{"-m"}},
	{once: 16, words: []string{"-L", "-k", "-K", "--copy-unsafe-links", "--safe-links", "--munge-links"}},
	{once: 14, words: []string{"-E", "--chmod=Dg+s,Fo-rwx", "--chmod=F640", "--chmod=u=rwX,go=rX"}},
	{once: 12, words: []string{"-O", "-J", "-OJ"}},
	{once: 10, words: []string{"--no-p", "--no-t", "--no-o --no-g", "--no-l", "--no-D"}},
	{once: 14, words: []string{"--max-size=1k", "--min-size=700", "--max-size=20k --min-size=10"}},
	{once: 16, words: []string{"--modify-window=1", "--modify-window=-1"}},
	{once: 10, words: []string{"--numeric-ids"}},
	{once: 12, words: []string{"--chown=nobody:nogroup", "--usermap=1000:2000 --groupmap=*:4", "--no-super", "--fake-super"}, root: true},
	{once: 4, words: []string{"--exclude=*.o", "--exclude=/a --exclude=d/b", "-f '- *~' -f 'P zz' -f 'H core'", "--include=*/ --include=*.c --exclude=*", "-f '+ a' -f '-! */'", "-f 'R old.o' -f 'P *.o'"}},
	{once: 8, words: []string{"-F", "-FF", "-C", "-f ': .rsync-filter'", "-f ':e .rsync-filter'"}},
	{once: 10, words: []string{"-R", "-R --no-implied-dirs"}},
	{once: 14, words: []string{"--mkpath"}},
	{once: 14, words: []string{"--ignore-missing-args", "--delete-missing-args"}},
	{once: 24, words: []string{"--fsync", "--preallocate", "--bwlimit=5m", "--timeout=20", "--trust-sender", "-s", "--old-args", "-8", "--max-alloc=64m", "-x", "--open-noatime"}},
	{once: 8, words: []string{"--stats"}},
	{once: 6, words: []string{"-v", "-v", "-vv", "-i", "--info=del,remove,backup", "--info=name2", "-h"}},
	{once: 20, words: []string{"--list-only", "-q"}},
}

// options makes up the options of a case.
func (g *maker) options(protocol int) []string {
	all := []string{pick(g, "-a", "-a", "-a", "-a", "-a", "-r", "-rlt", "-rlptD", "-dlt", "-rtpog")}
	for _, c := range choices {
		if g.one(c.once) && protocol >= c.least && (g.root || !c.root) {
			all = append(all, pick(g, c.words...))
		}
	}
	// What is done is always shown in one way.
	show := pick(g, "-i", "-i", "-i", "-i", "-ii", "--out-format='%i %n%L'", "--out-format='%o %i %n %l %B %U:%G %M'")
	if !slices.Contains(all, show) {
		all = append(all, show)
	}
	return all
}
