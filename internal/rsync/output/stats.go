package output

import "time"

// Counts are numbers of entries by kind.
type Counts struct{ Reg, Dir, Link, Dev, Special int }

// Total is their sum.
func (c Counts) Total() int { return c.Reg + c.Dir + c.Link + c.Dev + c.Special }

// Stats is what a run did (5.5, 5.6).
type Stats struct {
	Files   Counts // in the list
	Created Counts // known from protocol 29 on
	Deleted Counts // known from protocol 31 on

	Transferred     int   // regular files
	TotalSize       int64 // of the files and symlinks in the list
	TransferredSize int64
	Literal         int64
	Matched         int64

	ListSize            int64
	ListBuild, ListSend time.Duration // 0 is not known

	Sent, Received int64 // raw bytes of the connection
	Elapsed        time.Duration
	Protocol       int
}
