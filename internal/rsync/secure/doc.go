// Package secure makes TLS connections of an rsync client or daemon from files:
// certificates, keys, and the authorities that are trusted. TLS is 1.3, nothing
// older; there is no way to leave out the check of a certificate.
//
// A daemon's files are looked at before each handshake and read again when they
// have changed. If what is there then cannot be used, the daemon goes on with
// what it had and tells once.
//
// A client's certificate stands for a user: the common name of its subject, if
// one of the daemon's own authorities has signed it for clients.
//
// Where there is no certificate a password stands for a user: a Digest answers a
// daemon's challenge with it (rsync-session 2.4).
//
// A Server may be used from any goroutine, a Client is never changed.
package secure
