package proof_test

import "lockstep/internal/proof/harness"

var (
	pulling = []harness.Transport{harness.DaemonPull}
	pushing = []harness.Transport{harness.DaemonPush}
)

// What only a client of a daemon does, and logs.
var daemonRows = []row{
	{name: "the modules of a daemon", world: small, args: "127.0.0.1::", from: "-", to: "-", via: pulling},
	{name: "the modules by URL", world: small, args: "rsync://127.0.0.1:$PORT", from: "-", to: "-", via: pulling},
	{name: "the modules without greeting", world: small, args: "--no-motd rsync://127.0.0.1:$PORT/", from: "-", to: "-", via: pulling},
	{name: "the files of a module", world: small, args: "rsync://127.0.0.1:$PORT/m/$B/", from: "-", to: "-", via: pulling},
	{name: "the files of a module below", world: small, args: "-r 127.0.0.1::m/$B/src/d", from: "-", to: "-", via: pulling},
	{name: "pull by URL", world: small, args: "-ai rsync://127.0.0.1:$PORT/m/$B/src/ dst/", from: "-", to: "-", via: pulling},
	{name: "pull of several names", world: small, args: "-ai 127.0.0.1::m/$B/src/a ::m/$B/src/d/ dst/", from: "-", to: "-", via: pulling},
	{name: "push by URL", world: small, args: "-ai src/ rsync://127.0.0.1:$PORT/m/$B/dst/", from: "-", to: "-", via: pushing},
	{name: "push to a place that is not there", world: small, args: "-ai src/ 127.0.0.1::m/$B/new/er/", from: "-", to: "-", via: pushing},
	{name: "a module nobody has", world: small, args: "-ai 127.0.0.1::nothing/x dst/", from: "-", to: "-", via: pulling},
	{name: "no module", world: small, args: "-ai rsync://127.0.0.1:$PORT//x dst/", from: "-", to: "-", via: pulling},
	{name: "a password from a file", world: small + "pass \"123456\\n\" mode=0600\n", args: "-ai --password-file=$W/pass liang@127.0.0.1::locked/$B/src/ dst/", from: "-", to: "-", via: pulling},
	{name: "a password from the environment", world: small, args: "-ai liang@127.0.0.1::locked/$B/src/ dst/", env: "RSYNC_PASSWORD=123456", from: "-", to: "-", via: pulling},
	{name: "a password that is wrong", world: small, args: "-ai liang@127.0.0.1::locked/$B/src/ dst/", env: "RSYNC_PASSWORD=wrong", from: "-", to: "-", via: pulling},
	{name: "a password file that all can read", world: small + "pass \"123456\\n\"\n", args: "-ai --password-file=$W/pass liang@127.0.0.1::locked/$B/src/ dst/", from: "-", to: "-", via: pulling},
	{name: "a module that is read only", world: small, args: "-ai src/ liang@127.0.0.1::locked/$B/dst/", env: "RSYNC_PASSWORD=123456", from: "-", to: "-", via: pushing},
	{name: "nobody listens", world: small, args: "-ai rsync://127.0.0.1:1/m/ dst/", from: "-", to: "-", via: pulling},
	{name: "a connection by a program", world: small, args: "-ai rsync://example.org/m/$B/src/ dst/", env: "'RSYNC_CONNECT_PROG=echo %H >$W/host; exec rsync --server --daemon --config=$T/rsyncd.conf .'", from: "-", to: "-", via: pulling},
	{name: "a daemon over a shell", world: small, args: "-ai -e $S '--rsync-path=rsync --config=$T/rsyncd.conf' host::m/$B/src/ dst/", from: "-", to: "-", via: pulling},
	{name: "a transfer's log", world: mixed, args: "-a --delete --log-file=$W/log", said: "log"},
	{name: "a transfer's log in a format", world: small, args: "-a --delete --log-file=$W/log --log-file-format='%o %n %l %i'", said: "log", order: true},
	{name: "a transfer's log that has deletions alone", world: small, args: "-a --delete --log-file=$W/log --log-file-format=", said: "log"},
	{name: "the log of a dry run", world: small, args: "-an --delete --log-file=$W/log", said: "log"},
	{name: "the server's log of a dry run", world: small, args: "-an --delete -M--log-file=$W/log", said: "log", via: overShell},
	{name: "a transfer's log with errors", world: small, args: "-av --log-file=$W/log", from: "src/ src/nothing", said: "log", quiet: true},
	{name: "a transfer's log of stats", world: small, args: "-aq --stats --log-file=$W/log", said: "log"},
}
