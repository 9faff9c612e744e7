package session_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A batch that one side wrote is applied by the other.
func TestBatches(t *testing.T) {
	t.Parallel()
	rsh := shell(t)
	path := needRsync(t)
	src := plant(t)
	for _, row := range []struct{ name, words, apply string }{
		{"written on the way", "-a --write-batch=BATCH", "-a"},
		{"deltas and links", "-aH --no-whole-file --write-batch=BATCH", "-a"},
		{"compressed", "-az --write-batch=BATCH", "-az"},
		{"without a transfer", "-a --only-write-batch=BATCH", "-a"},
		{"of a pull", "-a --write-batch=BATCH PULL", "-a"},
		{"at protocol 29", "-a --protocol=29 --write-batch=BATCH", "-a"},
		{"without incremental lists", "-r -t -p -l --no-inc-recursive --write-batch=BATCH PULL", "-t -p"},
	} {
		for _, writes := range []bool{true, false} {
			for _, reads := range []bool{true, false} {
				if !writes && !reads {
					continue
				}
				t.Run(fmt.Sprintf("%s, ours writes %v, ours reads %v", row.name, writes, reads), func(t *testing.T) {
					t.Parallel()
					dir := t.TempDir()
					batch, first, second := filepath.Join(dir, "batch"), filepath.Join(dir, "first"), filepath.Join(dir, "second")
					for _, d := range []string{first, second} {
						if err := os.Mkdir(d, 0o755); err != nil {
							t.Fatal(err)
						}
						prior(t, d)
					}
					words := strings.Fields(strings.ReplaceAll(row.words, "BATCH", batch))
					from := src + "/"
					if words[len(words)-1] == "PULL" {
						words, from = append(words[:len(words)-1], "-e", rsh, "--rsync-path="+path), "host:"+from
					}
					if got := client(t, writes, nil, append(words, from, first)...); got.code != 0 {
						t.Fatalf("writing: %+v", got)
					}
					if got := client(t, reads, nil, append(strings.Fields(row.apply), "-r", "--read-batch="+batch, second)...); got.code != 0 {
						t.Fatalf("reading: %+v", got)
					}
					want := first
					if strings.Contains(row.words, "only-write") {
						want = filepath.Join(dir, "third")
						if err := os.Mkdir(want, 0o755); err != nil {
							t.Fatal(err)
						}
						prior(t, want)
						client(t, false, nil, "-a", src+"/", want)
					}
					if a, b := snapshot(t, want), snapshot(t, second); a != b {
						t.Errorf("tree\n%s\nwant\n%s", b, a)
					}
				})
			}
		}
	}
}

// The scripts are the same, word by word.
func TestBatchScripts(t *testing.T) {
	t.Parallel()
	needRsync(t)
	src := newSource(t)
	for _, words := range []string{
		"-a --write-batch=BATCH", "-aHz --write-batch BATCH --bwlimit=100m", "-rC --exclude=*.o --filter P_x --write-batch=BATCH",
		"-r -f -_y --protocol=28 --include z --only-write-batch=BATCH", "-r0 --exclude=it's --write-batch=BATCH --", "-rFb --delete --partial-dir=.p -f :e_.x --write-batch=BATCH",
		"-rn --write-batch=BATCH",
	} {
		var scripts [2]string
		for i, ours := range []bool{false, true} {
			dir := t.TempDir()
			batch := filepath.Join(dir, "b")
			list := append(strings.Fields(strings.ReplaceAll(words, "BATCH", batch)), src+"/", dir+"/dest it's")
			client(t, ours, nil, list...)
			text := read(batch + ".sh")
			_, text, _ = strings.Cut(text, " ")
			scripts[i] = strings.ReplaceAll(text, dir, "DIR")
		}
		if scripts[0] != scripts[1] {
			t.Errorf("%s:\n%s\nwant\n%s", words, scripts[1], scripts[0])
		}
	}
}

func TestBatchesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, row := range map[string]struct {
		text string
		code int
	}{
		"too new":                  {"\x81\x00\x00\x00\x21\x00\x00\x00\x00\x00\x00\x00\x00", 2},
		"too old":                  {"\x81\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", 2},
		"no end of the header":     {"\x81\x00\x00\x00\x20", 12},
		"nothing":                  {"", 12},
		"another charset":          {"\x81\x02\x00\x00\x20\x00\x00\x00\x81\xfe\x00\x00\x00\x00", 1},
		"an end in the list":       {"\x81\x00\x00\x00\x20\x00\x00\x00\x81\xfe\x00\x00\x00\x00\x19\x05ab", 12},
		"an endless number of ids": {"\x81\x00\x00\x00\x1d\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff", 12},
	} {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		write(t, file, row.text, 0o600)
		if got := client(t, true, nil, "-r", "--read-batch="+file, t.TempDir()); got.code != row.code || got.err == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := client(t, true, nil, "-r", "--read-batch="+dir, t.TempDir()); got.code != 11 {
		t.Errorf("a directory: %+v", got)
	}
}
