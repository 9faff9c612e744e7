// Package daemon is an rsync daemon: it serves the modules of an rsyncd.conf to
// rsync clients over the daemon protocol (rsync-session 2).
//
// A Server accepts connections and does everything up to "@RSYNCD: OK" itself:
// greeting, access rules, authentication, hooks. The transfer runs in the same
// process only if the daemon is not root; else in a process of its own, which is
// started with Landlock and no_new_privs in force and leaves for its chroot and
// its user before it reads a byte of the client's (rsync-session 2.7). Work is
// that process.
//
// Before a client has said who it is, it costs a goroutine, a few KiB and a
// descriptor, for a minute at most; how many may wait is bounded, for each
// address and in all. Whatever a client sends is bounded in length and escaped
// in logs. A rule that denies and cannot be evaluated denies.
//
// A Server may be used from any goroutine. It starts one goroutine for each
// listener and connection and waits for them at the end.
package daemon
