package sender

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/checksum"
	"lockstep/internal/rsync/compress"
	"lockstep/internal/rsync/delta"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/option"
	"lockstep/internal/rsync/wire"
)

// Pacing of incremental lists (part 2, 2.4), in entries beyond the list that
// the peer works on. These numbers are not protocol.
const (
	aheadMin  = 1000  // while there are requests to answer
	aheadIdle = 10000 // while there are none
)

// lastWords is how long a run whose writes fail goes on reading: a peer says
// why before it closes the connection.
const lastWords = 2 * time.Second

// run is what main owns.
type run struct {
	ctx    context.Context
	w      *wire.Writer
	params *Params
	job    *Job
	state  state

	lists   *lister
	current int // entries of the lists up to the one the peer works on
	checked int // entries that the peer has gone past

	reader       *reader
	startReading func()

	loader *loader
	window []*request // taken off the queue
	begun  int        // of them: seen to by the loaders
	loads  int        // files that the loaders have opened or are about to
	help   int        // files for which the loaders are still wanted
	own    *loadWorker

	bulk       *wire.Writer // for the data of files: w, or Params.Only
	tally      *tally       // of it
	encoder    compress.Encoder
	search     delta.Searcher
	found      delta.Result // hits and alarms of all files
	blocksSent int
	blocks     *checksum.Blocks
	hash       *checksum.Hash
	nothing    delta.Sums // of no basis
	sending    int64      // bytes of the file under way
	answered   int32      // the index of the last header that was sent

	voice    *voice
	remover  remover
	failed   map[tree.Path]struct{} // relative to Root: not delivered so far
	ioError  int32                  // of the files; the lists have their own
	result   Result
	progress meter
}

// Run sends what job says to the peer and sees the session through to its
// goodbye. r and w are past the handshake, with multiplexing on where the
// protocol has it, and w past the filter list. The Result is valid, as far as
// it goes, with an error too. Errors wrap ErrProtocol, wire.ErrStream, io.EOF
// in its two forms, or the cause of ctx's end.
func Run(ctx context.Context, r *wire.Reader, w *wire.Writer, params Params, job Job) (Result, error) {
	if err := params.validate(&job); err != nil {
		return Result{}, err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	m, err := newRun(inner, r, w, &params, &job)
	if err != nil {
		return Result{}, err
	}
	var reading sync.WaitGroup
	m.startReading = sync.OnceFunc(func() { reading.Go(func() { m.reader.run(inner) }) })
	if job.Sources == nil || job.Sources.Names == nil {
		m.startReading()
	}
	if params.Interrupt != nil {
		defer context.AfterFunc(ctx, params.Interrupt)()
	}
	err = m.do()
	m.startReading()
	cancel()
	m.close()
	m.endReading(&reading)
	if m.state < closing {
		m.count()
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	var said *Error
	if err != nil && !errors.As(err, &said) {
		err = fmt.Errorf("sender %s: %w", m.state, err)
	}
	return m.result, err
}

// endReading ends the reader goroutine. Of a run that went well it has ended by
// itself.
func (m *run) endReading(reading *sync.WaitGroup) {
	switch {
	case m.state == finished && !m.result.Empty:
	case m.params.Interrupt == nil:
		return
	default:
		if m.w.Err() != nil {
			select {
			case <-m.reader.ended:
			case <-time.After(lastWords):
			}
		}
		m.params.Interrupt()
	}
	reading.Wait()
}

func newRun(ctx context.Context, r *wire.Reader, w *wire.Writer, p *Params, job *Job) (*run, error) {
	src := newSource(ctx, job, p)
	enc, err := flist.NewEncoder(w, p.listOptions(src.anyXattr), p.Names)
	if err != nil {
		return nil, err
	}
	m := &run{
		ctx: ctx, w: w, bulk: w, params: p, job: job, voice: newVoice(p),
		reader: newReader(r, p), own: newLoadWorker(src), answered: -1,
		blocks: p.Xfer.Blocks(p.Seed, p.Compat.Has(wire.ChecksumSeedFix)),
		hash:   p.Xfer.New(p.Seed),
		failed: make(map[tree.Path]struct{}),
	}
	if p.Only != nil {
		m.bulk = p.Only
	}
	m.tally = &tally{w: m.bulk}
	m.encoder, err = compress.New(m.tally, compress.Options{Method: p.Compress, Level: p.Level, Protocol: p.Protocol})
	if err != nil {
		return nil, err
	}
	m.loader = newLoader(src)
	m.lists = &lister{src: src, enc: enc, scan: newScanner(src), await: m.await, voice: m.voice, onFault: m.unlisted}
	return m, nil
}

// unlisted notes that a path of the list could not be sent, or not completely.
func (m *run) unlisted(p tree.Path, err error) {
	if m.lists.src.careful {
		m.fail(m.lists.src.full(p), err)
		return
	}
	m.lists.ioError |= m.voice.unlisted(p, string(p), err)
}

// close ends the goroutines that work on files.
func (m *run) close() {
	m.lists.scan.close()
	m.loader.close()
	m.own.leave()
	m.remover.leave()
	m.lists.drop()
	m.lists.src.held.close()
	m.encoder.Close()
	for _, q := range m.window {
		if q.load != nil {
			q.load.release()
		}
	}
	m.window = nil
	for p := range m.failed {
		m.result.Missing = append(m.result.Missing, p)
	}
	slices.Sort(m.result.Missing)
	m.result.Files, m.result.TotalSize, m.result.Counts = m.lists.entries, m.lists.size, m.lists.counts
	m.result.IOError |= int(m.lists.ioError | m.ioError)
	m.report(true)
}

// do is main.
func (m *run) do() error {
	if err := m.list(); err != nil {
		return err
	}
	if m.params.Server && m.job.Sources != nil && m.lists.entries == 0 && m.lists.eof { // part 2, 2.6
		m.result.Empty = true
		m.change(finished)
		return m.w.Flush()
	}
	m.voice.debug(option.DebugFlist, option.DebugListed, "send_file_list done")
	m.voice.debug(option.DebugSend, 1, "send_files starting")
	m.change(transferring)
	for m.state != finished {
		q, err := m.next()
		if err != nil {
			return err
		}
		err = m.handle(q)
		m.reader.drop(q)
		if err != nil {
			return err
		}
		m.report(false)
		if stop := m.params.Opt.StopAt; !stop.IsZero() && !time.Now().Before(stop) {
			return &Error{Code: exitLimit, Text: "stopping at requested limit"}
		}
	}
	return m.w.Flush()
}

// change is the only place where the state changes.
func (m *run) change(to state) { m.state = to }

// list sends the only list, or the first one.
func (m *run) list() error {
	var err error
	begin, written := time.Now(), m.w.Count()
	switch {
	case m.job.Sources != nil:
		err = m.lists.sources()
	case m.job.List != nil:
		err = m.lists.explicit()
	case m.params.Compat.Has(wire.IncRecurse):
		err = m.lists.first()
	default:
		err = m.lists.whole()
	}
	if err != nil {
		return err
	}
	m.current = m.lists.open[0].total
	m.result.ListBuild = max(time.Since(begin), time.Millisecond)
	if m.lists.eof {
		m.result.ListSize = m.w.Count() - written // without what is not sent yet, as rsync counts
	}
	m.announceEnd()
	m.startReading()
	if m.lists.open[0].Len() == 1 { // the peer waits for a second one (2.4)
		if err := m.extend(1); err != nil {
			return err
		}
	}
	return m.w.Flush()
}

// announceEnd tells the reader, before the peer can know that all lists are
// there, how many DONEs there will be.
func (m *run) announceEnd() {
	if m.lists.eof {
		m.reader.last.Store(int64(m.lists.sent - 1 + lastDones(m.params.Protocol)))
		m.report(true)
	}
}

// extend sends lists until the peer has some number of entries before it,
// waiting for directories to be read.
func (m *run) extend(entries int) error {
	for !m.lists.eof && m.lists.entries-m.current < entries {
		d := m.lists.peek()
		if err := m.await(d.done); err != nil {
			return err
		}
		if err := m.sendList(d); err != nil {
			return err
		}
	}
	return nil
}

// sendReady sends lists like extend, as far as directories have been read.
func (m *run) sendReady(entries int) error {
	for !m.lists.eof && m.lists.entries-m.current < entries {
		d := m.lists.peek()
		select {
		case <-d.done:
			if err := m.sendList(d); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

func (m *run) sendList(d *scan) error {
	err := m.lists.sublist(d)
	m.announceEnd()
	return err
}

// next is the request whose turn it is. While there is none, lists go out.
func (m *run) next() (*request, error) {
	for {
		if err := m.sendReady(aheadMin); err != nil {
			return nil, err
		}
		m.fill()
		if len(m.window) > 0 {
			return m.pop(), nil
		}
		if err := m.sendReady(aheadMin); err != nil {
			return nil, err
		}
		if err := m.w.Flush(); err != nil {
			return nil, err
		}
		if err := m.idle(); err != nil {
			return nil, err
		}
	}
}

// idle waits for a request or for a directory that may be listed.
func (m *run) idle() error {
	var listed chan struct{}
	var d *scan
	if !m.lists.eof && m.lists.entries-m.current < aheadIdle {
		d = m.lists.peek()
		listed = d.done
	}
	select {
	case batch, ok := <-m.reader.queue:
		if !ok {
			return m.streamEnd()
		}
		m.window = append(m.window, batch...)
	case <-listed:
		return m.sendList(d)
	case <-m.ctx.Done():
		return m.ctx.Err()
	}
	return nil
}

// await waits for something that is being read from disk. Flushing comes
// first: the wait may be long, and the peer can work on what it has, unless that
// is a part of its first list.
func (m *run) await(ready <-chan struct{}) error {
	m.report(false)
	select {
	case <-ready:
		return nil
	default:
	}
	if m.state != listing {
		if err := m.w.Flush(); err != nil {
			return err
		}
	}
	select {
	case <-ready:
		return nil
	case <-m.reader.ended:
		return m.streamEnd()
	case <-m.ctx.Done():
		return m.ctx.Err()
	}
}

// streamEnd is the error of a stream that ended before its goodbye. What we
// failed to write says more than what was not there to read.
func (m *run) streamEnd() error {
	err := m.reader.err
	switch {
	case errors.Is(m.reader.err, ErrProtocol):
	case m.w.Err() != nil:
		err = m.w.Err()
	case m.reader.err == io.EOF || m.reader.err == nil:
		err = io.ErrUnexpectedEOF
	}
	return err
}

// missed notes that a file of the mirror was not delivered. The peer makes the
// other names of one that is gone or changes from what did not arrive, so they
// are told as changed, too.
func (m *run) missed(ndx int32, o *openList, err error) {
	m.fail(m.lists.src.onDisk(o.Path(ndx)), err)
	inode := o.inode(ndx)
	if inode == (tree.Inode{}) || m.job.OnError == nil || ioErrorOf(err) != IOErrorVanished {
		return
	}
	for other := o.Start(); o.Contains(other); other++ {
		if other == ndx || o.inode(other) != inode {
			continue
		}
		why := ErrChanged
		if errors.Is(err, ErrWriting) {
			why = ErrWriting
		}
		m.job.OnError(m.lists.src.onDisk(o.Path(other)), why)
	}
}

// fail notes that a path, relative to Root, was not delivered.
func (m *run) fail(p tree.Path, err error) {
	m.failed[p] = struct{}{}
	m.result.IOError |= ioErrorOf(err)
	if m.job.OnError != nil {
		m.job.OnError(p, err)
	}
}
