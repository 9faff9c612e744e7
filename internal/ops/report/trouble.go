package report

import (
	"cmp"
	"strings"
)

// Trouble is what is wrong with something, for people.
type Trouble struct {
	Words string // what it means; the error itself if nobody has words for it
	Next  string // what to do about it
}

// knownTrouble is what errors mean: the first row decides one of whose words is
// in the error, in lower case.
var knownTrouble = []struct {
	words []string
	Trouble
}{
	{[]string{"connection refused"}, Trouble{"The machine is up, but no rsync daemon answers there.", "Start the daemon on that machine: systemctl start rsync"}},
	{[]string{"no such host", "server misbehaving", "temporary failure in name resolution"}, Trouble{"The name of the machine is not known here.", "Check its spelling, and the name service: getent hosts NAME"}},
	{[]string{"no route to host", "network is unreachable", "i/o timeout", "deadline exceeded", "connection timed out"}, Trouble{"The machine cannot be reached.", "Check that it is up, and the network between: ping NAME"}},
	{[]string{"connection reset", "broken pipe", "unexpected eof", "closed network connection"}, Trouble{"The connection broke while it was in use.", "It is tried again; if this goes on, look at the log of the daemon."}},
	{[]string{"auth failed"}, Trouble{"The daemon does not accept the user or the password.", "Compare password_file with the daemon's secrets file."}},
	{[]string{"wants a password"}, Trouble{"The daemon wants a password, and none is configured.", "Name a file that holds it with password_file."}},
	{[]string{"password file"}, Trouble{"The password file cannot be used.", "It must be there and readable by its owner alone: chmod 600 FILE"}},
	{[]string{"access denied"}, Trouble{"The daemon does not let this machine in.", "Add its address to hosts allow in rsyncd.conf."}},
	{[]string{"unknown module"}, Trouble{"The daemon has no module of that name.", "List those that it has: rsync rsync://HOST/"}},
	{[]string{"read only", "read-only"}, Trouble{"The target may only be read.", "Set read only = no for the module in rsyncd.conf, or mount the file system for writing."}},
	{[]string{"max connections"}, Trouble{"The daemon has no connection left.", "Raise max connections in rsyncd.conf: a mirror holds one."}},
	{[]string{"no space left", "disk quota exceeded"}, Trouble{"The target is full.", "Make room there; what is missing is sent by itself then."}},
	{[]string{"more deletions than"}, Trouble{"More would be deleted than is allowed, so nothing is sent until somebody has looked.", "If the deletions are meant, raise max_delete and reload; else restore the source."}},
	{[]string{"source directory is gone"}, Trouble{"The source is gone, or something else is mounted in its place. Nothing was deleted.", "Bring it back, then: lockstep resume"}},
	{[]string{"host key verification failed", "permission denied (publickey"}, Trouble{"ssh does not get in.", "Log in once by hand as the user that lockstep runs as."}},
	{[]string{"permission denied", "operation not permitted"}, Trouble{"Something may not be read here, or written there.", "Look at the path in the message, and at the user that lockstep and the daemon run as."}},
}

// Explain puts an error into plain words with the next step. hint is what the
// one who failed suggests; it comes before what is known here.
func Explain(err, hint string) Trouble {
	low := strings.ToLower(err)
	for _, k := range knownTrouble {
		for _, w := range k.words {
			if strings.Contains(low, w) {
				return Trouble{k.Words, cmp.Or(hint, k.Next)}
			}
		}
	}
	return Trouble{err, cmp.Or(hint, "Look more closely: lockstep doctor")}
}
