// Package lockstep is the command line of lockstep itself: mirror, demo, run
// and the commands that ask a running lockstep, version, completion and the
// help topics. A command parses its words into an
// options struct, turns that into a mirror.Config, starts one mirror and shows
// what the mirror tells it; everything else happens below.
//
// Main may be called once per process: it takes over SIGINT, SIGTERM, SIGHUP,
// SIGUSR1 and SIGPIPE while a mirror runs. It speaks with four voices only
// (print, warning, error, error with a hint that is a command to run), never
// prints a name from disk or from a peer unquoted, and never lets its output
// become a flood or hold up the mirror: what can't be printed in time is summed
// up and counted.
//
// Exit codes, the keys of --json and the conversions of --format are tables in
// this package; the help text and docs/output.md are held against them by tests.
package lockstep
