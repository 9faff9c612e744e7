package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseSize reads rsync's SIZE: a number that may have a fraction, a unit (k, m,
// g, t, p with an optional "ib" for powers of 1024, "b" for powers of 1000,
// alone "b" for bytes; any case) and "+1" or "-1" at the end. unit is what a
// bare number counts in, in bytes.
func parseSize(s string, unit float64) (int64, error) {
	rest := s
	var offset int64
	if n := len(rest); n > 2 {
		switch rest[n-2:] {
		case "+1":
			offset, rest = 1, rest[:n-2]
		case "-1":
			offset, rest = -1, rest[:n-2]
		}
	}
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
	number, err := strconv.ParseFloat(rest[:digits], 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size: want a number with an optional unit, such as 500, 1.5m or 2GB", s)
	}
	if suffix := strings.ToLower(rest[digits:]); suffix != "" {
		scale, ok := sizeUnit(suffix)
		if !ok {
			return 0, fmt.Errorf("%q is not a size: unknown unit %q (want b, k, m, g, t or p, or with b or ib behind it)", s, suffix)
		}
		unit = scale
	}
	if number*unit >= math.MaxInt64/2 {
		return 0, fmt.Errorf("size %q is too large", s)
	}
	return int64(number*unit) + offset, nil
}

// sizeUnit is the number of bytes in a lower-case unit.
func sizeUnit(suffix string) (bytes float64, ok bool) {
	if suffix == "b" {
		return 1, true
	}
	power := strings.IndexByte("kmgtp", suffix[0]) + 1
	if power == 0 {
		return 0, false
	}
	switch suffix[1:] {
	case "", "ib":
		return math.Pow(1024, float64(power)), true
	case "b":
		return math.Pow(1000, float64(power)), true
	}
	return 0, false
}

// ParseRate reads a rate: a size per second, in KiB unless it has a
// unit, rounded to whole KiB as rsync does. 0 is no limit.
func ParseRate(s string) (kib int, err error) {
	bytes, err := parseSize(s, 1024)
	if err != nil {
		return 0, err
	}
	switch {
	case bytes == 0:
		return 0, nil
	case bytes < 512:
		return 0, fmt.Errorf("%q is too small: the least is 512 bytes a second, 0 is no limit", s)
	case bytes > math.MaxInt32*1024:
		return 0, fmt.Errorf("%q is too large: the most is %d KiB a second", s, math.MaxInt32)
	}
	return int((bytes + 512) / 1024), nil
}
