package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// row is one line of a table.
type row struct {
	title string
	of    func(sample) float64
	text  func(float64) string
	goal  float64 // of the ratio, 0 for none
}

func wallRow(title string, goal float64) row {
	return row{title, func(s sample) float64 { return s.wall.Seconds() }, seconds, goal}
}

func cpuRow(goal float64) row {
	return row{"CPU", func(s sample) float64 { return s.cpu.Seconds() }, seconds, goal}
}

var peakRow = row{title: "peak memory", of: func(s sample) float64 { return float64(s.peak) }, text: func(v float64) string {
	return fmt.Sprintf("%.1f MiB", v/(1<<20))
}}

// toldRow is how many of the events of the flood were told; those of the end
// do not count.
func (b *bench) toldRow() row {
	return row{title: "events told", of: func(s sample) float64 { return float64(s.lines) }, text: func(v float64) string {
		return fmt.Sprintf("%.0f", min(v, float64(b.files1()*perFile)))
	}}
}

var lostRow = row{title: "rounds in which the program told of lost events", of: func(s sample) float64 {
	if s.lost {
		return 1
	}
	return 0
}}

func seconds(v float64) string {
	return time.Duration(v * float64(time.Second)).Round(time.Millisecond).String()
}

// report prints medians, and the median of the ratios of each round.
func report(out io.Writer, samples [2][]sample, rows []row) {
	line(out, "", "inotifywait", "lockstep", "lockstep / inotifywait", "goal")
	line(out, slices.Repeat([]string{"---"}, 5)...)
	for _, r := range rows {
		var values [2][]float64
		var ratios []float64
		for i := range samples {
			for _, s := range samples[i] {
				values[i] = append(values[i], r.of(s))
			}
		}
		for i := range values[0] {
			if values[0][i] > 0 {
				ratios = append(ratios, values[1][i]/values[0][i])
			}
		}
		if r.text == nil {
			line(out, r.title, fmt.Sprint(sum(values[0])), fmt.Sprint(sum(values[1])), "", "")
			continue
		}
		goal := ""
		if r.goal > 0 {
			goal = fmt.Sprintf("%.2f", r.goal)
		}
		line(out, r.title, r.text(median(values[0])), r.text(median(values[1])), fmt.Sprintf("%.2f", median(ratios)), goal)
	}
}

func line(out io.Writer, cells ...string) { fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | ")) }

func sum(v []float64) (n float64) {
	for _, x := range v {
		n += x
	}
	return n
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
