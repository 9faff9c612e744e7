package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// report prints one table for one kind of work.
func report(out io.Writer, w work, s sizes, results []result) {
	fmt.Fprintf(out, "\n### %s\n\nGoal for lockstep at both ends: %.1f of rsync's wall time.\n\n", w.title(s), w.goal)
	line(out, "connection", "sender and receiver", "wall s", "of rsync's", "least, of rsync's", "CPU s", "of rsync's", "private memory", "largest process", "bytes on the wire")
	line(out, slices.Repeat([]string{"---"}, 10)...)
	for i := range results {
		r := &results[i]
		if len(r.samples) == 0 || r.failure != nil {
			line(out, r.via.name, r.pair.name, "failed", "", "", "", "", "", "", "")
			continue
		}
		base := baseline(results, r)
		wall := func(s sample) float64 { return s.wall.Seconds() }
		cpu := func(s sample) float64 { return s.cpu.Seconds() }
		line(out, r.via.name, r.pair.name,
			fmt.Sprintf("%.3f", median(r.samples, wall)), ratio(r, base, wall), leastRatio(r, base, wall),
			fmt.Sprintf("%.2f", median(r.samples, cpu)), ratio(r, base, cpu),
			mib(median(r.samples, func(s sample) float64 { return float64(s.memory) })),
			mib(median(r.samples, func(s sample) float64 { return float64(s.largest) })),
			thousands(int(median(r.samples, func(s sample) float64 { return float64(s.wire) }))))
	}
	for _, r := range results {
		if r.failure != nil {
			fmt.Fprintf(out, "\n%s, %s: %v\n", r.via.name, r.pair.name, r.failure)
		}
	}
}

// baseline is what rsync alone took over the same connection.
func baseline(results []result, r *result) *result {
	for i := range results {
		if results[i].via == r.via && !results[i].pair.sender && !results[i].pair.receiver {
			return &results[i]
		}
	}
	return nil
}

// ratio compares the runs of the same round: the median of what each took, as
// a part of what rsync took.
func ratio(r, base *result, of func(sample) float64) string {
	if base == nil || base == r {
		return ""
	}
	var parts []float64
	for i := range min(len(r.samples), len(base.samples)) {
		if b := of(base.samples[i]); b > 0 {
			parts = append(parts, of(r.samples[i])/b)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return fmt.Sprintf("%.2f", parts[len(parts)/2])
}

// leastRatio compares the quickest run of each: on a machine that others use too
// it says more than what most runs took.
func leastRatio(r, base *result, of func(sample) float64) string {
	if base == nil || base == r || len(base.samples) == 0 {
		return ""
	}
	least := func(samples []sample) float64 {
		return of(slices.MinFunc(samples, func(a, b sample) int { return cmp.Compare(of(a), of(b)) }))
	}
	if b := least(base.samples); b > 0 {
		return fmt.Sprintf("%.2f", least(r.samples)/b)
	}
	return ""
}

func median(samples []sample, of func(sample) float64) float64 {
	sorted := slices.SortedFunc(slices.Values(samples), func(a, b sample) int { return cmp.Compare(of(a), of(b)) })
	return of(sorted[len(sorted)/2])
}

func line(out io.Writer, cells ...string) {
	fmt.Fprintln(out, "| "+strings.Join(cells, " | ")+" |")
}

func mib(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/(1<<20)) }

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
