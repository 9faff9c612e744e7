package lockstep

import (
	"fmt"
	"strconv"
	"strings"
)

// byteCount is n for people: 512 B, 12.3 KiB, 4.0 GiB.
func byteCount(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v, units := float64(n)/1024, "KMGTP"
	for v >= 1023.95 && len(units) > 1 {
		v, units = v/1024, units[1:]
	}
	return fmt.Sprintf("%.1f %ciB", v, units[0])
}

// count is n with its noun, digits in groups: "1 change", "10,000 changes".
func count[N int | int64](n N, one string) string {
	digits := strconv.FormatInt(int64(n), 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	switch {
	case n == 1:
		return digits + " " + one
	case strings.HasSuffix(one, "y"):
		return digits + " " + strings.TrimSuffix(one, "y") + "ies"
	case strings.HasSuffix(one, "ch"):
		return digits + " " + one + "es"
	}
	return digits + " " + one + "s"
}
