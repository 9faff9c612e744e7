// Package option is the command line of rsync as data: one table of every
// option, the parser that reads a client's, a server's and a daemon's words by
// it, the conflicts and implications of options, and the words that a client
// says to the server it starts (rsync-transfer 7, rsync-session 3).
//
// A Set is what the words came to. It is made once, then only read: any
// goroutine may.
//
// It refuses what rsync refuses, in its words, as an *Error with rsync's exit
// code.
package option
