package session

import (
	"cmp"
	"context"
	"io"
	"os"

	"lockstep/internal/fs/walk"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/output"
	"lockstep/internal/rsync/receiver"
	"lockstep/internal/rsync/wire"
)

// batch applies a batch file: our half receives, and the file is the other one.
func (r *errand) batch(ctx context.Context) (*output.Stats, error) {
	r.role = "Receiver"
	file, err := r.openBatch()
	if err != nil {
		return nil, r.refuse(err)
	}
	defer file.Close()
	stop := context.AfterFunc(ctx, func() { file.Close() })
	defer stop()
	e := &end{link: fileLink{file}, role: r.role, reading: receiver.NewBatch()}
	e.r, e.w = wire.NewReader(file), wire.NewWriter(io.Discard)
	r.fill(e)
	var stats *output.Stats
	if e.opt, err = r.settleBatch(e); err == nil {
		stats, err = e.run(ctx, []string{r.ops.Dest})
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r.finish(e, stats, err, 0)
}

// openBatch opens the file of --read-batch.
func (r *errand) openBatch() (io.ReadCloser, error) {
	name := r.Opt.ReadBatch
	if name == "-" {
		return r.op.open(name)
	}
	f, err := walk.Operator{Insecure: r.Opt.InsecureLinks}.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, fatalf(ExitFile, "%srsync: [%s] Batch file \"%s\" open error: %s", untrusted(err), r.role, absolute(name), output.Strerror(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && info.Mode().Type() != os.ModeNamedPipe {
		err = fatalf(ExitFile, "Batch file \"%s\" is neither a regular file nor a FIFO", absolute(name))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// settleBatch reads the header of the batch and makes the options fit it.
func (r *errand) settleBatch(e *end) (*option.Set, error) {
	h, err := readBatchHeader(e.r, cmp.Or(r.Opt.Protocol, MaxProtocol))
	if err != nil {
		return r.Opt, err
	}
	opt := *r.Opt
	for i, f := range batchFlags {
		want, have := h.flags&(1<<i) != 0, f.get(&opt)
		switch {
		case want == have || h.protocol < f.from:
		case f.set == nil && want:
			return &opt, fatalf(ExitSyntax, "Please specify the %s option to use this batch file.", f.name)
		case f.set == nil:
			return &opt, fatalf(ExitSyntax, "Do not specify the %s option to use this batch file.", f.name)
		default:
			f.set(&opt, want)
			if opt.Info[option.InfoMisc] > 0 {
				verb := map[bool]string{true: "Setting", false: "Clearing"}[want]
				r.talk.Text(wire.CodeInfo, verb+" the "+f.name+" option to match the batchfile.")
			}
		}
	}
	if h.compat.Has(wire.IncRecurse) && !r.Opt.AllowIncRecurse(true) {
		return &opt, fatalf(ExitSyntax, "Incompatible options specified for inc-recursive batch file.")
	}
	a := agreement{protocol: h.protocol, compat: h.compat, seed: h.seed}
	known := false
	if a.xfer, a.file, known, err = chosenSums(opt.ChecksumChoice); err != nil {
		return &opt, err
	}
	if !known {
		a.xfer, a.file = checksum.Default(h.protocol)
	}
	if a.compress, known, err = chosenMethod(&opt); err != nil {
		return &opt, err
	}
	if !known {
		a.compress = compress.Zlib
	}
	e.agreement = a
	return settle(&opt, &a), nil
}

// fileLink is a batch file in place of a connection.
type fileLink struct{ file io.Closer }

func (l fileLink) interrupt() { l.file.Close() }
func (l fileLink) resume()    {}
func (l fileLink) end(error)  { l.file.Close() }
