package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"lockstep/internal/proof/harness"
)

// work is one thing to measure. The source is made once; the destination is
// made before each run.
type work struct {
	name   string
	title  func(sizes) string
	args   []string
	goal   float64 // wall time of lockstep at both ends, as a part of rsync's
	source func(b *bench, src string) error
	before func(b *bench, src, dst string) error // dst is not there
	keep   bool                                  // runs leave the destination as it is: make it once
}

var works = []work{
	{
		name: "small", args: []string{"-a"}, goal: 0.6,
		title:  func(s sizes) string { return fmt.Sprintf("first copy of %s small files", thousands(s.small)) },
		source: func(b *bench, src string) error { return tree(b.small).Make(src) },
		before: nothing,
	},
	{
		name: "large", args: []string{"-a"}, goal: 0.9,
		title: func(s sizes) string { return fmt.Sprintf("first copy of %d MiB in 8 files", s.large) },
		source: func(b *bench, src string) error {
			for i := range 8 {
				if err := noise(filepath.Join(src, fmt.Sprintf("large-%d", i)), int64(b.large)<<20/8, uint64(i)); err != nil {
					return err
				}
			}
			return nil
		},
		before: nothing,
	},
	{
		name: "nothing", args: []string{"-a"}, goal: 0.6, keep: true,
		title:  func(s sizes) string { return fmt.Sprintf("nothing to do over %s files", thousands(s.nothing)) },
		source: func(b *bench, src string) error { return harness.Tree{Files: b.nothing, Size: 10, Seed: 2}.Make(src) },
		before: duplicate,
	},
	{
		name: "scattered", args: []string{"-a", "--no-W"}, goal: 0.9,
		title:  func(s sizes) string { return fmt.Sprintf("delta of %d MiB with 1 %% scattered changes", s.delta) },
		source: one, before: scattered,
	},
	{
		name: "inserted", args: []string{"-a", "--no-W"}, goal: 0.9,
		title:  func(s sizes) string { return fmt.Sprintf("delta of %d MiB with 20 insertions", s.delta) },
		source: one, before: removed,
	},
	{
		name: "appended", args: []string{"-a", "--no-W"}, goal: 0.9,
		title:  func(s sizes) string { return fmt.Sprintf("delta of %d MiB of which the last 5 %% are new", s.delta) },
		source: one, before: shorter,
	},
	{
		name: "text", args: []string{"-az"}, goal: 0.9,
		title:  func(s sizes) string { return fmt.Sprintf("-z of %d MiB of text", s.text) },
		source: text, before: nothing,
	},
	{
		name: "delete", args: []string{"-a", "--delete"}, goal: 0.9,
		title:  func(s sizes) string { return fmt.Sprintf("--delete of %s files", thousands(s.extra)) },
		source: func(b *bench, src string) error { return harness.Tree{Files: 100}.Make(src) },
		before: func(b *bench, src, dst string) error { return tree(b.extra).Make(dst) },
	},
}

func workNames() string {
	var names []string
	for _, w := range works {
		names = append(names, w.name)
	}
	return strings.Join(names, ",")
}

// tree is n files of 1 to 16 KiB, 100 in each directory.
func tree(n int) harness.Tree { return harness.Tree{Files: n, Size: 16 << 10, Seed: 1} }

func nothing(*bench, string, string) error { return nil }

func duplicate(_ *bench, src, dst string) error {
	return exec.Command("cp", "-a", src, dst).Run()
}

func one(b *bench, src string) error {
	return noise(filepath.Join(src, "one"), int64(b.delta)<<20, 9)
}

// noise writes a file that nothing can compress.
func noise(path string, size int64, seed uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for left := size; left > 0 && err == nil; left -= 1 << 20 {
		_, err = f.Write(harness.Noise(rng, int(min(left, 1<<20))))
	}
	return errors.Join(err, f.Close())
}

// text writes files of words, some of which are frequent.
func text(b *bench, src string) error {
	rng := rand.New(rand.NewPCG(3, 1))
	words := make([]string, 4000)
	for i := range words {
		word := make([]byte, 2+rng.IntN(9))
		for j := range word {
			word[j] = byte('a' + rng.IntN(26))
		}
		words[i] = string(word) + " "
	}
	for file := range b.text / 2 {
		var s strings.Builder
		for s.Len() < 2<<20 {
			n := rng.IntN(len(words))
			s.WriteString(words[rng.IntN(n+1)])
			if n%12 == 0 {
				s.WriteString("\n")
			}
		}
		if err := os.WriteFile(filepath.Join(src, fmt.Sprintf("text-%d", file)), []byte(s.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// scattered makes the source's file with 1 % of its blocks of 4 KiB changed.
func scattered(b *bench, src, dst string) error {
	if err := duplicate(b, src, dst); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dst, "one"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(4, 1))
	blocks := int64(b.delta) << 20 >> 12
	for range blocks / 100 {
		if _, err := f.WriteAt(harness.Noise(rng, 4096), rng.Int64N(blocks)<<12); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Close(), age(dst))
}

// removed makes the source's file with 20 stretches left out.
func removed(b *bench, src, dst string) error {
	from, err := os.Open(filepath.Join(src, "one"))
	if err != nil {
		return err
	}
	defer from.Close()
	if err := os.Mkdir(dst, 0o755); err != nil {
		return err
	}
	to, err := os.Create(filepath.Join(dst, "one"))
	if err != nil {
		return err
	}
	part := int64(b.delta) << 20 / 20
	for i := range int64(20) {
		if _, err := from.Seek(i*part+i*37+1000, 0); err != nil {
			return errors.Join(err, to.Close())
		}
		if _, err := io.CopyN(to, from, part-i*37-1000); err != nil {
			return errors.Join(err, to.Close())
		}
	}
	return errors.Join(to.Close(), age(dst))
}

// shorter makes the source's file without its end.
func shorter(b *bench, src, dst string) error {
	return errors.Join(duplicate(b, src, dst), os.Truncate(filepath.Join(dst, "one"), int64(b.delta)<<20*95/100), age(dst))
}

// age makes the file older than the source's.
func age(dst string) error {
	return exec.Command("touch", "-d", "2001-01-01", filepath.Join(dst, "one")).Run()
}
