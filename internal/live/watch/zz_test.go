package watch_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"lockstep/internal/live/watch"
)

func TestZZ(t *testing.T) {
	root := os.Getenv("ZZ")
	w, err := watch.Open(t.Context(), watch.Config{Root: root})
	must(t, err)
	fmt.Println(w.Choice())
	out, _ := exec.Command("sh", "-c", os.Getenv("ZZCMD")).CombinedOutput()
	fmt.Println(string(out))
	tm := time.After(500 * time.Millisecond)
	for {
		select {
		case b := <-w.Events():
			for _, e := range b {
				fmt.Println(" ", e)
			}
		case <-tm:
			fmt.Printf("%+v\n", w.Stats())
			w.Close()
			return
		}
	}
}
