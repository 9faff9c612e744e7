package harness

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

// GroupCPU is the CPU time in seconds of all processes of a group, what they
// waited for included.
func GroupCPU(group int) float64 {
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

// A MemorySampler follows the memory of a process group.
type MemorySampler struct {
	group int
	stop  chan struct{}
	wait  sync.WaitGroup
	peak  int64 // of the anonymous memory of all processes together, in bytes
	large int64 // peak of the resident memory of any process, in bytes
}

// SampleMemory begins to follow a group, looking at it once in each interval.
func SampleMemory(group int, interval time.Duration) *MemorySampler {
	s := &MemorySampler{group: group, stop: make(chan struct{})}
	s.wait.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			sum := int64(0)
			eachOfGroup(group, func(pid string, _ []string) {
				sum += statusKiB(pid, "RssAnon")
				s.large = max(s.large, statusKiB(pid, "VmHWM"))
			})
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

// End is the peak of the group's anonymous memory, and the peak of the resident
// memory of the largest of its processes, in bytes.
func (s *MemorySampler) End() (group, largest int64) {
	close(s.stop)
	s.wait.Wait()
	return s.peak, max(s.large, statusKiB(strconv.Itoa(s.group), "VmHWM"))
}
