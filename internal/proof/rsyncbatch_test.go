package proof_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/proof/harness"
)

// A batch that one program writes must do with the other what it does with
// its writer.
func TestRsyncBatches(t *testing.T) {
	needLab(t)
	var seen knownTally
	t.Cleanup(func() { seen.unused(t) })
	for i, c := range []struct {
		name, write, read string
		world             string
		least             int
	}{
		{"a batch", "-a --write-batch=$W/batch", "-ai --read-batch=$W/batch", mixed, 27},
		{"a batch with deletions", "-a --delete --write-batch=$W/batch", "-ai --delete --read-batch=$W/batch", mixed, 27},
		{"a batch of deltas", "-a --no-W --only-write-batch=$W/batch", "-a --stats --read-batch=$W/batch", mixed, 27},
		{"a batch that is compressed", "-az --no-W --write-batch=$W/batch", "-a --read-batch=$W/batch", mixed, 30},
		{"a batch with hard links", "-aH --write-batch=$W/batch", "-aHi --read-batch=$W/batch", linked, 27},
		{"a batch with filters", "-a --exclude=*.o --delete --write-batch=$W/batch", "-ai --delete --read-batch=$W/batch", selected, 29},
		{"a batch without inc recursion", "-a --no-i-r --write-batch=$W/batch", "-ai --read-batch=$W/batch", mixed, 30},
		{"a batch over a shell", "-a --write-batch=$W/batch", "-ai --read-batch=$W/batch", mixed, 27},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, protocol := range []int{newestProtocol, max(c.least, oldestProtocol+i%5)} {
				via := harness.Local
				if strings.HasSuffix(c.name, "shell") {
					via = harness.ShellPush
				}
				b := batch{world: c.world, write: c.write, read: c.read, via: via, protocol: protocol}
				want, err := b.try(reference, false)
				defer want.remove()
				check(t, err)
				for writer, at := range map[string]corner{"rsync writes": reference, "lockstep writes": {true, true}} {
					for reader, ours := range map[string]bool{"rsync reads": false, "lockstep reads": true} {
						if !ours && at == reference {
							continue
						}
						t.Run(fmt.Sprintf("%s, %s, protocol %d", writer, reader, protocol), func(t *testing.T) {
							got, err := b.try(at, ours)
							defer got.remove()
							check(t, err)
							found, err := b.row().differences(want, got)
							check(t, err)
							seen.report(t, fmt.Sprintf("batch/%s/%d/%s/%s", c.name, protocol, writer, reader), append([]string{c.write}, found...))
						})
					}
				}
			}
		})
	}
}

type batch struct {
	world, write, read string
	via                harness.Transport
	protocol           int
}

// row is for the comparison: the batch itself may differ, its script not.
func (b batch) row() row {
	return row{want: harness.Comparison{Leave: func(name string) bool { return name == "batch" || name == "src" }}, said: "batch.sh"}
}

// try writes a batch between src and dst, and reads it into a copy of what dst
// was before.
func (b batch) try(writer corner, oursReads bool) (attempt, error) {
	a := attempt{span: harness.Span{From: time.Now().Add(-time.Second)}}
	var err error
	if a.world, err = newWorld(b.world + copied(b.world)); err != nil {
		return a, err
	}
	write, err := row{args: b.write}.transfer(a.world, b.via, b.protocol, writer)
	if err != nil {
		return a, err
	}
	read, err := row{args: b.read, from: "-", to: "copy/"}.transfer(a.world, harness.Local, b.protocol, corner{oursReads, oursReads})
	if err != nil {
		return a, err
	}
	for _, transfer := range []*harness.Transfer{write, read} {
		o, err := transfer.Run()
		if err != nil {
			return a, err
		}
		a.outcomes = append(a.outcomes, o)
	}
	a.span.To = time.Now().Add(time.Second)
	if _, err := os.Stat(filepath.Join(a.world, "batch.sh")); err != nil {
		return a, fmt.Errorf("%w\n%s", err, a.outcomes[0].Err)
	}
	return a, nil
}

// copied are the lines of a layout's destination, under another name.
func copied(world string) string {
	var copy strings.Builder
	for line := range strings.Lines(world) {
		if strings.HasPrefix(line, "dst/") {
			copy.WriteString(strings.ReplaceAll(line, "dst/", "copy/"))
		}
	}
	return copy.String()
}
