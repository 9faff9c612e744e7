package sender

// ParsedArgument is what parseArgument makes of a text.
type ParsedArgument struct {
	Dir, Name      string
	Slash, DotRoot bool
}

// ParseArgument is parseArgument.
func ParseArgument(text string, relative bool) (ParsedArgument, error) {
	a, err := parseArgument(text, relative)
	return ParsedArgument{a.dir, string(a.name), a.slash, a.dotRoot}, err
}

// Sanitized is sanitized.
func Sanitized(name string, relative bool) string { return sanitized(name, relative) }

// UnsafeLink is unsafeLink.
var UnsafeLink = unsafeLink
