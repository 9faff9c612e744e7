package conf

import "strings"

// Param is a parameter.
type Param int

// The parameters, in the order of their names.
const (
	Address Param = iota
	AuthDigest
	AuthUsers
	Charset
	Comment
	DaemonChroot
	DaemonGID
	DaemonUID
	DontCompress
	EarlyExec
	Exclude
	ExcludeFrom
	FakeSuper
	Filter
	ForwardLookup
	GID
	HostsAllow
	HostsDeny
	IgnoreErrors
	IgnoreNonreadable
	Include
	IncludeFrom
	IncomingChmod
	InsecureLinks
	List
	ListenBacklog
	LockFile
	LogFile
	LogFormat
	MaxConnections
	MaxVerbosity
	MotdFile
	MungeSymlinks
	NameConverter
	NumericIDs
	OpenNoatime
	OutgoingChmod
	Path
	PidFile
	Port
	PostXferExec
	PreXferExec
	ProxyProtocol
	ProxyProtocolHosts
	ReadOnly
	RefuseOptions
	ReverseLookup
	SecretsFile
	SocketOptions
	StrictModes
	SyslogFacility
	SyslogTag
	TempDir
	Timeout
	TransferLogging
	UID
	UseChroot
	WriteOnly
	params // how many there are
)

// kind is what the value of a parameter is.
type kind uint8

const (
	text    kind = iota
	place        // the name of a file or directory: slashes at its end are dropped
	boolean      // yes or no
	tri          // yes, no or unset
	integer
)

// row is what is known of a parameter.
type row struct {
	name     string
	kind     kind
	global   bool   // it cannot be set for a module
	fallback string // its value where nothing sets it
}

var table = [params]row{
	Address:            {name: "address", global: true},
	AuthDigest:         {name: "auth digest"},
	AuthUsers:          {name: "auth users"},
	Charset:            {name: "charset"},
	Comment:            {name: "comment"},
	DaemonChroot:       {name: "daemon chroot", kind: place, global: true},
	DaemonGID:          {name: "daemon gid", global: true},
	DaemonUID:          {name: "daemon uid", global: true},
	DontCompress:       {name: "dont compress"},
	EarlyExec:          {name: "early exec"},
	Exclude:            {name: "exclude"},
	ExcludeFrom:        {name: "exclude from"},
	FakeSuper:          {name: "fake super", kind: boolean},
	Filter:             {name: "filter"},
	ForwardLookup:      {name: "forward lookup", kind: boolean, fallback: "yes"},
	GID:                {name: "gid"},
	HostsAllow:         {name: "hosts allow"},
	HostsDeny:          {name: "hosts deny"},
	IgnoreErrors:       {name: "ignore errors", kind: boolean},
	IgnoreNonreadable:  {name: "ignore nonreadable", kind: boolean},
	Include:            {name: "include"},
	IncludeFrom:        {name: "include from"},
	IncomingChmod:      {name: "incoming chmod"},
	InsecureLinks:      {name: "insecure links", kind: boolean},
	List:               {name: "list", kind: boolean, fallback: "yes"},
	ListenBacklog:      {name: "listen backlog", kind: integer, global: true, fallback: "5"},
	LockFile:           {name: "lock file", fallback: "/var/run/rsyncd.lock"},
	LogFile:            {name: "log file"},
	LogFormat:          {name: "log format", fallback: "%o %h [%a] %m (%u) %f %l"},
	MaxConnections:     {name: "max connections", kind: integer},
	MaxVerbosity:       {name: "max verbosity", kind: integer, fallback: "1"},
	MotdFile:           {name: "motd file", global: true},
	MungeSymlinks:      {name: "munge symlinks", kind: tri},
	NameConverter:      {name: "name converter"},
	NumericIDs:         {name: "numeric ids", kind: tri},
	OpenNoatime:        {name: "open noatime", kind: tri},
	OutgoingChmod:      {name: "outgoing chmod"},
	Path:               {name: "path", kind: place},
	PidFile:            {name: "pid file", global: true},
	Port:               {name: "port", kind: integer, global: true},
	PostXferExec:       {name: "post-xfer exec"},
	PreXferExec:        {name: "pre-xfer exec"},
	ProxyProtocol:      {name: "proxy protocol", kind: boolean, global: true},
	ProxyProtocolHosts: {name: "proxy protocol hosts", global: true},
	ReadOnly:           {name: "read only", kind: boolean, fallback: "yes"},
	RefuseOptions:      {name: "refuse options"},
	ReverseLookup:      {name: "reverse lookup", kind: boolean, fallback: "yes"},
	SecretsFile:        {name: "secrets file"},
	SocketOptions:      {name: "socket options", global: true},
	StrictModes:        {name: "strict modes", kind: boolean, fallback: "yes"},
	SyslogFacility:     {name: "syslog facility", fallback: "daemon"},
	SyslogTag:          {name: "syslog tag", fallback: "rsyncd"},
	TempDir:            {name: "temp dir", kind: place},
	Timeout:            {name: "timeout", kind: integer},
	TransferLogging:    {name: "transfer logging", kind: boolean},
	UID:                {name: "uid"},
	UseChroot:          {name: "use chroot", kind: tri},
	WriteOnly:          {name: "write only", kind: boolean},
}

// byName finds a parameter by its folded name.
var byName = func() map[string]Param {
	m := make(map[string]Param, params)
	for p := range params {
		m[fold(table[p].name)] = p
	}
	return m
}()

// All returns every parameter.
func All() []Param {
	all := make([]Param, params)
	for i := range all {
		all[i] = Param(i)
	}
	return all
}

// String is the parameter's name as the manual has it.
func (p Param) String() string { return table[p].name }

// Global reports whether a parameter is the daemon's, not a module's.
func (p Param) Global() bool { return table[p].global }

// fold makes a name comparable: neither case nor white space counts.
func fold(name string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), isSpace), "")
}

func isSpace(r rune) bool { return r < 0x80 && strings.ContainsRune(" \t\r\n\v\f", r) }

// Suggest is the parameter that a misspelt name most likely means, "" if none
// is near.
func Suggest(name string) string {
	name = fold(name)
	best, near := "", len(name)/3+1
	for _, p := range All() {
		if d := distance(name, fold(p.String()), near); d < near {
			best, near = p.String(), d
		}
	}
	return best
}

// distance is how many bytes must be added, taken or changed to make b of a; at
// least limit if they are that many.
func distance(a, b string, limit int) int {
	const longest = 64
	if len(a) > longest || len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		corner := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := corner
			if a[i-1] != b[j-1] {
				change++
			}
			corner = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
