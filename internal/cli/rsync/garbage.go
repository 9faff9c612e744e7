package rsync

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// How much garbage there may be beside what is in use. A run whose lists come
// directory by directory holds some MiB, of which the default would let Go
// collect the garbage twice as often; one with a single list of millions of
// entries would take twice their size.
const (
	garbageRoom  = 8 << 20 // bytes
	garbageLeast = 25      // percent of what is in use
	garbageMost  = 400     // before the first collection, too
)

// garbagePercent is what GOGC should be with so many bytes in use.
func garbagePercent(live uint64) int {
	if live == 0 {
		return garbageMost
	}
	return int(min(max(garbageRoom*100/live, garbageLeast), garbageMost))
}

// collectGarbage has garbage collected as garbagePercent says from now on,
// unless the environment says how.
func collectGarbage() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(garbageMost)
		runtime.AddCleanup(new(collected), adjustGarbage, garbageMost)
	}
}

// adjustGarbage changes the percentage after each collection.
func adjustGarbage(percent int) {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample) // costs 0.1 ms the first time
	now := garbagePercent(sample[0].Value.Uint64())
	if now-percent > percent/8 || percent-now > percent/8 { // setting it stops the world for a moment
		debug.SetGCPercent(now)
		percent = now
	}
	runtime.AddCleanup(new(collected), adjustGarbage, percent)
}

// collected is something that nobody holds: the next collection finds it.
type collected struct{ _ *collected }
