package report

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// writeProcess adds what the kernel and the Go runtime say of this process,
// under the names that Prometheus' own libraries use. What cannot be read is
// left out.
func writeProcess(e *exposition) {
	give := func(name, help string, value float64) {
		e.head(name, help, strings.HasSuffix(name, "_total"))
		e.value(name, value)
	}
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) == nil {
		seconds := float64(use.Utime.Nano()+use.Stime.Nano()) / 1e9
		give("process_cpu_seconds_total", "User and system CPU time, in seconds.", seconds)
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		for i, m := range []struct{ name, help string }{
			{"process_virtual_memory_bytes", "Virtual memory size."}, {"process_resident_memory_bytes", "Resident memory size."},
		} {
			if fields := strings.Fields(string(text)); i < len(fields) {
				pages, _ := strconv.ParseFloat(fields[i], 64)
				give(m.name, m.help, pages*float64(os.Getpagesize()))
			}
		}
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		give("process_open_fds", "Open file descriptors.", float64(len(fds)-1)) // one is for the listing
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		give("process_max_fds", "The limit of open file descriptors.", float64(limit.Cur))
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	give("go_goroutines", "Goroutines.", float64(runtime.NumGoroutine()))
	give("go_memstats_alloc_bytes", "Bytes of objects in the heap.", float64(mem.HeapAlloc))
	give("go_memstats_alloc_bytes_total", "Bytes allocated since the start.", float64(mem.TotalAlloc))
	give("go_memstats_heap_inuse_bytes", "Bytes of spans in use.", float64(mem.HeapInuse))
	give("go_memstats_sys_bytes", "Bytes taken from the system.", float64(mem.Sys))
	give("go_memstats_next_gc_bytes", "The size of the heap at which the next collection begins.", float64(mem.NextGC))
	give("go_gc_cycles_total", "Collections since the start.", float64(mem.NumGC))
	give("go_gc_pause_seconds_total", "Time for which collections stopped the world.", float64(mem.PauseTotalNs)/1e9)
}
