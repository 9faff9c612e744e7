// Package control is the control socket: how lockstep's commands talk to a
// running lockstep.
//
// The socket is a unix stream socket of mode 0600. A client writes requests,
// one JSON object a line, and gets one line for each, in order; both sides may
// close between lines. A line has at most 1 MiB.
//
//	{"op":"status"}
//	{"ok":true,"status":{"pid":812,"mirrors":[…]}}
//	{"op":"flush","mirror":"www","target":"/srv/copy","timeout_ms":5000}
//	{"ok":false,"code":"behind","error":"…","lagging":[{"mirror":"www","target":"/srv/copy",…}]}
//
// Ops and their keys are documented at Request and Reply. Keys that a side does
// not know are an error in a request and are ignored in a reply.
//
// It refuses requests that are no JSON object, have unknown keys or are too
// long, and more than 64 connections at a time. A Server serves each connection
// by a goroutine of its own; a Client belongs to one goroutine.
package control
