package report

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
)

// exposition collects metrics in Prometheus' text format, version 0.0.4. The
// values are read when they are asked for, so that there is nothing to register;
// and a client library would make every process of this program start later,
// each transfer of a daemon's among them, by a quarter.
type exposition struct{ bytes.Buffer }

// head begins a metric.
func (e *exposition) head(name, help string, counter bool) {
	kind := "gauge"
	if counter {
		kind = "counter"
	}
	e.WriteString("# HELP " + name + " " + helpEscapes.Replace(help) + "\n# TYPE " + name + " " + kind + "\n")
}

// value adds a value of the metric begun last. The labels are pairs of a name
// and a value; what is not UTF-8 in a value is replaced.
func (e *exposition) value(name string, value float64, labels ...string) {
	e.WriteString(name)
	sep, end := "{", ""
	for i := 0; i < len(labels); i += 2 {
		text := strings.ToValidUTF8(labels[i+1], "\uFFFD")
		e.WriteString(sep + labels[i] + `="` + labelEscapes.Replace(text) + `"`)
		sep, end = ",", "}"
	}
	e.WriteString(end + " ")
	e.Write(strconv.AppendFloat(e.AvailableBuffer(), value, 'g', -1, 64))
	e.WriteByte('\n')
}

var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// scrapers is how many may be served at a time.
const scrapers = 8

// metricsHandler serves what fill makes, and the metrics of the Go runtime and
// of the process.
func metricsHandler(fill func(*exposition)) http.Handler {
	room := make(chan struct{}, scrapers)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
		default:
			http.Error(w, "too many are asking at once", http.StatusServiceUnavailable)
			return
		}
		var e exposition
		fill(&e)
		writeProcess(&e)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(e.Bytes()) // a scraper that has gone asks again
	})
}
