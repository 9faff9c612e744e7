package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// row is one line of the table: what a tool's result is, as text, and as a
// number for the ratio to the peers, smaller being better; 0 if there is none.
type row struct {
	title  string
	text   func(result) string
	number func(result) float64
	goal   string
}

func latencyRow(p int, goal string) row {
	return row{
		title:  fmt.Sprintf("latency p%d", p),
		text:   func(r result) string { return span(percentile(r.latency, p)) },
		number: func(r result) float64 { return percentile(r.latency, p).Seconds() },
		goal:   goal,
	}
}

var rows = []row{
	{"first pass", func(r result) string { return span(r.first) }, func(r result) float64 { return r.first.Seconds() }, "0.60 at 1,000,000"},
	latencyRow(50, "0.05; to a directory 2 ms"),
	latencyRow(90, ""),
	latencyRow(99, ""),
	{"burst lag", func(r result) string { return span(r.burst) }, func(r result) float64 { return r.burst.Seconds() }, "0.25"},
	{"4 KiB edit in a large file", func(r result) string { return span(r.edit) }, func(r result) float64 { return r.edit.Seconds() }, "0.50"},
	{"CPU, with children", func(r result) string { return fmt.Sprintf("%.1f s", r.cpu) }, func(r result) float64 { return r.cpu }, ""},
	{"CPU of the rsync daemon", func(r result) string { return fmt.Sprintf("%.1f s", r.daemonCPU) }, func(r result) float64 { return r.daemonCPU }, ""},
	{"peak memory of the process", func(r result) string { return mib(r.memory) }, func(r result) float64 { return float64(r.memory) }, ""},
	{"the same per file of the source", perFile, nil, "150 bytes at 1,000,000"},
	{"peak of private memory, with children", func(r result) string { return mib(r.groupMemory) }, func(r result) float64 { return float64(r.groupMemory) }, ""},
	{"differences at the end", differences, nil, "0"},
}

func perFile(r result) string {
	return fmt.Sprintf("%d bytes", r.memory/int64(r.files))
}

func differences(r result) string {
	if r.differences < 0 {
		return "not compared"
	}
	return fmt.Sprint(r.differences)
}

// report prints one table for each size.
func report(out io.Writer, all []result) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].files == all[0].files {
			n++
		}
		table(out, all[:n])
		all = all[n:]
	}
}

func table(out io.Writer, results []result) {
	fmt.Fprintf(out, "\n### %s files\n\n", thousands(results[0].files))
	head := []string{""}
	for _, r := range results {
		head = append(head, r.tool.title)
	}
	own, peer := named(results, "lockstep"), named(results, "lsyncd")
	if own != nil && peer != nil {
		head = append(head, "lockstep / lsyncd", "goal")
	}
	line(out, head)
	line(out, strings.Split(strings.Repeat("--- ", len(head)-1)+"---", " "))
	for _, row := range rows {
		cells := []string{row.title}
		for _, r := range results {
			cells = append(cells, row.text(r))
		}
		if own != nil && peer != nil {
			cells = append(cells, ratio(row, *own, *peer), row.goal)
		}
		line(out, cells)
	}
	for _, r := range results {
		if r.failure != nil {
			fmt.Fprintf(out, "\n%s: %v\n", r.tool.title, r.failure)
		}
	}
}

func line(out io.Writer, cells []string) {
	fmt.Fprintln(out, "| "+strings.Join(cells, " | ")+" |")
}

func named(results []result, name string) *result {
	for i := range results {
		if results[i].tool.name == name {
			return &results[i]
		}
	}
	return nil
}

func ratio(r row, own, peer result) string {
	if r.number == nil || r.number(own) <= 0 || r.number(peer) <= 0 {
		return ""
	}
	return fmt.Sprintf("%.3f", r.number(own)/r.number(peer))
}

func span(d time.Duration) string {
	switch {
	case d < 0:
		return "not reached"
	case d < time.Second:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
