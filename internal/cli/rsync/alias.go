package rsync

import (
	"io"
	"os"
	"path/filepath"
	"slices"

	"lockstep/internal/rsync/option"
)

// aliasFile is where users keep aliases for programs, below their home
// directory; systemAliases is for all users.
const (
	aliasFile     = ".popt"
	systemAliases = "/etc/popt"
)

// maxAliasFile bounds what is read of such a file, in bytes.
const maxAliasFile = 1 << 20

// aliases are those of a client. A server or a daemon, which says so first, has
// none: its words come from another program.
func (c *Command) aliases() []option.Alias {
	if len(c.Words) > 0 && slices.Contains([]string{"--server", "--daemon"}, c.Words[0]) {
		return nil
	}
	names := []string{systemAliases}
	if home := c.Getenv("HOME"); home != "" {
		names = append(names, filepath.Join(home, aliasFile))
	}
	var all []option.Alias
	for _, name := range names {
		all = append(all, option.ParseAliases(beginning(name), "rsync")...)
	}
	return all
}

// beginning is what a file holds; "" if there is none that can be read.
func beginning(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(f, maxAliasFile))
	if closing := f.Close(); err != nil || closing != nil {
		return ""
	}
	return string(text)
}
