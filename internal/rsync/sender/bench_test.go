package sender_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/sender"
)

// cpu is the processor time this process has used, in seconds.
func cpu(b *testing.B) float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// BenchmarkFirstPass sends the tree named by SENDER_BENCH_TREE to an empty
// directory of a real rsync, and reports the processor time of our side alone.
func BenchmarkFirstPass(b *testing.B) {
	from := os.Getenv("SENDER_BENCH_TREE")
	if from == "" {
		b.Skip("SENDER_BENCH_TREE names no tree")
	}
	for _, incremental := range []bool{false, true} {
		name := "one list"
		if incremental {
			name = "incremental"
		}
		b.Run(name, func(b *testing.B) {
			root, err := walk.OpenRoot(from)
			if err != nil {
				b.Fatal(err)
			}
			defer root.Close()
			var used float64
			var res sender.Result
			for range b.N {
				dest := tempDir(b)
				p := startPeer(b, dest, peerOptions{protocol: 32, letters: "logDtpr", incremental: incremental})
				before := cpu(b)
				res = p.send(sender.Job{Root: root, Whole: true})
				used += cpu(b) - before
				p.exits(0)
				os.RemoveAll(dest)
			}
			b.ReportMetric(used/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(res.Transferred), "files")
		})
	}
}

// BenchmarkNothingToDo sends the tree named by SENDER_BENCH_TREE to a real rsync
// that has it all, as the source of a command line, and reports the processor
// time of our side alone.
func BenchmarkNothingToDo(b *testing.B) {
	from := os.Getenv("SENDER_BENCH_TREE")
	if from == "" {
		b.Skip("SENDER_BENCH_TREE names no tree")
	}
	needRsync(b)
	dest := tempDir(b)
	if out, err := exec.Command("rsync", "-a", from+"/", dest).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	place, err := walk.OpenPlace(from)
	if err != nil {
		b.Fatal(err)
	}
	defer place.Close()
	var used float64
	var res sender.Result
	for b.Loop() {
		p := startPeer(b, dest, peerOptions{protocol: 32, letters: "logDtpr", incremental: true})
		before := cpu(b)
		res = p.send(sender.Job{Sources: &sender.Sources{Place: place, Name: from, Args: []string{"."}}})
		used += cpu(b) - before
		p.exits(0)
	}
	b.ReportMetric(used/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(res.Files), "entries")
}

// BenchmarkNames sends all files of the tree named by SENDER_BENCH_TREE by their
// names to a real rsync that has them.
func BenchmarkNames(b *testing.B) {
	from := os.Getenv("SENDER_BENCH_TREE")
	if from == "" {
		b.Skip("SENDER_BENCH_TREE names no tree")
	}
	needRsync(b)
	dest := tempDir(b)
	if out, err := exec.Command("rsync", "-a", from+"/", dest).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	var names []string
	err := filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			names = append(names, strings.TrimPrefix(path, from+"/"))
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	place, err := walk.OpenPlace(from)
	if err != nil {
		b.Fatal(err)
	}
	defer place.Close()
	var used float64
	for b.Loop() {
		p := startPeer(b, dest, peerOptions{protocol: 32, letters: "logDtpR"})
		p.params.Opt.Relative = true
		before := cpu(b)
		p.send(sender.Job{Sources: &sender.Sources{Place: place, Name: from, Args: []string{"."}, Names: namesOf(names)}})
		used += cpu(b) - before
		p.exits(0)
	}
	b.ReportMetric(used/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(len(names)), "names")
}
