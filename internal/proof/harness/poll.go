package harness

import (
	"fmt"
	"time"
)

// Poll calls done again and again, with growing pauses of 1 to 200 ms, until
// it returns true. After limit it returns an error that names what was waited
// for.
func Poll(limit time.Duration, what string, done func() bool) error {
	deadline := time.Now().Add(limit)
	pause := time.Millisecond
	for {
		if done() {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v in vain: %s", limit, what)
		}
		<-time.After(pause)
		pause = min(pause*3/2, 200*time.Millisecond)
	}
}
