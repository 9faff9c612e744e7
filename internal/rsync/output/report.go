package output

import (
	"fmt"
	"strings"
	"time"

	"lockstep/internal/rsync/option"
)

// Protocols from which on numbers are known.
const (
	createdProtocol = 29
	deletedProtocol = 31
)

// Lines are the report at the end of a run, as far as options ask for it: the
// block of --stats and the two final lines, each with an empty line before.
func (s *Stats) Lines(opt *option.Set) []string {
	var lines []string
	if opt.Info[option.InfoStats] > 1 {
		lines = append(append(lines, ""), s.block(opt.HumanReadable)...)
	}
	if opt.Info[option.InfoStats] > 0 {
		lines = append(append(lines, ""), s.final(opt)...)
	}
	return lines
}

// LogLine is the end of a run in a log file that does not have the final lines.
func (s *Stats) LogLine() string {
	return fmt.Sprintf("sent %d bytes  received %d bytes  total size %d", s.Sent, s.Received, s.TotalSize)
}

// block is what --stats adds.
func (s *Stats) block(human int) []string {
	bytes := func(n int64) string { return Human(n, human) + " bytes" }
	lines := []string{"Number of files: " + s.Files.line(human)}
	if s.Protocol >= createdProtocol {
		lines = append(lines, "Number of created files: "+s.Created.line(human))
	}
	if s.Protocol >= deletedProtocol {
		lines = append(lines, "Number of deleted files: "+s.Deleted.line(human))
	}
	lines = append(lines,
		"Number of regular files transferred: "+Comma(int64(s.Transferred), human),
		"Total file size: "+bytes(s.TotalSize),
		"Total transferred file size: "+bytes(s.TransferredSize),
		"Literal data: "+bytes(s.Literal),
		"Matched data: "+bytes(s.Matched),
		"File list size: "+Human(s.ListSize, human))
	if s.ListBuild > 0 {
		lines = append(lines,
			"File list generation time: "+seconds(s.ListBuild, human),
			"File list transfer time: "+seconds(s.ListSend, human))
	}
	return append(lines,
		"Total bytes sent: "+Human(s.Sent, human),
		"Total bytes received: "+Human(s.Received, human))
}

// line is a number of entries with the kinds that there are.
func (c Counts) line(human int) string {
	text := Comma(int64(c.Total()), human)
	var kinds []string
	for _, k := range []struct {
		name string
		n    int
	}{{"reg", c.Reg}, {"dir", c.Dir}, {"link", c.Link}, {"dev", c.Dev}, {"special", c.Special}} {
		if k.n > 0 {
			kinds = append(kinds, k.name+": "+Comma(int64(k.n), human))
		}
	}
	if len(kinds) == 0 {
		return text
	}
	return text + " (" + strings.Join(kinds, ", ") + ")"
}

func seconds(d time.Duration, human int) string {
	ms := d.Milliseconds()
	return fmt.Sprintf("%s.%03d seconds", Comma(ms/1000, human), ms%1000)
}

// halfSecond is what is added to the whole seconds of a run, on average right.
const halfSecond = 0.5

func (s *Stats) final(opt *option.Set) []string {
	human := opt.HumanReadable
	moved := s.Sent + s.Received
	rate := float64(moved) / (halfSecond + float64(int64(s.Elapsed/time.Second)))
	speedup := 0.0
	if moved > 0 {
		speedup = float64(s.TotalSize) / float64(moved)
	}
	mark := ""
	switch {
	case opt.OnlyWriteBatch != "":
		mark = " (BATCH ONLY)"
	case opt.DryRun:
		mark = " (DRY RUN)"
	}
	return []string{
		fmt.Sprintf("sent %s bytes  received %s bytes  %s bytes/sec", Human(s.Sent, human), Human(s.Received, human), humanRate(rate, human)),
		fmt.Sprintf("total size is %s  speedup is %s%s", Human(s.TotalSize, human), humanRate(speedup, min(human, commaNumbers)), mark),
	}
}
