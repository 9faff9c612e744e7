package option

import (
	"math"
	"strconv"
	"strings"
)

// What is wrong with an integer, in the words of the option library that rsync
// uses.
const (
	badNumber   = "invalid numeric value"
	rangeNumber = "number too large or too small"
)

// integer reads the argument of an option that takes an integer: decimal, or
// octal or hexadecimal with the prefixes of C; nothing is 0. It returns what is
// wrong, or "".
func integer(text string) (int, string) {
	digits := strings.TrimLeft(text, " \t\n\v\f\r")
	if text == "" {
		return 0, ""
	}
	sign, rest := "", digits
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		sign, rest = rest[:1], rest[1:]
	}
	base := 10
	switch {
	case len(rest) > 1 && rest[0] == '0' && rest[1]|0x20 == 'x':
		base, rest = 16, rest[2:]
	case len(rest) > 1 && rest[0] == '0':
		base, rest = 8, rest[1:]
	}
	n, err := strconv.ParseUint(rest, base, 63)
	if err != nil {
		if strings.Contains(err.Error(), "out of range") {
			return 0, rangeNumber
		}
		return 0, badNumber
	}
	value := int64(n)
	if sign == "-" {
		value = -value
	}
	if value < math.MinInt32 || value > math.MaxInt32 {
		return 0, rangeNumber
	}
	return int(value), ""
}

// leading is C's atoi of the environment and of --stop-after: the number that a
// text begins with, 0 if it begins with none.
func leading(text string) int64 {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	end := 0
	if end < len(text) && (text[end] == '-' || text[end] == '+') {
		end++
	}
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n, _ := strconv.ParseInt(text[:end], 10, 64) // the largest number, if it is too large
	return n
}

// sizeRange bounds a size; the zero value is any size. A minimum above 0 leaves
// 0 as "unlimited".
type sizeRange struct {
	min, max int64
	unit     byte // of a number without a suffix
}

const unitLetters = "bkmgtp"

// size reads the argument of an option that takes a size (rsync-transfer 7.1):
//
//	["-"] digits ["." digits] [unit ["b" | "ib"]] ["+1" | "-1"]
//
// every part of which may be missing. A unit stands for a power of 1024, with a
// "b" after it for one of 1000. name is the option's, for the error.
func size(name, text string, r sizeRange) (int64, error) {
	fail := func(what string) (int64, error) {
		return 0, usage("--%s=%s is %s", name, text, what)
	}
	number := text
	end := strings.TrimLeft(strings.TrimPrefix(number, "-"), "0123456789")
	if strings.HasPrefix(end, ".") {
		end = strings.TrimLeft(end[1:], "0123456789")
	}
	number = number[:len(number)-len(end)]
	mult, rest := unit(end, r.unit)
	if value, err := strconv.ParseFloat(number, 64); err == nil && value < 0 {
		return fail("too large" + r.ceiling())
	}
	if strings.HasPrefix(number, "-") {
		return fail("invalid")
	}
	value, _ := strconv.ParseFloat(number, 64) // "" and "." are 0
	value *= mult
	tail := int64(0)
	switch rest {
	case "+1":
		tail = 1
	case "-1":
		tail = -1
	case "":
	default:
		return fail("invalid")
	}
	if value >= math.MaxInt64 {
		return fail("too large" + r.ceiling())
	}
	n := int64(value) + tail
	switch {
	case n < 0, r.max > 0 && n > r.max:
		return fail("too large" + r.ceiling())
	case n < r.min && n != 0:
		return fail("too small (min: " + binaryUnits(r.min) + " or 0 for unlimited)")
	}
	return n, nil
}

func (r sizeRange) ceiling() string {
	if r.max == 0 {
		return ""
	}
	return " (max: " + binaryUnits(r.max) + ")"
}

// unit takes a unit off a text, and says what it multiplies by.
func unit(text string, preset byte) (mult float64, rest string) {
	letter := preset
	base := 1024.0
	if text != "" && strings.IndexByte(unitLetters, text[0]|0x20) >= 0 {
		letter, text = text[0]|0x20, text[1:]
		switch {
		case len(text) > 0 && text[0]|0x20 == 'b':
			base, text = 1000, text[1:]
		case len(text) > 1 && text[0]|0x20 == 'i' && text[1]|0x20 == 'b':
			text = text[2:]
		}
	}
	return math.Pow(base, float64(max(strings.IndexByte(unitLetters, letter), 0))), text
}

// binaryUnits writes a bound as rsync does in its errors: 512, 128.00K.
func binaryUnits(n int64) string {
	value, letter := float64(n), -1
	for value >= 1024 && letter < len("KMGTP")-1 {
		value /= 1024
		letter++
	}
	if letter < 0 {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatFloat(value, 'f', 2, 64) + "KMGTP"[letter:letter+1]
}
