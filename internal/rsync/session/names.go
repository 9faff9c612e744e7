package session

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"

	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// maxName bounds a name of --files-from, in bytes.
const maxName = 64 << 10

// rawNames is the first protocol in which the names of --files-from are data
// like any other; below, they pass without frames (rsync-session 4.4).
const rawNames = 31

// nameSource is where a sender takes the names of --files-from from.
type nameSource struct {
	next  func() (string, error)
	close func()
}

// listedNames is the sender's source of names, nil without --files-from.
func (e *end) listedNames() (*nameSource, error) {
	opt := e.opt
	if opt.FilesFrom == "" {
		return nil, nil
	}
	remote := opt.FilesFromHost != ""
	if e.server {
		remote = opt.FilesFrom == "-"
	}
	if remote {
		if e.protocol < rawNames {
			if err := e.r.StopMux(); err != nil {
				return nil, err
			}
		}
		return &nameSource{next: e.peerName, close: func() {}}, nil
	}
	f, err := e.openNames()
	if err != nil {
		return nil, err
	}
	lines := nameReader{r: bufio.NewReader(f), from0: opt.From0, comments: true}
	next := func() (string, error) {
		name, err := lines.next()
		var bad syscall.Errno
		if errors.As(err, &bad) {
			err = fatalf(ExitStream, "rsync: [%s] safe_read failed to read 1 bytes: %s", e.role, output.Strerror(bad))
		}
		return name, err
	}
	return &nameSource{next: next, close: func() { f.Close() }}, nil
}

// openNames opens the file of --files-from here.
func (e *end) openNames() (io.ReadCloser, error) {
	if f := e.names; f != nil {
		e.names = nil
		return f, nil
	}
	var f io.ReadCloser
	var err error
	if e.host != nil {
		f, err = e.host.openFile(e.opt.FilesFrom)
	} else {
		f, err = e.op.open(e.opt.FilesFrom)
	}
	if err != nil {
		return nil, fatalf(ExitSyntax, "%srsync: failed to open files-from file %s: %s", untrusted(err), e.opt.FilesFrom, plainReason(err))
	}
	return f, nil
}

// peerName reads a name from the peer: they end in NUL, and an empty one ends
// the list.
func (e *end) peerName() (string, error) {
	var name []byte
	for {
		b, err := e.r.Byte()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", fmt.Errorf("names of --files-from: %w", err)
		}
		if b != 0 {
			if len(name) == maxName {
				return "", fmt.Errorf("name of more than %d bytes: %w", maxName, wire.ErrStream)
			}
			name = append(name, b)
			continue
		}
		if len(name) == 0 {
			if e.protocol < rawNames && e.readsFrames() {
				e.r.StartMux(e.onMessage)
			}
			return "", io.EOF
		}
		if e.opt.SecludedArgs { // else they are taken for this side's
			return e.charset.textFromWire(string(name)), nil
		}
		return string(name), nil
	}
}

// nameReader cuts a file into names: lines that end in LF or CR, or names that
// end in NUL. Empty ones are passed over.
type nameReader struct {
	r        *bufio.Reader
	from0    bool
	comments bool // what begins with # or ; is passed over, with from0 as well
}

func (n *nameReader) next() (string, error) {
	for {
		name, err := n.name()
		if err != nil {
			return "", err
		}
		if name != "" && !(n.comments && (name[0] == '#' || name[0] == ';')) {
			return name, nil
		}
	}
}

func (n *nameReader) name() (string, error) {
	var name []byte
	for {
		b, err := n.r.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && len(name) > 0:
			return string(name), nil
		case err != nil:
			return "", err
		case b == 0 || !n.from0 && (b == '\n' || b == '\r'):
			return string(name), nil
		case len(name) == maxName:
			return "", fmt.Errorf("name of more than %d bytes in the list of files", maxName)
		}
		name = append(name, b)
	}
}

// forwardNames sends the peer the names of a list that is here, while the file
// list comes in. The function that it returns waits for the end of that; it is
// nil if there is nothing to forward.
func (e *end) forwardNames() (wait func() error, err error) {
	there := e.opt.FilesFromHost != "" // the list is at the other side
	if e.server {
		there = e.opt.FilesFrom == "-"
	}
	if e.opt.FilesFrom == "" || e.local || there {
		return nil, nil
	}
	f, err := e.openNames()
	if err != nil {
		return nil, err
	}
	var sending sync.WaitGroup
	var failed error
	raw := e.protocol < rawNames
	if raw {
		e.w.StopMux()
	}
	sending.Go(func() {
		defer f.Close()
		failed = e.forward(f)
		if raw && e.writesFrames() {
			e.w.StartMux()
		}
	})
	return func() error {
		sending.Wait()
		return failed
	}, nil
}

// forward writes the names of a list, each ended by NUL, and an empty one.
func (e *end) forward(f io.Reader) error {
	names := nameReader{r: bufio.NewReader(f), from0: e.opt.From0}
	for {
		name, err := names.next()
		if err != nil && !errors.Is(err, io.EOF) {
			e.w.Byte(0)
			return errors.Join(fmt.Errorf("list of files: %w", err), e.w.Flush())
		}
		if err == nil {
			e.wanted.addLine(name)
			if e.opt.SecludedArgs {
				name = e.charset.textToWire(name)
			}
			io.WriteString(e.w, name)
		}
		e.w.Byte(0)
		if err != nil || e.w.Err() != nil {
			return e.w.Flush()
		}
	}
}
