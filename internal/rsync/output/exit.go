package output

import "fmt"

// Version is what we call ourselves where rsync says its version.
const Version = "3.5.0-lockstep"

// The exit codes that lines depend on.
const codeVanished = 24

// exitTexts are rsync's names of the exit codes (5.1).
var exitTexts = map[int]string{
	1:            "syntax or usage error",
	2:            "protocol incompatibility",
	3:            "errors selecting input/output files, dirs",
	4:            "requested action not supported",
	5:            "error starting client-server protocol",
	10:           "error in socket IO",
	11:           "error in file IO",
	12:           "error in rsync protocol data stream",
	13:           "errors with program diagnostics",
	14:           "error in IPC code",
	15:           "sibling process crashed",
	16:           "sibling process terminated abnormally",
	19:           "received SIGUSR1",
	20:           "received SIGINT, SIGTERM, or SIGHUP",
	21:           "waitpid() failed",
	22:           "error allocating core memory buffers",
	23:           "some files/attrs were not transferred (see previous errors)",
	codeVanished: "some files vanished before they could be transferred",
	25:           "the --max-delete limit stopped deletions",
	30:           "timeout in data send/receive",
	35:           "timeout waiting for daemon connection",
	124:          "remote shell failed",
	125:          "remote shell killed",
	126:          "remote command could not be run",
	127:          "remote command not found",
}

// ExitText is what an exit code is called.
func ExitText(code int) string {
	if text, ok := exitTexts[code]; ok {
		return text
	}
	return "unexplained error"
}

// ExitLine is the last line of a run that did not end well; "" for code 0. where
// is the part of the program, role what it was doing.
func ExitLine(code int, where, role string) string {
	if code == 0 {
		return ""
	}
	grade := "error"
	if code == codeVanished {
		grade = "warning"
	}
	return fmt.Sprintf("rsync %s: %s (code %d) at %s [%s=%s]", grade, ExitText(code), code, where, role, Version)
}
