package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ticksPerSecond is the unit of the times in /proc/PID/stat (USER_HZ).
const ticksPerSecond = 100

// groupCPU is the CPU time in seconds of all processes of a group, what they
// waited for included.
func groupCPU(group int) float64 {
	ticks := 0
	eachOfGroup(group, func(_ string, fields []string) {
		for _, f := range fields[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.Atoi(f)
			ticks += n
		}
	})
	return float64(ticks) / ticksPerSecond
}

// eachOfGroup calls f for each living process of a group, with the fields of
// its stat file that come after the command, the state being field 0.
func eachOfGroup(group int, f func(pid string, fields []string)) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended
		}
		end := strings.LastIndexByte(string(text), ')')
		fields := strings.Fields(string(text[end+1:]))
		if len(fields) > 20 && fields[2] == strconv.Itoa(group) {
			f(filepath.Base(filepath.Dir(file)), fields)
		}
	}
}

// statusKiB is a size of /proc/PID/status in bytes, 0 if it is not there.
func statusKiB(pid, key string) int64 {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

// memorySampler follows the memory of a process group.
type memorySampler struct {
	group int
	stop  chan struct{}
	wait  sync.WaitGroup
	peak  int64 // of the anonymous memory of all processes together, in bytes
}

func sampleMemory(group int) *memorySampler {
	s := &memorySampler{group: group, stop: make(chan struct{})}
	s.wait.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			sum := int64(0)
			eachOfGroup(group, func(pid string, _ []string) { sum += statusKiB(pid, "RssAnon") })
			s.peak = max(s.peak, sum)
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
		}
	})
	return s
}

// end is the peak of the group's anonymous memory and the peak of the main
// process's resident memory, in bytes. The process must still run.
func (s *memorySampler) end() (group, main int64) {
	close(s.stop)
	s.wait.Wait()
	return s.peak, statusKiB(strconv.Itoa(s.group), "VmHWM")
}
