package daemon_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestRawRules breaks the rules for peers, one at a time, after a handshake that
// is right, and holds that the daemon gives the reason (rsync-session 7,
// rsync-filelist 9).
func TestRawRules(t *testing.T) {
	t.Parallel()
	w, _ := besieged(t, "[hiding]\npath = DIR/mod\nread only = no\nexclude = hidden*\n")
	const regular, link, directory = 0o100644, 0o120777, 0o040755
	push := func(letters string, more ...string) string {
		words := append([]string{"--server", "-" + letters + "e.LsfxCIvu"}, more...)
		return hello + clientWords(append(words, ".", "mod/in/")...) + md5
	}
	pull := hello + clientWords("--server", "--sender", "-rlte.LsfxCIvu", ".", "mod/") + md5 + frame(0, "\x00\x00\x00\x00") // no rules
	const done, none = "\x00\x00", "\x00\x00\x00\x00"
	const transfer, sums = "\x00\xa0", none + none + none + none
	list := func(entries ...string) string { return frame(0, strings.Join(entries, "")+done) }
	// flagged is an entry of a list with further flags, and what they bring in
	// front of the mode.
	flagged := func(flags, name, more string, mode uint32) string {
		plain := listed(name, mode)
		return flags + plain[1:len(plain)-4] + more + plain[len(plain)-4:]
	}
	rows := []struct{ name, sent, want string }{
		// Values of options.
		{"a time that overflows", hello + clientWords("--server", "-te.LsfxCIvu", "--timeout=99999999999", ".", "mod/") + md5, "rsync error: "},
		{"a size that overflows", hello + clientWords("--server", "-te.LsfxCIvu", "--max-size=99999999999999999999", ".", "mod/") + md5, "rsync error: "},
		{"a block as large as memory", hello + clientWords("--server", "-te.LsfxCIvu", "-B4294967295", ".", "mod/") + md5, "rsync error: "},
		{"memory without bound", hello + clientWords("--server", "-te.LsfxCIvu", "--max-alloc=1", ".", "mod/") + md5, "rsync error: "},
		{"a list of files on a host", hello + clientWords("--server", "--sender", "-te.LsfxCIvu", "--files-from=host:list", ".", "mod/") + md5 + frame(0, none), "The --files-from sent to the server cannot specify a host."},
		// Lists.
		{"nanoseconds past a second", push("lrt") + list(flagged("\xa0\x18", "a", "\xf0\xff\xff\xff\x7f", regular)), "rsync error: "},
		{"a parent that is not listed", push("lrt") + list(listed("x/y", regular)), "rsync error: "},
		{"a file in a symlink", push("lrt") + list(listed("l", link)+"\x0a../outside", listed("l/x", regular)), "rsync error: "},
		{"a file in a file", push("lrt") + list(listed("f", regular), listed("f/x", regular)), "rsync error: "},
		{"dots within a name", push("lrt") + list(listed("a", directory), listed("a/../../b", regular)), "rsync error: "},
		{"a hidden name", hello[:len(hello)-4] + "hiding\n" + clientWords("--server", "-lrte.LsfxCIvu", ".", "hiding/") + md5 + list(listed("hidden", regular)), `daemon refused to receive file "hidden"`},
		{"access lists without end", push("lrtA") + list(listed("a", regular)+"\x00\x10\xff\xff\xff\x7f"), "rsync error: "},
		{"extended attributes without end", push("lrtX") + list(listed("a", regular)+"\x00\xff\xff\xff\x7f"), "rsync error: "},
		{"a second list of one directory", strings.Replace(push("lrt"), "e.L", "e.iL", 1) + list(listed("d", directory)) +
			frame(0, "\xff\x64"+listed("d/a", regular)+done) + frame(0, "\xff\xfe\x00\x00"+listed("d/b", regular)+done), "second list of directory 0"},
		{"a number of too many bytes", push("lrt") + frame(0, "\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "rsync error: "},
		// What is asked for.
		{"the data of a directory", pull + frame(0, "\x01"+transfer+sums), "no regular file"},
		{"blocks longer than any", pull + frame(0, "\x02"+transfer+"\x01\x00\x00\x00\x01\x00\x02\x00\x10\x00\x00\x00\x00\x00\x00\x00"), "rsync error: "},
		{"sums longer than digests", pull + frame(0, "\x02"+transfer+"\x01\x00\x00\x00\x00\x02\x00\x00\x41\x00\x00\x00\x00\x00\x00\x00"), "rsync error: "},
		{"a remainder longer than a block", pull + frame(0, "\x02"+transfer+"\x01\x00\x00\x00\x00\x02\x00\x00\x10\x00\x00\x00\x01\x02\x00\x00"), "rsync error: "},
		{"blocks of no length", pull + frame(0, "\x02"+transfer+"\x01\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00"), "rsync error: "},
		// What is answered.
		{"a basis of the client's choice", push("lrt") + list(listed("a", regular)) + frame(0, "\x01\x00\xb8\x83\x11../outside/secret"+sums+"\x00\x00\x00\x00"+sums), "invalid basis type"},
		{"an answer that is none", push("lrt") + list(listed("a", regular)) + frame(0, "\x7f"+transfer+sums), "rsync error: "},
		// Messages.
		{"a message about a file that is none", push("lrt") + list(listed("a", regular)) + frame(102, "\xff\xff\xff\x7f"), "rsync error: "},
		{"a message of the wrong size", push("lrt") + list(listed("a", regular)) + frame(102, "\x01"), "rsync error: "},
		{"an exit", push("lrt") + frame(86, "\x17\x00\x00\x00"), "@RSYNCD: OK"},
	}
	before := w.tree("outside")
	var wait sync.WaitGroup
	for _, r := range rows {
		wait.Go(func() {
			c, reader := w.dial()
			must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
			go func() { _, _ = io.WriteString(c, r.sent) }()
			heard, err := hear(reader, r.want)
			if err == nil {
				_ = c.(*net.TCPConn).CloseWrite() // only now: what it said was not about the end
				var rest []byte
				rest, err = io.ReadAll(reader)
				heard += string(rest)
			}
			if isTimeout(err) {
				t.Errorf("%s: the connection stays", r.name)
			}
			if !strings.Contains(heard, r.want) {
				t.Errorf("%s: heard %q", r.name, heard)
			}
			if strings.Contains(heard, "secret\n") {
				t.Errorf("%s: what is outside is told", r.name)
			}
		})
	}
	wait.Wait()
	w.stands()
	if after := w.tree("outside"); after != before {
		t.Errorf("outside of the module was\n%s\nand is\n%s", before, after)
	}
	if got := w.tree("mod"); strings.Contains(got, "hidden") {
		t.Errorf("a hidden name was made:\n%s", got)
	}
	if log := w.read("log"); strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
		t.Errorf("somebody panicked:\n%s", log)
	}
}

// hear reads until something was said, or to the end.
func hear(r io.Reader, want string) (heard string, err error) {
	buf := make([]byte, 4096)
	for !strings.Contains(heard, want) {
		n, err := r.Read(buf)
		heard += string(buf[:n])
		if err == io.EOF {
			return heard, nil
		}
		if err != nil {
			return heard, err
		}
	}
	return heard, nil
}
