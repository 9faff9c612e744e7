package watch

// PlainNames makes fanotify behave as on kernels before 5.17.
func PlainNames(c *Config) { c.plainNames = true }

// PauseReading keeps w from draining the kernel's queues until resume.
func PauseReading(w *Watch) (resume func()) {
	var held []*intake
	if w.fan != nil {
		held = append(held, w.fan.in)
	}
	if w.ino != nil {
		held = append(held, w.ino.in)
	}
	for _, in := range held {
		in.mu.Lock()
	}
	return func() {
		for _, in := range held {
			in.mu.Unlock()
		}
	}
}
