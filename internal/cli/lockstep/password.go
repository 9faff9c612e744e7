package lockstep

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"lockstep/internal/fs/tree"
)

// checkPasswordFile refuses, before anything is done, the password files that
// rsync refuses: those that others can read or write, and for root those that
// belong to somebody else. "-" is standard input, which has no such file.
func checkPasswordFile(name string) error {
	if name == "" || name == "-" {
		return nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("password file: %w", err)
	}
	if info.IsDir() {
		return fmt.Errorf("password file %s is a directory", tree.Quote(name))
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("password file: this system does not tell its owner")
	}
	return judgePasswordFile(name, info.Mode().Perm(), stat.Uid, os.Geteuid() == 0)
}

func judgePasswordFile(name string, perm os.FileMode, owner uint32, root bool) error {
	const others = 0o006 // read and write
	if perm&others != 0 {
		return hintedError{
			fmt.Errorf("password file %s has mode %#o: others must not be able to read or write it", tree.Quote(name), perm),
			"chmod 600 " + shellWord(name),
		}
	}
	if root && owner != 0 {
		return hintedError{
			fmt.Errorf("password file %s belongs to uid %d: for root it must belong to root", tree.Quote(name), owner),
			"chown root " + shellWord(name),
		}
	}
	return nil
}
