package target

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"lockstep/internal/fs/tree"
)

// maxPassword bounds the line that a password file may begin with.
const maxPassword = 4096

// stdinPassword is what standard input began with: it can be read only once.
var stdinPassword = sync.OnceValues(func() (string, error) { return firstLine(os.Stdin) })

// password is the first line of file, "-" being standard input; without a file
// that of RSYNC_PASSWORD. As with rsync, others must not be able to read or
// write the file, and for root it must belong to root; it is the opened file
// that is judged.
func password(file string) (string, error) {
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
	stat, _ := info.Sys().(*syscall.Stat_t)
	switch {
	case info.IsDir():
		return "", fmt.Errorf("password file %s is a directory", tree.Quote(file))
	case info.Mode().Perm()&0o006 != 0:
		return "", &Error{
			Err:       fmt.Errorf("password file %s has mode %#o: others must not be able to read or write it", tree.Quote(file), info.Mode().Perm()),
			Permanent: true, Hint: "chmod 600 " + file,
		}
	case stat != nil && os.Geteuid() == 0 && stat.Uid != 0:
		return "", &Error{
			Err:       fmt.Errorf("password file %s belongs to uid %d: for root it must belong to root", tree.Quote(file), stat.Uid),
			Permanent: true, Hint: "chown root " + file,
		}
	}
	return firstLine(f)
}

func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("password file: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
