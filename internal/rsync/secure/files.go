package secure

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"lockstep/internal/fs/tree"
)

// maxFile bounds a file of certificates or keys, in bytes.
const maxFile = 4 << 20

// stamp tells the states of a file apart.
type stamp struct {
	size int64
	time time.Time
	file os.FileInfo
}

func (s stamp) same(o stamp) bool {
	return s.size == o.size && s.time.Equal(o.time) && (s.file == nil) == (o.file == nil) && (s.file == nil || os.SameFile(s.file, o.file))
}

// stampOf looks at a file; one that is not there has the zero stamp.
func stampOf(name string) stamp {
	info, err := os.Stat(name)
	if err != nil {
		return stamp{}
	}
	return stamp{info.Size(), info.ModTime(), info}
}

// read reads a regular file of bounded size. judge may refuse its mode.
func read(name string, judge func(fs.FileMode) error) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", tree.Quote(name))
	}
	if err := judge(info.Mode()); err != nil {
		return nil, fmt.Errorf("%s: %w", tree.Quote(name), err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", tree.Quote(name), maxFile)
	}
	return data, err
}

func anyMode(fs.FileMode) error { return nil }

// private refuses files that others can read or change, as rsync does for
// secrets.
func private(mode fs.FileMode) error {
	const others = 0o006
	if mode.Perm()&others != 0 {
		return errors.New("others must not be able to read or write a key; chmod 600 it")
	}
	return nil
}

// readPair reads a certificate, with those that lead to its authority, and its
// key, which may be in the same file.
func readPair(cert, key string) (tls.Certificate, error) {
	chain, err := read(cert, anyMode)
	if err != nil {
		return tls.Certificate{}, err
	}
	secret, err := read(cmp.Or(key, cert), private)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(chain, secret)
	if err != nil {
		return pair, fmt.Errorf("%s: %w", tree.Quote(cert), err)
	}
	return pair, nil
}

// readPool reads certificates of authorities.
func readPool(name string) (*x509.CertPool, error) {
	data, err := read(name, anyMode)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", tree.Quote(name))
	}
	return pool, nil
}
