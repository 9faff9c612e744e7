package generator_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestZZ(t *testing.T) {
	bin := os.Getenv("ZZBIN")
	if bin == "" {
		t.Skip()
	}
	cases, first := 100, uint64(1)
	if n, err := strconv.Atoi(os.Getenv(casesVar)); err == nil {
		cases = n
	}
	if n, err := strconv.ParseUint(os.Getenv(seedVar), 10, 64); err == nil {
		first = n
	}
	for i := range uint64(cases) {
		seed := first + i
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { zz(t, seed, bin) })
	}
}

func zz(t *testing.T, seed uint64, bin string) {
	g := &garden{t: t, rng: rand.New(rand.NewPCG(seed, 2))}
	inc := g.one(2)
	r := newRig(t, 31, nil...)
	r.inc = inc
	check(t, os.RemoveAll(r.dst))
	g.grow(r.src, 2)
	g.dress(r.src, true)
	g.derive(r.src, r.dst)
	base := filepath.Dir(r.dst)
	g.derive(r.src, filepath.Join(base, "alt"))
	g.derive(r.src, filepath.Join(base, "alt2"))
	words, filters := g.options(inc)
	maybe := func(in int, all ...string) {
		if g.one(in) {
			words = append(words, all...)
		}
	}
	if blocks(r.src, r.dst) {
		words = slices.DeleteFunc(words, func(w string) bool { return w == "--ignore-existing" })
	}
	maybe(15, "-y")
	maybe(15, "--no-W")
	maybe(15, "--delay-updates")
	maybe(15, "--partial-dir=.pp")
	maybe(15, "-X")
	maybe(15, "-z")
	maybe(15, "-m")
	maybe(12, "--stats")
	maybe(12, "--append")
	maybe(20, "--append-verify")
	maybe(12, "--chmod=g-w")
	maybe(12, "--fsync")
	maybe(12, "--inplace")
	maybe(12, "--numeric-ids")
	if g.one(3) {
		words = append(words, "--protocol="+g.pick("27", "28", "29", "30", "31"))
	}
	if slices.Contains(words, "--inplace") {
		words = slices.DeleteFunc(words, func(w string) bool {
			return strings.HasPrefix(w, "--backup") || w == "-b" || strings.HasPrefix(w, "--partial") || w == "--delay-updates"
		})
	}
	if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "--append") }) {
		words = slices.DeleteFunc(words, func(w string) bool {
			return w == "-b" || strings.HasPrefix(w, "--backup") || strings.HasPrefix(w, "--partial") || w == "--delay-updates" || w == "-X" || w == "-A"
		})
	}
	rsh := g.one(2)
	r.words, r.filters = words, filters

	theirs := filepath.Join(filepath.Dir(base), filepath.Base(base)+"-rsync")
	if out, err := exec.Command("cp", "-a", base, theirs).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	defer os.RemoveAll(theirs)
	run := func(bin, base string) ([]string, int) {
		args := slices.Clone(words)
		for _, f := range filters {
			args = append(args, "--filter="+f)
		}
		args = append(args, "--out-format=%i %n%L")
		if !inc {
			args = append(args, "--no-inc-recursive")
		}
		src, dst := filepath.Join(base, "src")+"/", filepath.Join(base, "dst")+"/"
		if rsh {
			args = append(args, "-e", "/tmp/c2x/rsh", "--rsync-path="+bin)
			if seed%2 == 0 {
				src = "h:" + src
			} else {
				dst = "h:" + dst
			}
		}
		args = append(args, src, dst)
		cmd := exec.CommandContext(t.Context(), "timeout", append([]string{"10", bin}, args...)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		out, _ := cmd.CombinedOutput()
		out = []byte(strings.ReplaceAll(string(out), bin+" --server", "rsync --server"))
		s := strings.ReplaceAll(strings.TrimRight(string(out), "\n"), base+"/", "BASE/")
		return strings.Split(s, "\n"), cmd.ProcessState.ExitCode()
	}
	t.Logf("seed %d, inc %v rsh %v: rsync %q filters %q", seed, inc, rsh, words, filters)
	wantLines, wantCode := run("rsync", theirs)
	gotLines, gotCode := run(bin, base)
	if wantCode == 2 || wantCode == 124 || wantCode == 1 || wantCode == 4 {
		t.Skip(wantCode, wantLines)
	}
	if wantCode != gotCode {
		t.Errorf("exit code %d, want %d", gotCode, wantCode)
	}
	want, got := sortOut(wantLines), sortOut(gotLines)
	if slices.ContainsFunc(want.texts, func(l string) bool {
		return strings.Contains(l, "[generator] stat ") || strings.HasPrefix(l, "could not make way") && slices.Contains(r.words, "-H")
	}) {
		t.Skip()
	}
	for _, o := range []*outcome{&want, &got} {
		slices.Sort(o.texts)
		if slices.Contains(words, "-H") {
			slices.Sort(o.items)
		}
	}
	if slices.Contains(words, "--stats") && slices.Contains(words, "-vv") {
		t.Skip()
	}
	nosize := func(all []string) []string {
		return slices.DeleteFunc(all, func(l string) bool { return strings.HasPrefix(l, "Total bytes") || strings.HasPrefix(l, "File list") })
	}
	equal(t, "items", got.items, want.items...)
	equal(t, "deletions", got.deleted, want.deleted...)
	equal(t, "messages", nosize(got.texts), nosize(want.texts)...)
	equal(t, "tree", dressed(t, r.dst), dressed(t, filepath.Join(theirs, "dst"))...)
}
