package harness

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// attributes are the user.* extended attributes and POSIX ACLs of path, or all
// that it has; a symlink is not followed.
func attributes(path string, all bool) (map[string]string, error) {
	size, err := unix.Llistxattr(path, nil)
	if err != nil || size == 0 {
		return nil, ignoreUnsupported(err)
	}
	names := make([]byte, size)
	if size, err = unix.Llistxattr(path, names); err != nil {
		return nil, err
	}
	found := map[string]string{}
	for name := range strings.SplitSeq(string(names[:size]), "\x00") {
		if name == "" || !all && !strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "system.posix_acl_") {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, err
		}
		found[name] = string(value[:n])
	}
	return found, nil
}

func ignoreUnsupported(err error) error {
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
