package apply

import "os"

// MakeRoot makes the directory that is to be a Root, with the default
// permissions. Its parent must be there.
func MakeRoot(dir string) error { return os.Mkdir(dir, 0o777) }
