package web

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The sparkline's drawing, in its own units.
const (
	sparkWidth  = 160
	sparkHeight = 32
	sparkRoom   = 2 // above and below the line
)

// least is the lag that fills the drawing at least, in seconds: milliseconds
// are not to look like mountains.
const least = 0.05

// spark is a line of lag over time; the newest is at the right edge.
type spark struct {
	Line string // the points of a polyline
	Area string // those of the shape below it
	Text string // the same in words
	Most string // the largest, "" if there has been none
	Flat bool   // there has been none
}

// newSpark draws lags, one every two seconds, in seconds.
func newSpark(lag []float64) spark {
	if len(lag) == 0 {
		return spark{Text: "nothing is known yet", Flat: true}
	}
	most := slices.Max(lag)
	top := max(most, least)
	step := float64(sparkWidth) / float64(samples-1)
	left := float64(sparkWidth) - step*float64(len(lag)-1)
	var line strings.Builder
	for i, v := range lag {
		y := float64(sparkHeight-sparkRoom) - v/top*float64(sparkHeight-2*sparkRoom)
		fmt.Fprintf(&line, "%.1f,%.1f ", left+step*float64(i), y)
	}
	points := strings.TrimSpace(line.String())
	s := spark{Line: points, Flat: most == 0,
		Area: fmt.Sprintf("%.1f,%d %s %d,%d", left, sparkHeight, points, sparkWidth, sparkHeight)}
	kept := time.Duration(len(lag)) * 2 * every
	s.Text = fmt.Sprintf("lag over the last %s: none", span(kept))
	if most > 0 {
		s.Most = span(time.Duration(most * float64(time.Second)))
		s.Text = fmt.Sprintf("lag over the last %s: %s at most, %s now", span(kept), s.Most,
			span(time.Duration(lag[len(lag)-1]*float64(time.Second))))
	}
	return s
}
