package harness

import (
	"os"
	"slices"
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
	for _, pid := range processes() {
		if fields := stat(pid); fields != nil && fields[2] == strconv.Itoa(group) {
			f(pid, fields)
		}
	}
}

// processes are the numbers of all processes.
func processes() []string {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	return slices.DeleteFunc(names, func(name string) bool { return name[0] < '1' || name[0] > '9' })
}

// stat is what /proc/PID/stat says after the command, nil if the process ended.
func stat(pid string) []string {
	text, _ := os.ReadFile("/proc/" + pid + "/stat")
	end := strings.LastIndexByte(string(text), ')')
	if fields := strings.Fields(string(text[end+1:])); len(fields) > 20 {
		return fields
	}
	return nil
}

// memoryOf is the anonymous memory of a process and the peak of its resident
// memory in bytes, 0 if it ended.
func memoryOf(pid string) (private, peak int64) {
	text, _ := os.ReadFile("/proc/" + pid + "/status")
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if key != "RssAnon" && key != "VmHWM" {
			continue
		}
		n, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
		if n <<= 10; key == "VmHWM" {
			peak = n
		} else {
			private = n
		}
	}
	return private, peak
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
		member := make(map[string]bool)
		for {
			s.look(member)
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
		}
	})
	return s
}

// look adds up what the group has now. Whose a process is, member or not, is
// asked once: to read about all processes each time takes as much as half a
// processor from what is measured.
func (s *MemorySampler) look(member map[string]bool) {
	sum := int64(0)
	for _, pid := range processes() {
		ours, known := member[pid]
		if !known {
			fields := stat(pid)
			ours = fields != nil && fields[2] == strconv.Itoa(s.group)
			member[pid] = ours
		}
		if ours {
			private, peak := memoryOf(pid)
			sum += private
			s.large = max(s.large, peak)
		}
	}
	s.peak = max(s.peak, sum)
}

// End is the peak of the group's anonymous memory, and the peak of the resident
// memory of the largest of its processes, in bytes.
func (s *MemorySampler) End() (group, largest int64) {
	close(s.stop)
	s.wait.Wait()
	_, peak := memoryOf(strconv.Itoa(s.group))
	return s.peak, max(s.large, peak)
}
