package wire_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"lockstep/internal/rsync/wire"
)

// message is one call of a Reader's callback.
type message struct {
	code    wire.Code
	payload string
}

// collect returns a callback that appends to list.
func collect(list *[]message) func(wire.Code, []byte) error {
	return func(c wire.Code, p []byte) error {
		*list = append(*list, message{c, string(p)})
		return nil
	}
}

func TestWriterFrames(t *testing.T) {
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	w.Int(32) // raw, pushed out by StartMux
	w.StartMux()
	w.Byte(1)
	w.Short(0xA000)
	if err := w.KeepAlive(); err != nil { // overtakes what is buffered
		t.Fatal(err)
	}
	if err := w.Message(wire.CodeErrorExit, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	w.Ndx(32, wire.NDXDone)
	if w.Buffered() != 1 {
		t.Errorf("buffered %d bytes, want 1", w.Buffered())
	}
	if err := errors.Join(w.Flush(), w.Flush()); err != nil {
		t.Fatal(err)
	}
	want := unhex(t, "20 00 00 00  00 00 00 07  00 00 00 5D  03 00 00 07 01 00 A0  01 00 00 07 00")
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("wrote % X, want % X", out.Bytes(), want)
	}
	if w.Count() != int64(len(want)) {
		t.Errorf("count %d, want %d", w.Count(), len(want))
	}
}

// vectors is a destination that takes several pieces at once.
type vectors struct {
	bytes.Buffer
	calls int
}

func (v *vectors) WriteVector(pieces [][]byte) error {
	v.calls++
	for _, p := range pieces {
		v.Write(p)
	}
	return nil
}

func TestLargeWrites(t *testing.T) {
	payload := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	for _, mux := range []bool{false, true} {
		plain, vector := new(bytes.Buffer), new(vectors)
		for _, dst := range []io.Writer{plain, vector} {
			w := wire.NewWriter(dst)
			if mux {
				w.StartMux()
			}
			w.Int(7)
			if n, err := w.Write(payload); n != len(payload) || err != nil {
				t.Fatal(n, err)
			}
			w.Int(8)
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if vector.calls != 1 {
			t.Errorf("mux %v: %d vectors, want 1", mux, vector.calls)
		}
		for _, src := range []*bytes.Buffer{plain, &vector.Buffer} {
			r := wire.NewReader(src)
			if mux {
				r.StartMux(nil)
			}
			got := make([]byte, len(payload))
			first, err1 := r.Int()
			err2 := r.ReadFull(got)
			second, err3 := r.Int()
			if err := errors.Join(err1, err2, err3); err != nil {
				t.Fatal(err)
			}
			if first != 7 || second != 8 || !bytes.Equal(got, payload) {
				t.Errorf("mux %v: another stream came out", mux)
			}
		}
	}
}

func TestWriterRefusesBadMessages(t *testing.T) {
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	if err := w.Message(wire.CodeInfo, []byte("x")); !errors.Is(err, wire.ErrRaw) {
		t.Errorf("message on a raw stream: %v", err)
	}
	if err := w.KeepAlive(); err != nil {
		t.Errorf("keep-alive on a raw stream: %v", err)
	}
	w.StartMux()
	if err := w.Message(wire.CodeRedo, make([]byte, 4)); !errors.Is(err, wire.ErrStream) {
		t.Errorf("internal message: %v", err)
	}
	if err := w.Message(wire.CodeIOError, nil); !errors.Is(err, wire.ErrStream) {
		t.Errorf("IO_ERROR without flags: %v", err)
	}
	if err := w.VString(strings.Repeat("x", wire.VStringMax+1)); err == nil {
		t.Error("a string beyond the limit was written")
	}
	if err := w.Flush(); err != nil || out.Len() != 0 {
		t.Errorf("%d bytes and %v after refusals", out.Len(), err)
	}
}

// failing fails every write.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestWriterErrorsStick(t *testing.T) {
	broken := errors.New("broken")
	w := wire.NewWriter(failing{broken})
	w.Byte(1)
	if err := w.Flush(); err != broken {
		t.Errorf("flush: %v", err)
	}
	w.Write(make([]byte, 200000))
	if err := errors.Join(w.Flush(), w.Err()); !errors.Is(err, broken) {
		t.Errorf("later: %v", err)
	}
	if w.Count() != 0 {
		t.Errorf("count %d", w.Count())
	}
}

func TestReaderDemultiplexes(t *testing.T) {
	// A data value cut by frames, an empty frame and messages.
	stream := unhex(t, "02 00 00 07 0102  00 00 00 07  03 00 00 0A 6F6F70  04 00 00 28 4D000000"+
		"02 00 00 07 0304  02 00 00 6C 7A7A  00 00 00 5D  01 00 00 07 05")
	for name, src := range map[string]io.Reader{
		"in one piece":   bytes.NewReader(stream),
		"byte by byte":   iotest.OneByteReader(bytes.NewReader(stream)),
		"data with EOF":  iotest.DataErrReader(bytes.NewReader(stream)),
		"in half pieces": iotest.HalfReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			var got []message
			r := wire.NewReader(src)
			r.StartMux(collect(&got))
			v, err := r.Int()
			if err != nil || v != 0x04030201 {
				t.Fatalf("read %#x, %v", v, err)
			}
			if len(got) != 2 || got[0] != (message{wire.CodeError, "oop"}) || got[1] != (message{wire.CodeIOTimeout, "M\x00\x00\x00"}) {
				t.Errorf("messages %v", got)
			}
			if b, err := r.Byte(); err != nil || b != 5 {
				t.Errorf("read %d, %v", b, err)
			}
			if len(got) != 4 || got[2] != (message{wire.CodeDeleted, "zz"}) || got[3] != (message{wire.CodeErrorExit, ""}) {
				t.Errorf("messages %v", got)
			}
			if _, err := r.Byte(); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
			if r.Count() != int64(len(stream)) {
				t.Errorf("count %d, want %d", r.Count(), len(stream))
			}
		})
	}
}

func TestBadFrames(t *testing.T) {
	rows := []struct {
		name, hex string
		want      error
	}{
		{"a tag below the base", "00 00 00 06", wire.ErrStream},
		{"an unknown code", "00 00 00 20", wire.ErrStream},
		{"the highest tag", "00 00 00 FF", wire.ErrStream},
		{"an internal code", "04 00 00 10 00 00 00 00", wire.ErrStream},
		{"a text of 5120 bytes", "00 14 00 09", wire.ErrStream},
		{"a timeout of three bytes", "03 00 00 28 00 00 00", wire.ErrStream},
		{"an exit code of one byte", "01 00 00 5D 00", wire.ErrStream},
		{"a no-op with payload", "01 00 00 31 00", wire.ErrStream},
		{"a header cut short", "01 00 00", io.ErrUnexpectedEOF},
		{"a message cut short", "05 00 00 09 61", io.ErrUnexpectedEOF},
		{"a message without payload", "05 00 00 09", io.ErrUnexpectedEOF},
		{"data cut short", "05 00 00 07", io.ErrUnexpectedEOF},
		{"nothing", "", io.EOF},
		{"only a keep-alive", "00 00 00 07", io.EOF},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := wire.NewReader(bytes.NewReader(unhex(t, row.hex)))
			r.StartMux(collect(new([]message)))
			if _, err := r.Byte(); !errors.Is(err, row.want) {
				t.Errorf("error %v, want %v", err, row.want)
			}
		})
	}
}

func TestLongestText(t *testing.T) {
	text := strings.Repeat("x", 5119)
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	w.StartMux()
	if err := w.Message(wire.CodeWarning, []byte(text)); err != nil {
		t.Fatal(err)
	}
	var got []message
	r := wire.NewReader(&out)
	r.StartMux(collect(&got))
	if err := r.Wait(); err != io.EOF {
		t.Errorf("wait: %v", err)
	}
	if len(got) != 1 || got[0].payload != text {
		t.Errorf("%d messages", len(got))
	}
}

func TestCallbackErrorEndsTheStream(t *testing.T) {
	stop := errors.New("stop")
	r := wire.NewReader(bytes.NewReader(unhex(t, "00 00 00 5D 01 00 00 07 01")))
	r.StartMux(func(wire.Code, []byte) error { return stop })
	for range 2 {
		if _, err := r.Byte(); err != stop {
			t.Errorf("error %v", err)
		}
	}
}

// script is a source that returns its steps one by one.
type script []any

func (s *script) Read(p []byte) (int, error) {
	if len(*s) == 0 {
		return 0, io.EOF
	}
	step := (*s)[0]
	*s = (*s)[1:]
	if err, ok := step.(error); ok {
		return 0, err
	}
	return copy(p, step.([]byte)), nil
}

func TestInterruptedWaitGoesOn(t *testing.T) {
	src := &script{[]byte{2, 0}, wire.ErrInterrupted, []byte{0, 7}, wire.ErrInterrupted, []byte{8, 9}}
	r := wire.NewReader(src)
	r.StartMux(collect(new([]message)))
	for range 2 {
		if err := r.Wait(); err != wire.ErrInterrupted {
			t.Fatalf("wait: %v", err)
		}
	}
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Short(); err != nil || v != 0x0908 {
		t.Errorf("read %#x, %v", v, err)
	}
}

func TestOnWaitRunsBeforeTheSourceIsAsked(t *testing.T) {
	src := &script{[]byte{1, 2}, []byte{3}}
	r := wire.NewReader(src)
	calls := 0
	r.OnWait(func() error { calls++; return nil })
	for i, want := range []int{1, 1, 2} {
		if _, err := r.Byte(); err != nil || calls != want {
			t.Errorf("byte %d: %d calls, %v; want %d", i, calls, err, want)
		}
	}
	broken := errors.New("broken")
	r.OnWait(func() error { return broken })
	if _, err := r.Byte(); err != broken {
		t.Errorf("error %v", err)
	}
}

func TestBrokenSource(t *testing.T) {
	r := wire.NewReader(iotest.ErrReader(nil)) // no bytes, no error, for ever
	if _, err := r.Byte(); err != io.ErrNoProgress {
		t.Errorf("error %v", err)
	}
}

// Keep-alives and messages come from other goroutines than the data.
func TestConcurrentKeepAlives(t *testing.T) {
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	w.StartMux()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if err := w.KeepAlive(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 1000 {
		w.Int(int32(i))
		if i%7 == 0 {
			w.Flush()
		}
	}
	wg.Wait()
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	r := wire.NewReader(&out)
	r.StartMux(nil)
	for i := range 1000 {
		if v, err := r.Int(); err != nil || v != int32(i) {
			t.Fatalf("value %d is %d, %v", i, v, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, row := range [][2]string{
		{wire.CodeIOTimeout.String(), "IO_TIMEOUT"},
		{wire.Code(200).String(), "Code(200)"},
		{(wire.IncRecurse | wire.ID0Names).String(), "INC_RECURSE|ID0_NAMES"},
	} {
		if row[0] != row[1] {
			t.Errorf("%q, want %q", row[0], row[1])
		}
	}
	if all := wire.Compat(0x1FF); !all.Has(wire.ID0Names|wire.VarintFlistFlags) || wire.Compat(0x1FE).Has(wire.IncRecurse) {
		t.Error("the flags have other bits than the specification says")
	}
	if wire.CodeDeleted.IsText() || !wire.CodeErrorXfer.IsText() || !wire.CodeWarning.IsText() || wire.CodeData.IsText() {
		t.Error("IsText")
	}
}

// Queued messages go out before what is written next, in one piece and in order.
func TestQueuedMessagesKeepTheirOrder(t *testing.T) {
	var out pieces
	w := wire.NewWriter(&out)
	w.StartMux()
	for _, name := range []string{"a", "b"} {
		if err := w.Queue(wire.CodeDeleted, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if len(out) != 0 || !w.Waiting() {
		t.Fatalf("%q was written at once", out)
	}
	if err := w.Message(wire.CodeInfo, []byte("c\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Queue(wire.CodeDeleted, []byte("d")); err != nil {
		t.Fatal(err)
	}
	w.Byte('x')
	if err := w.Flush(); err != nil || w.Waiting() {
		t.Fatal(err)
	}
	deleted := func(name string) string { return "\x01\x00\x00\x6c" + name }
	want := pieces{deleted("a") + deleted("b"), "\x02\x00\x00\x09c\n", deleted("d"), "\x01\x00\x00\x07x"}
	if !slices.Equal(out, want) {
		t.Errorf("%q\nwant %q", out, want)
	}
	for range 1000 {
		if err := w.Queue(wire.CodeDeleted, []byte("a longer name")); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(out) - len(want); n < 2 || n > 10 {
		t.Errorf("1,000 messages were %d writes", n)
	}
	raw := wire.NewWriter(&out)
	if err := raw.Queue(wire.CodeDeleted, []byte("a")); err != wire.ErrRaw {
		t.Error(err)
	}
}

// pieces are what was written, by call.
type pieces []string

func (p *pieces) Write(b []byte) (int, error) {
	*p = append(*p, string(b))
	return len(b), nil
}
