// Package proof holds black-box tests of the built binary. Those of `lockstep
// mirror` start it with real rsync daemons, work in the source, and compare the
// trees. Those of the rsync face (TestRsync…) do the same work with the real
// rsync and with lockstep at either end or both, and compare everything: what
// is left, what is said, the exit code. Those of the faces of inotify-tools do
// the same under both, and run a script for each option (testdata/inotify). It
// has no code of its own; see harness for what drives the programs, benchlive,
// benchrsync and benchinotify for the benchmarks.
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
//	LOCKSTEP_SOAK         how long TestSoak works, 4s by default (20m for a release)
//	LOCKSTEP_PROOF_HEAVY  not empty: whole Go source tree, 100,000 files, larger bursts
//	LOCKSTEP_BINARY       a built lockstep to test instead of building one
//	LOCKSTEP_RACE         not empty: build lockstep with the race detector
//
//	LOCKSTEP_RSYNC_ALL    not empty: every row of TestRsyncFourCorners over every transport at every protocol
//	LOCKSTEP_RSYNC_SEED   first seed of TestRsyncRandom, 1 by default; "time" takes it from the clock
//	LOCKSTEP_RSYNC_CASES  its number of cases, 300 by default (10,000 for a release)
//	LOCKSTEP_RSYNC_OURS   a program to try in lockstep's place; with the real rsync everything passes
//	LOCKSTEP_RSYNC_WORLDS directory to work in, a tmpfs by default
//	LOCKSTEP_RSYNC_MODULE further lines for the module of its daemons, a semicolon between them
//
// A failed churn prints its seed; to run it alone and keep all of its steps in
// a file:
//
//	LOCKSTEP_CHURN_SEED=17 LOCKSTEP_CHURN_SEEDS=1 go test ./internal/proof -run TestChurn -v -artifacts -outputdir /tmp
//
// A random case that differs prints its seed, a smaller case if there is one,
// and a script that does it by hand. A row of the table is repeated with
//
//	go test ./internal/proof -run 'TestRsyncFourCorners/rows/hard_links$'
package proof
