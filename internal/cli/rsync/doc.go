// Package rsync is the face of rsync(1): it reads a command line as rsync 3.5
// does, prints help and versions, and runs a client or a server of package
// session with the terminal, the log file, the clock and the signals of the
// process.
//
// What options mean is package option's; what is printed during a run, package
// output's (rsync-transfer 5 and 7).
package rsync
