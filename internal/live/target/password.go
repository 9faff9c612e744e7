package target

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/session"
)

// stdinPassword is what standard input began with: it can be read only once.
var stdinPassword = sync.OnceValues(func() (string, error) { return firstLine(os.Stdin) })

// Password is the first line of file, "-" being standard input; without a file
// that of RSYNC_PASSWORD. As with rsync, others must not be able to read or
// write the file, and for root it must belong to root; it is the opened file
// that is judged.
func Password(file string) (string, error) {
	switch file {
	case "":
		if p, ok := os.LookupEnv("RSYNC_PASSWORD"); ok {
			return p, nil
		}
		return "", &Error{
			Err:       errors.New("the daemon wants a password and none was given"),
			Permanent: true, Hint: "give one with --password-file, or in RSYNC_PASSWORD",
		}
	case "-":
		return stdinPassword()
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", errors.New("password file: this system does not tell its owner")
	}
	if info.IsDir() {
		return "", fmt.Errorf("password file %s is a directory", tree.Quote(file))
	}
	if err := judgePasswordFile(file, info.Mode().Perm(), stat.Uid, os.Geteuid() == 0); err != nil {
		return "", err
	}
	return firstLine(f)
}

// judgePasswordFile refuses the files that rsync refuses.
func judgePasswordFile(name string, perm os.FileMode, owner uint32, root bool) error {
	const others = 0o006 // read and write
	switch {
	case perm&others != 0:
		return &Error{
			Err:       fmt.Errorf("password file %s has mode %#o: others must not be able to read or write it", tree.Quote(name), perm),
			Permanent: true, Hint: "chmod 600 " + tree.ShellWord(name),
		}
	case root && owner != 0:
		return &Error{
			Err:       fmt.Errorf("password file %s belongs to uid %d: for root it must belong to root", tree.Quote(name), owner),
			Permanent: true, Hint: "chown root " + tree.ShellWord(name),
		}
	}
	return nil
}

// firstLine is the password that a file has.
func firstLine(r io.Reader) (string, error) {
	line, err := session.ReadPassword(r)
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	if line == "" {
		return "", errors.New("password file: there is no password in it")
	}
	return line, nil
}
