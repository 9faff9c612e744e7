package option

// DaemonSet is what the words of `rsync --daemon` ask for.
type DaemonSet struct {
	Config, Address, LogFile, LogFormat, Sockopts, TempDir string
	Params                                                 []string // --dparam NAME=VALUE
	Port, Verbose, Protocol                                int
	IPv                                                    int   // 4, 6 or 0
	BwLimit                                                int64 // bytes a second
	NoDetach                                               bool
	HasLogFormat                                           bool // also an empty one
	LogJSON                                                bool
	Metrics                                                string // [HOST:]PORT, "" is none
	TLSCert, TLSKey, TLSClientCA                           string
	TLSPort                                                int
	TLSOnly                                                bool
}
