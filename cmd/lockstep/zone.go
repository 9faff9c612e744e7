package main

import (
	"encoding/binary"
	"math"
	"strings"
	"time"
)

// localTime makes the time zone of TZ the local one if it is a rule of POSIX,
// such as UTC-3 or CET-1CEST,M3.5.0,M10.5.0/3, as the C library would: package
// time knows files alone and takes UTC for everything else.
func localTime(tz string) {
	rule := strings.TrimPrefix(tz, ":")
	if rule == "" || strings.HasPrefix(rule, "/") {
		return
	}
	if _, err := time.LoadLocation(rule); err == nil {
		return // a file
	}
	if zone, err := time.LoadLocationFromTZData(rule, zoneFile(rule)); err == nil {
		time.Local = zone
	}
}

// zoneFile is a file of time zone data (RFC 9636) that holds one rule and
// nothing from before it:
//
//	44 bytes  header of version 1, which says that its data is empty
//	44 bytes  header of version 2: 1 transition, 1 type, 4 letters
//	 8 bytes  time of the transition, as long ago as there is
//	 1 byte   its type
//	 6 bytes  the type: 4 bytes seconds east of UTC, daylight saving, name
//	 4 bytes  the name, with a NUL
//	 n bytes  the rule, between line feeds
func zoneFile(rule string) []byte {
	header := func(transitions, types, letters uint32) []byte {
		b := append([]byte("TZif2"), make([]byte, 15)...)
		for _, n := range []uint32{0, 0, 0, transitions, types, letters} {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	first := int64(math.MinInt64)
	file := append(header(0, 0, 0), header(1, 1, 4)...)
	file = binary.BigEndian.AppendUint64(file, uint64(first))
	file = append(file, make([]byte, 1+6)...)
	return append(file, "UTC\x00\n"+rule+"\n"...)
}
