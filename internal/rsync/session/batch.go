package session

import (
	"bufio"
	"encoding/binary"
	"os"
	"path/filepath"

	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/wire"
)

// A batch file (rsync-transfer 6) begins with
//
//	stream flags:int protocol:int [compatibility flags:varint] seed:int
//
// and goes on with what a receiving side reads of a session, without frames and
// messages: lists, echoes, data, the last DONE, statistics, and the DONEs after
// them.

// batchFlag is a bit of the stream flags: an option that shapes the stream.
type batchFlag struct {
	name string // as rsync calls it
	from int    // the first protocol whose readers look at it
	get  func(s *option.Set) bool
	set  func(s *option.Set, on bool)
}

// flagOf makes a batchFlag of an option that is on or off.
func flagOf(name string, from int, field func(s *option.Set) *bool) batchFlag {
	return batchFlag{name, from,
		func(s *option.Set) bool { return *field(s) },
		func(s *option.Set, on bool) { *field(s) = on }}
}

// batchFlags are the flags, from bit 0 up.
var batchFlags = []batchFlag{
	flagOf("--recurse (-r)", 0, func(s *option.Set) *bool { return &s.Recurse }),
	flagOf("--owner (-o)", 0, func(s *option.Set) *bool { return &s.Owner }),
	flagOf("--group (-g)", 0, func(s *option.Set) *bool { return &s.Group }),
	flagOf("--links (-l)", 0, func(s *option.Set) *bool { return &s.Links }),
	flagOf("--devices (-D)", 0, func(s *option.Set) *bool { return &s.Devices }),
	flagOf("--hard-links (-H)", 0, func(s *option.Set) *bool { return &s.HardLinks }),
	flagOf("--checksum (-c)", 0, func(s *option.Set) *bool { return &s.Checksum }),
	flagOf("--dirs (-d)", 29, func(s *option.Set) *bool { return &s.Dirs }),
	flagOf("--compress (-z)", 29, func(s *option.Set) *bool { return &s.Compress }),
	{"--iconv", 30, func(s *option.Set) bool { return s.Iconv != "" }, nil},
	flagOf("--acls (-A)", 30, func(s *option.Set) *bool { return &s.ACLs }),
	{"--xattrs (-X)", 30, func(s *option.Set) bool { return s.Xattrs > 0 }, func(s *option.Set, on bool) { s.Xattrs = boolInt(on) }},
	flagOf("--inplace", 30, func(s *option.Set) *bool { return &s.Inplace }),
	{"--append", 30, func(s *option.Set) bool { return s.Append == 1 }, func(s *option.Set, on bool) { setAppend(s, on, 1) }},
	{"--append-verify", 30, func(s *option.Set) bool { return s.Append == 2 }, func(s *option.Set, on bool) { setAppend(s, on, 2) }},
}

func setAppend(s *option.Set, on bool, how int) {
	switch {
	case on:
		s.Append = how
	case s.Append == how:
		s.Append = 0
	}
}

// streamFlags are the flags of a command line.
func streamFlags(s *option.Set) uint32 {
	var bits uint32
	for i, f := range batchFlags {
		if f.get(s) {
			bits |= 1 << i
		}
	}
	return bits
}

// batchWriter records a session.
type batchWriter struct {
	file   *os.File
	script *os.File
	data   *recorder
}

// recorder is where the stream goes; the first error stays.
type recorder struct {
	buf *bufio.Writer
	err error
}

func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.buf.Write(p)
	if r.err == nil {
		r.err = err
	}
	return n, err
}

// createBatch creates the files of --write-batch or --only-write-batch, nil
// without either, and in a dry run.
func (r *errand) createBatch() (*batchWriter, error) {
	name := batchName(r.Opt)
	if name == "" || r.Opt.DryRun {
		return nil, nil
	}
	b := &batchWriter{}
	var err error
	if b.script, err = r.createFile(name+".sh", 0o700); err != nil {
		return nil, err
	}
	if b.file, err = r.createFile(name, 0o600); err != nil {
		b.script.Close()
		return nil, err
	}
	b.data = &recorder{buf: bufio.NewWriterSize(b.file, 256<<10)}
	return b, nil
}

func batchName(s *option.Set) string {
	if s.OnlyWriteBatch != "" {
		return s.OnlyWriteBatch
	}
	return s.WriteBatch
}

func (r *errand) createFile(name string, mode uint32) (*os.File, error) {
	f, err := walk.Operator{Insecure: r.Opt.InsecureLinks}.Open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return nil, fatalf(ExitSelect, "%srsync: [%s] Batch file \"%s\" open error: %s", untrusted(err), r.role, absolute(name), output.Strerror(err))
	}
	return f, nil
}

// absolute is a name as messages show it: complete, and else as it was given.
func absolute(name string) string {
	if wd, err := os.Getwd(); err == nil && !filepath.IsAbs(name) {
		return wd + "/" + name
	}
	return name
}

// begin writes the header, and from then on what e sends or receives is
// recorded.
func (b *batchWriter) begin(e *end) {
	if b == nil {
		return
	}
	w := wire.NewWriter(b.data)
	w.Int(int32(streamFlags(e.opt)))
	w.Int(int32(e.protocol))
	if e.protocol >= capsProtocol {
		w.Varint(int32(e.compat))
	}
	w.Int(e.seed)
	w.Flush()
	if e.sends() {
		e.w.Tee(b.data)
	} else {
		e.r.Tee(b.data)
	}
}

// only is where the data of files goes with --only-write-batch; nil without.
func (b *batchWriter) only(opt *option.Set) *wire.Writer {
	if b == nil || opt.OnlyWriteBatch == "" {
		return nil
	}
	return wire.NewWriter(b.data)
}

// close ends the recording.
func (b *batchWriter) close() error {
	if b == nil {
		return nil
	}
	err := b.data.err
	for _, end := range []func() error{b.data.buf.Flush, b.file.Close, b.script.Close} {
		if e := end(); err == nil {
			err = e
		}
	}
	if err != nil {
		return fatalf(ExitFile, "rsync: batch file \"%s\" write error: %s", absolute(b.file.Name()), output.Strerror(err))
	}
	return nil
}

// batchHeader is what a batch file says of its session.
type batchHeader struct {
	flags    uint32
	protocol int
	compat   wire.Compat
	seed     int32
}

// readBatchHeader reads the beginning of a batch file; own is the highest
// protocol that we speak.
func readBatchHeader(r *wire.Reader, own int) (h batchHeader, err error) {
	var flags [8]byte
	if err := r.ReadFull(flags[:]); err != nil {
		return h, err
	}
	h.flags = binary.LittleEndian.Uint32(flags[:])
	protocol := int32(binary.LittleEndian.Uint32(flags[4:]))
	switch {
	case int(protocol) > own:
		return h, fatalf(ExitProtocol, "The protocol version in the batch file is too new (%d > %d).", protocol, own)
	case protocol < MinProtocol:
		return h, fatalf(ExitProtocol, "The protocol version in the batch file is too old (%d < %d).", protocol, MinProtocol)
	}
	h.protocol = int(protocol)
	if h.protocol >= capsProtocol {
		compat, err := r.Varint()
		if err != nil {
			return h, err
		}
		h.compat = wire.Compat(compat)
	}
	h.seed, err = r.Int()
	return h, err
}
