package rsync

import (
	"lockstep/internal/rsync/option"
)

const about = `
lockstep is a file transfer program that speaks rsync's protocol and takes
rsync's options; on the wire only the differences of files travel.

`

const synopsis = `Usage: rsync [OPTION]... SRC [SRC]... DEST
  or   rsync [OPTION]... SRC [SRC]... [USER@]HOST:DEST
  or   rsync [OPTION]... SRC [SRC]... [USER@]HOST::DEST
  or   rsync [OPTION]... SRC [SRC]... rsync://[USER@]HOST[:PORT]/DEST
  or   rsync [OPTION]... [USER@]HOST:SRC [DEST]
  or   rsync [OPTION]... [USER@]HOST::SRC [DEST]
  or   rsync [OPTION]... rsync://[USER@]HOST[:PORT]/SRC [DEST]
The ':' usages connect via remote shell, while '::' & 'rsync://' usages connect
to an rsync daemon, and require SRC or DEST to start with a module name.

Options
`

const seeAlso = `
Use "rsync --daemon --help" to see the daemon-mode command-line options.
The manpages of rsync(1) and rsyncd.conf(5) describe them all.
`

const daemonSynopsis = `
Usage: rsync --daemon [OPTION]...
`

const daemonSeeAlso = `
If you were not trying to invoke rsync as a daemon, avoid using any of the
daemon-specific rsync options.  See also the rsyncd.conf(5) manpage.
`

const ownOptions = `
Options that rsync does not have; the URL rsyncs://[USER@]HOST[:PORT]/MODULE
stands for --tls:
`

const ownDaemonOptions = `
Options that rsync does not have:
`

const daemonExamples = `
Examples:
  rsync --daemon --no-detach --config=/etc/rsyncd.conf
  rsync --daemon --tls-cert=/etc/rsyncd.pem --tls-client-ca=/etc/clients.pem
`

// helpText is what --help prints.
func helpText() string {
	return versionText() + about + synopsis + option.OptionHelp(option.Table(), false) + seeAlso +
		ownOptions + option.OptionHelp(option.Table(), true)
}

// daemonHelpText is what --daemon --help prints.
func daemonHelpText() string {
	return versionText() + daemonSynopsis + option.OptionHelp(option.DaemonTable(), false) + daemonSeeAlso +
		ownDaemonOptions + option.OptionHelp(option.DaemonTable(), true) + daemonExamples
}

// shown is what is printed instead of a transfer.
func shown(what option.Show) string {
	switch what {
	case option.ShowVersion:
		return versionText()
	case option.ShowJSON:
		return versionJSON()
	case option.ShowInfo, option.ShowDebug:
		return option.WordHelp(what)
	case option.ShowDaemonHelp:
		return daemonHelpText()
	}
	return helpText()
}
