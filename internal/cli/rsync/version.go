package rsync

import (
	"fmt"
	"strings"

	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/output"
)

// protocol is the newest that we speak.
const protocol = 32

// What stands where rsync tells its authors and its terms. There are no terms to
// tell.
const (
	copyright = "By the authors of lockstep; an implementation of its own, not derived from rsync."
	url       = "https://rsync.samba.org/"
	caveat    = "lockstep comes with ABSOLUTELY NO WARRANTY"
)

// feature is a capability or an optimization: present, absent, or so many bits.
type feature struct {
	name string
	key  string // in JSON, if it is not the name
	bits int
	how  string // "optional" is a feature that is off unless asked for
	has  bool
}

// capabilities are those of this build, in rsync's order.
var capabilities = []feature{
	{name: "files", key: "file_bits", bits: 64},
	{name: "inums", key: "inum_bits", bits: 64},
	{name: "timestamps", key: "timestamp_bits", bits: 64},
	{name: "long ints", key: "long_int_bits", bits: 64},
	{name: "socketpairs"}, // a local copy needs none
	{name: "symlinks", has: true},
	{name: "symtimes", has: true},
	{name: "hardlinks", has: true},
	{name: "hardlink-specials", has: true},
	{name: "hardlink-symlinks", has: true},
	{name: "IPv6", has: true},
	{name: "atimes", has: true},
	{name: "batchfiles", has: true},
	{name: "inplace", has: true},
	{name: "append", has: true},
	{name: "ACLs", has: true},
	{name: "ACL-at", has: true},
	{name: "xattrs", has: true},
	{name: "secluded-args", how: "optional", has: true},
	{name: "iconv", has: true},
	{name: "prealloc", has: true},
	{name: "stop-at", has: true},
	{name: "crtimes"}, // Linux cannot set them
}

var optimizations = []feature{
	{name: "SIMD-roll"},
	{name: "asm-roll"},
	{name: "openssl-crypto"},
	{name: "asm-MD5", has: true},
}

// authDigests are those that a client answers a daemon's challenge with.
const authDigests = "sha512 sha256 sha1 md5 md4"

// aliases are further names that --version shows.
var aliases = map[string]string{"xxh64": "xxh64 (xxhash)"}

// wide is the width of a list of features.
const wide = 76

// versionText is what --version prints. Scripts read its first line.
func versionText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rsync  version %s  protocol version %d\n%s\nWeb site of rsync: %s\n", output.Version, protocol, copyright, url)
	section := func(title string, lines []string) {
		fmt.Fprintf(&b, "%s:\n", title)
		for _, line := range lines {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	section("Capabilities", wrapped(capabilities, feature.text))
	section("Optimizations", wrapped(optimizations, feature.text))
	names := strings.Fields(checksum.Names() + " none")
	for i, n := range names {
		if a := aliases[n]; a != "" {
			names[i] = a
		}
	}
	section("Checksum list", []string{strings.Join(names, " ")})
	section("Compress list", []string{compress.Names() + " none"})
	section("Daemon auth list", []string{authDigests})
	fmt.Fprintf(&b, "\n%s.\n", caveat)
	return b.String()
}

// text is a feature in a sentence.
func (f feature) text() string {
	switch {
	case f.bits > 0:
		return fmt.Sprintf("%d-bit %s", f.bits, f.name)
	case !f.has:
		return "no " + f.name
	case f.how != "":
		return f.how + " " + f.name
	}
	return f.name
}

// json is a feature as a member of an object.
func (f feature) json() string {
	key := f.key
	if key == "" {
		key = strings.NewReplacer("-", "_", " ", "_").Replace(f.name)
	}
	switch {
	case f.bits > 0:
		return fmt.Sprintf("%q: %d", key, f.bits)
	case f.has && f.how != "":
		return fmt.Sprintf("%q: %q", key, f.how)
	}
	return fmt.Sprintf("%q: %t", key, f.has)
}

// wrapped puts features in lines, separated by commas.
func wrapped(features []feature, text func(feature) string) []string {
	var lines []string
	line := ""
	for i, f := range features {
		word := text(f)
		if i < len(features)-1 {
			word += ","
		}
		switch {
		case line == "":
			line = word
		case len("    ")+len(line)+1+len(word) > wide:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// versionJSON is what --version twice prints.
func versionJSON() string {
	var b strings.Builder
	b.WriteString("{\n")
	for _, kv := range [][2]string{
		{"program", "rsync"}, {"version", output.Version}, {"protocol", fmt.Sprintf("%d.0", protocol)},
		{"copyright", copyright}, {"url", url},
	} {
		fmt.Fprintf(&b, "  %q: %q,\n", kv[0], kv[1])
	}
	object := func(key string, features []feature) {
		fmt.Fprintf(&b, "  %q: {\n    %s\n  },\n", key, strings.Join(wrapped(features, feature.json), "\n    "))
	}
	list := func(key, names string) {
		fmt.Fprintf(&b, "  %q: [\n    \"%s\"\n  ],\n", key, strings.Join(strings.Fields(names), `", "`))
	}
	object("capabilities", capabilities)
	object("optimizations", optimizations)
	list("checksum_list", checksum.Names()+" none")
	list("compress_list", compress.Names()+" none")
	list("daemon_auth_list", authDigests)
	fmt.Fprintf(&b, "  \"caveat\": %q\n}\n", caveat)
	return b.String()
}
