// Package proof holds black-box tests of `lockstep mirror`: they start the
// built binary and real rsync daemons, work in the source, and compare the
// trees. It has no code of its own; see harness for what drives the programs
// and benchlive for the benchmark.
//
// Root and an installed rsync are needed for the whole of it. Without root,
// tests that mount file systems, change owners or use fanotify are skipped and
// say so. With CI=true a missing rsync is a failure.
//
// Environment:
//
//	LOCKSTEP_CHURN_SEEDS  number of churn seeds, 21 by default (200 for a release)
//	LOCKSTEP_CHURN_SEED   the first of them, 1 by default; "time" takes it from the clock
//	LOCKSTEP_CHURN_STEPS  steps of each seed, 400 by default
//	LOCKSTEP_PROOF_HEAVY  not empty: whole Go source tree, 100,000 files, larger bursts
//	LOCKSTEP_BINARY       a built lockstep to test instead of building one
//	LOCKSTEP_RACE         not empty: build lockstep with the race detector
//
// A failed churn prints its seed; to run it alone and keep all of its steps in
// a file:
//
//	LOCKSTEP_CHURN_SEED=17 LOCKSTEP_CHURN_SEEDS=1 go test ./internal/proof -run TestChurn -v -artifacts -outputdir /tmp
package proof
