package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// sampling is how often memory is looked at.
const sampling = 200 * time.Millisecond

// watchMemory follows the memory of a process and all that descend from it, what
// they share counted once. The function that it returns ends that and tells the
// peak, in bytes.
func watchMemory(pid int) (peak func() int64) {
	stop, done := make(chan struct{}), make(chan int64)
	go func() {
		most := int64(0)
		tick := time.NewTicker(sampling)
		defer tick.Stop()
		for {
			most = max(most, treeMemory(pid))
			select {
			case <-stop:
				done <- most
				return
			case <-tick.C:
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-done
	}
}

// treeMemory is the proportional set size of a process and its descendants.
func treeMemory(pid int) int64 {
	total := proportional(pid)
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // a good pattern
	for _, name := range files {
		data, _ := os.ReadFile(name) // it may have ended
		for _, word := range bytes.Fields(data) {
			if child, err := strconv.Atoi(string(word)); err == nil {
				total += treeMemory(child)
			}
		}
	}
	return total
}

// proportional is the Pss of a process in bytes, 0 if it has ended.
func proportional(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		if fields := bytes.Fields(line); len(fields) > 1 && string(fields[0]) == "Pss:" {
			n, _ := strconv.ParseInt(string(fields[1]), 10, 64) // the kernel's
			return n << 10
		}
	}
	return 0
}
