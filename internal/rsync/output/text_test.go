package output_test

import (
	"testing"

	"lockstep/internal/rsync/output"
)

func TestNamesAreEscapedAsRsyncDoes(t *testing.T) {
	for _, c := range []struct{ name, utf8, ascii, bytes string }{
		{"plain name", "plain name", "plain name", "plain name"},
		{"a\nb", `a\#012b`, `a\#012b`, `a\#012b`},
		{`c\#012d`, `c\#134#012d`, `c\#134#012d`, `c\#134#012d`},
		{"cr\rx", `cr\#015x`, `cr\#015x`, `cr\#015x`},
		{"t\tab", "t\tab", "t\tab", "t\tab"},
		{"c\u0085n", "c\u0085n", `c\#302\#205n`, "c\u0085n"},
		{"e\xff\u00e9\x7f", "e\\#377\u00e9\x7f", "e\\#377\\#303\\#251\x7f", "e\xff\u00e9\x7f"},
		{"w\u20acq\\#12\\#1234\\#08", "w\u20acq\\#12\\#134#1234\\#08", "w\\#342\\#202\\#254q\\#12\\#134#1234\\#08", "w\u20acq\\#12\\#134#1234\\#08"},
		{"u\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82", "u\\#300\\#200\\#355\\#240\\#200\xf4\x90\x80\x80\\#342\\#202",
			`u\#300\#200\#355\#240\#200\#364\#220\#200\#200\#342\#202`, "u\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82"},
		{"\xf8\x88\x80\x80\x80|\xfd\xbf\xbf\xbf\xbf\xbf|\xe0\x80\x80|\xfe", "\xf8\x88\x80\x80\x80|\xfd\xbf\xbf\xbf\xbf\xbf|\\#340\\#200\\#200|\\#376",
			`\#370\#210\#200\#200\#200|\#375\#277\#277\#277\#277\#277|\#340\#200\#200|\#376`, "\xf8\x88\x80\x80\x80|\xfd\xbf\xbf\xbf\xbf\xbf|\xe0\x80\x80|\xfe"},
		{`\#089 \#999 \#1\#123`, `\#134#089 \#134#999 \#1\#134#123`, `\#134#089 \#134#999 \#1\#134#123`, `\#134#089 \#134#999 \#1\#134#123`},
	} {
		for set, want := range map[output.Charset]string{output.UTF8: c.utf8, output.ASCII: c.ascii, output.Bytes: c.bytes} {
			if got := string(output.Escape(nil, c.name, set)); got != want {
				t.Errorf("%q in %d: got %q, want %q", c.name, set, got, want)
			}
		}
	}
}

// FuzzEscape holds that what is shown has no control bytes, and can be read
// back.
func FuzzEscape(f *testing.F) {
	f.Add("a\nb\\#012\xff\u00e9", uint8(0))
	f.Fuzz(func(t *testing.T, name string, set uint8) {
		shown := output.Escape(nil, name, output.Charset(set%3))
		var back []byte
		for i := 0; i < len(shown); i++ {
			c := shown[i]
			if c < ' ' && c != '\t' {
				t.Fatalf("%q is shown with a control byte: %q", name, shown)
			}
			if c == '\\' && len(shown) >= i+5 && shown[i+1] == '#' && digits(shown[i+2:i+5]) {
				c = (shown[i+2]-'0')<<6 | (shown[i+3]-'0')<<3 | (shown[i+4] - '0')
				i += 4
			}
			back = append(back, c)
		}
		if string(back) != name {
			t.Fatalf("%q is shown as %q, which is %q", name, shown, back)
		}
	})
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		n                      int64
		none, comma, unit, bin string
	}{
		{0, "0", "0", "0", "0"},
		{999, "999", "999", "999", "999"},
		{1000, "1000", "1,000", "1.00K", "1,000"},
		{1023, "1023", "1,023", "1.02K", "1,023"},
		{1024, "1024", "1,024", "1.02K", "1.00K"},
		{9995, "9995", "9,995", "9.99K", "9.76K"},
		{999999, "999999", "999,999", "1000.00K", "976.56K"},
		{1048575, "1048575", "1,048,575", "1.05M", "1024.00K"},
		{1073741824, "1073741824", "1,073,741,824", "1.07G", "1.00G"},
		{999999999999, "999999999999", "999,999,999,999", "1000.00G", "931.32G"},
		{1099511627775, "1099511627775", "1,099,511,627,775", "1.10T", "1024.00G"},
		{1 << 62, "4611686018427387904", "4,611,686,018,427,387,904", "4611.69P", "4096.00P"},
		{-1234567, "-1234567", "-1,234,567", "-1.23M", "-1.18M"},
	} {
		for level, want := range []string{c.none, c.comma, c.unit, c.bin, c.bin} {
			if got := output.Human(c.n, level); got != want {
				t.Errorf("%d at level %d: got %s, want %s", c.n, level, got, want)
			}
		}
	}
}

func TestExitLines(t *testing.T) {
	for code, want := range map[int]string{
		0:   "",
		1:   "rsync error: syntax or usage error (code 1) at lockstep(cli) [client=3.5.0-lockstep]",
		24:  "rsync warning: some files vanished before they could be transferred (code 24) at lockstep(cli) [client=3.5.0-lockstep]",
		25:  "rsync error: the --max-delete limit stopped deletions (code 25) at lockstep(cli) [client=3.5.0-lockstep]",
		255: "rsync error: unexplained error (code 255) at lockstep(cli) [client=3.5.0-lockstep]",
	} {
		if got := output.ExitLine(code, "lockstep(cli)", "client"); got != want {
			t.Errorf("code %d: got %q, want %q", code, got, want)
		}
	}
}
