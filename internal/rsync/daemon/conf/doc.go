// Package conf reads rsyncd.conf, the configuration of an rsync daemon
// (rsyncd.conf(5); rsync-session 2.7): sections, global parameters and
// defaults, &include and &merge, continued lines, references to the
// environment. Every parameter of rsync 3.5.0 is a row of one table.
//
// What rsync passes over with a message is a Problem here and passed over too:
// unknown parameters, lines without an equals sign, booleans that are none.
// What makes rsync refuse to serve is an error. The sizes of files, their depth
// and their number are bounded.
//
// A Config is never changed once it is loaded and may be used from any
// goroutine.
package conf
