package output

import "strconv"

// The levels of --human-readable.
const (
	plainNumbers  = 0
	commaNumbers  = 1 // thousands are separated
	unitNumbers   = 2 // K, M, G … of 1000
	binaryNumbers = 3 // of 1024
)

const units = "KMGTP"

// Human writes a number of bytes at a level of --human-readable.
func Human(n int64, level int) string {
	return humanFloat(float64(n), n, level, 0)
}

// humanFloat writes a number with so many decimals, or in units, where a number
// that needs one always has two.
func humanFloat(value float64, whole int64, level, decimals int) string {
	if level >= unitNumbers {
		base := 1000.0
		if level >= binaryNumbers {
			base = 1024
		}
		if value >= base || value <= -base {
			unit := -1
			for (value >= base || value <= -base) && unit < len(units)-1 {
				value /= base
				unit++
			}
			return strconv.FormatFloat(value, 'f', 2, 64) + units[unit:unit+1]
		}
	}
	text := strconv.FormatInt(whole, 10)
	if decimals > 0 {
		text = strconv.FormatFloat(value, 'f', decimals, 64)
	}
	if level == plainNumbers {
		return text
	}
	return commas(text)
}

// humanRate writes a rate or a factor, with two decimals.
func humanRate(value float64, level int) string {
	return humanFloat(value, 0, level, 2)
}

// Comma writes a count, which is never in units.
func Comma(n int64, level int) string {
	return Human(n, min(level, commaNumbers))
}

// commas separates the thousands of a number's whole part.
func commas(text string) string {
	whole := 0
	for whole < len(text) && text[whole] != '.' {
		whole++
	}
	first := 0
	if text[0] == '-' {
		first = 1
	}
	b := []byte(text[:first])
	for i := first; i < whole; i++ {
		if i > first && (whole-i)%3 == 0 {
			b = append(b, ',')
		}
		b = append(b, text[i])
	}
	return string(append(b, text[whole:]...))
}
