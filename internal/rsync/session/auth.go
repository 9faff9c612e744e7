package session

import (
	"os"
	"strings"
)

// user is the name to authenticate with.
func (ep *Endpoint) user() string {
	for _, name := range []string{ep.User, os.Getenv("USER"), os.Getenv("LOGNAME")} {
		if name != "" && !strings.ContainsAny(name, " \r\n\x00") {
			return name
		}
	}
	return "nobody"
}
