package harness

import (
	"fmt"
	"strings"
	"time"
)

// Converge polls until the trees are equal. After limit it returns an error
// with the differences that are left.
func Converge(source, target string, want Comparison, limit time.Duration) error {
	quick := want
	quick.NoContent = true
	deadline := time.Now().Add(limit)
	pause := 5 * time.Millisecond
	for {
		found, err := Compare(source, target, quick)
		if err == nil && len(found) == 0 {
			found, err = Compare(source, target, want)
		}
		if err == nil && len(found) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return divergence(target, limit, found, err)
		}
		<-time.After(pause)
		pause = min(pause*3/2, 500*time.Millisecond)
	}
}

func divergence(target string, limit time.Duration, found []string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: cannot be compared after %v: %w", target, limit, err)
	}
	return fmt.Errorf("%s: %d differences after %v:\n  %s", target, len(found), limit, strings.Join(found, "\n  "))
}
