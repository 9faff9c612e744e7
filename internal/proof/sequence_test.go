package proof_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// sequences are short scripts of changes that follow each other closely, each
// run in a directory of its own where sequenceStart has been before.
var sequences = []string{
	// A name that is used again.
	"mv a b; mkdir a",
	"mv a b; mkdir a; mv b/sub a/",
	"mv a b; mkdir a; echo new > a/f1",
	"mv a b; echo file > a",
	"mv a b; ln -s b a",
	"mv f g; echo other > f",
	"mv f g; mkdir f; echo x > f/f",
	"rm f; mkdir f; mkdir f/f; echo x > f/f/f",
	"rm -r a; echo file > a",
	"rm -r a; ln -s nowhere a",
	"rm -r a; mkdir a; echo x > a/f1",
	"mv f aside; mv h f; mv aside h; mv f g",
	"mv a/sub x; rm -r a; mv x a",
	"mv a/sub/deep x; mv a y; mv x a; mv y a/y",
	// Chains.
	"mv a b; mv b c; mv c d",
	"mv a b; mv b/sub b/bus; mv b/bus/deep .; mv deep b/",
	"mv a/sub a/bus; mv a b",
	"mv a b; mv b a",
	"mv f x; mv x y; mv y a/; mv a b; mv b/y f",
	"mv a b; mkdir -p n/e/w; mv b n/e/w/; mv n m",
	"mv a a2; cp -a a2 a; mv a2 a/",
	"for i in 1 2 3 4 5 6; do mv a b$i; mv b$i a; done",
	"for i in 1 2 3 4 5 6; do mv a b; mv b a; echo $i > a/f1; done",
	// Two that exchange.
	"mv a x; mv e a; mv x e",
	"mv f x; mv h f; mv x h",
	"mv a/f1 x; mv a/sub/f3 a/f1; mv x a/sub/f3",
	"mv a/sub x; mv e a/sub; mv x e",
	// Renames with changes at once.
	"mv a b; echo more >> b/f1; rm b/f2; echo new > b/sub/new",
	"echo more >> a/f1; mv a b",
	"echo more >> a/f1; mv a/f1 a/f9; mv a b",
	"echo x > a/new; mv a/new a/newer; mv a b; rm b/newer",
	"chmod 700 a/sub; mv a b; chmod 711 b",
	"touch -d 2001-02-03 a/f1 a/sub; mv a b; touch -d 2002-03-04 b",
	"rm a/f1; mv a b",
	"rm -r a/sub; mv a b; mkdir b/sub",
	"mkdir -p p/q; echo 1 > p/q/r; mv p s; mkdir -p p/q; echo 2 > p/q/r",
	"mkdir d; mv a d/; rm -r d",
	"mkdir d; mv a d/; mv d/a/f1 .; rm -r d",
	"cp -a a c; rm -r a; mv c a",
	"mv f a/; mv a/f .",
	"mv f a/f1",
	"mv -T e empty; mv -T empty e; mv -T a/sub/deep e2; mkdir e3; mv -T e2 e3",
	// Same size and time.
	"printf AAAAA > f; touch -r h f; printf BBBBB > f; touch -r h f",
	"cp -p h h2; printf 54321 > h; touch -r h2 h",
	"printf xxxxx > n; touch -r h n; mv n h",
	"cp -p f t; printf yyyyy > t; touch -r f t; mv t f",
	// Hard links.
	"ln f f-link; echo more >> f-link",
	"ln a/f1 e/l1; ln e/l1 l2; mv a b; echo more >> l2",
	"ln f l; rm f; echo other > f; chmod 640 l",
	"ln f l; mv l a/; mv a b; chmod 600 b/l",
	"ln a/f1 a/sub/l; mv a/sub x; mv a y; echo more >> x/l",
	"ln f l; cp -p f c; mv c f",
	"ln f l; ln -f h l",
	"echo 1 > n; ln n m; mv n o; ln o p; rm m; mv p q",
	"ln f l1; ln f l2; mv l1 k1; touch -d 2003-04-05 k1",
	// Symlinks, specials.
	"ln -s f s; ln -sfn a s; mv -T s t; ln -s x s",
	"for i in 1 2 3; do mkdir rel$i; ln -s rel$i next; mv -T next current; done; rm -r rel1",
	"mkfifo p; chmod 600 p; mv p q; ln q r",
	"ln -s a la; mv la e/; rm e/la; mkdir e/la",
	// Metadata of directories.
	"touch -d 2001-01-01 a; echo x > a/new; touch -d 2001-01-02 a",
	"chmod 755 a/sub/deep; touch -d 2004-05-06 a/sub; touch -d 2004-05-07 a; touch -d 2004-05-08 .",
	"chmod 000 a/f1; chmod 000 e; chmod 700 e; chmod 2755 e",
	"mkdir z; rmdir z; touch -d 2006-07-08 .",
}

// sequenceStart is what a sequence finds.
const sequenceStart = `
	mkdir -p a/sub/deep e empty
	echo f > f; printf 12345 > h; for i in 1 2; do echo $i > a/f$i; done; echo 3 > a/sub/f3; echo 4 > a/sub/deep/f4
	head -c 30000 /dev/urandom > a/large; head -c 30000 /dev/urandom > e/large2
	touch -d 2020-01-01 f h a/f1`

// Each sequence ends equal at each kind of target, run one after the other
// with a mirror that is idle before each.
func TestShortSequences(t *testing.T) {
	for _, c := range []struct {
		backend string
		links   bool
	}{{"fanotify", false}, {"fanotify", true}, {"inotify", true}, {"poll", true}} {
		name, flags := c.backend, []string{"--watch", c.backend, "--poll-interval", "50ms"}
		if c.links {
			name, flags = name+" -H", append(flags, "-H")
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.backend == "fanotify" {
				needRoot(t, "fanotify")
			}
			runSequences(t, flags, c.links)
		})
	}
}

func runSequences(t *testing.T, flags []string, links bool) {
	t.Helper()
	source, directory, remote := t.TempDir(), t.TempDir(), t.TempDir()
	d := startDaemon(t, harness.DaemonConfig{})
	for i := range sequences {
		dir := filepath.Join(source, fmt.Sprint(i))
		check(t, os.Mkdir(dir, 0o755))
		sh(t, dir, sequenceStart)
	}
	flags = append(flags, "--rsh", newShell(t).Path, "--password-file", d.PasswordFile, source, directory, d.URL(), "host:"+remote)
	m := startMirror(t, flags...)
	check(t, m.WaitInStep(soon, 3))
	want := harness.Comparison{HardLinks: links}
	wantMunged := harness.Comparison{HardLinks: links, Munged: true}
	limit := 15 * time.Second // for the first failures; a mirror that fails often need not be waited for
	for i, script := range sequences {
		at := fmt.Sprint(i)
		sh(t, filepath.Join(source, at), script)
		var wait sync.WaitGroup
		errs := make([]error, 3)
		for j, dir := range []string{directory, remote, d.Path} {
			w := want
			if dir == d.Path {
				w = wantMunged
			}
			wait.Go(func() { errs[j] = harness.Converge(filepath.Join(source, at), filepath.Join(dir, at), w, limit) })
		}
		wait.Wait()
		for j, kind := range []string{"directory", "remote shell", "daemon"} {
			if errs[j] != nil {
				t.Errorf("%s, sequence %q: %v", kind, script, errs[j])
				limit = 2 * time.Second
			}
		}
	}
	converge(t, source, directory, want)
	stopMirror(t, m)
}

// A file that is written through a second name which is gone before anybody
// could look has changed under its first name.
func TestAWriteThroughAShortLivedLinkArrives(t *testing.T) {
	needRoot(t, "fanotify, which alone tells which file it was")
	source, target := t.TempDir(), t.TempDir()
	const files = 200
	name := func(i int) string { return filepath.Join(source, "file"+strconv.Itoa(i)) }
	for i := range files {
		write(t, name(i), "before")
	}
	m := startMirror(t, "--watch", "fanotify", source, target)
	check(t, m.WaitInStep(soon, 1))
	for i := range files {
		link := name(i) + ".link"
		check(t, os.Link(name(i), link))
		f, err := os.OpenFile(link, os.O_WRONLY, 0)
		check(t, err)
		_, err = f.WriteString("AFTER!")
		check(t, err)
		check(t, f.Close())
		check(t, os.Remove(link))
	}
	converge(t, source, target, plain)
	stopMirror(t, m)
}
