// Package harness drives the built lockstep binary and its peers as black
// boxes for the tests in internal/proof and for the benchmark benchlive: it
// builds the binary once, starts mirrors and real rsync daemons, makes trees,
// churns them from a seed, compares them, and waits until they are equal.
//
// It knows nothing of lockstep's packages: only command lines, signals, lines
// of JSON and what is on disk. It ends no process that it did not start, and
// every process it starts is in a group of its own and is killed by the kernel
// when the test program dies.
//
// Functions return errors and take no testing.T, so that the benchmark can use
// them. A Process, Mirror and Daemon may be used from several goroutines; a
// Churn belongs to one.
package harness
