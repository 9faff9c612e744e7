package session

import "testing"

func TestCharsetsOfSeveralBytes(t *testing.T) {
	for _, c := range []struct{ charset, name, bytes string }{
		{"EUC-JP", "日本", "\xc6\xfc\xcb\xdc"},
		{"Shift_JIS", "日本", "\x93\xfa\x96\x7b"},
		{"EUC-KR", "한국", "\xc7\xd1\xb1\xb9"},
		{"GBK", "中文", "\xd6\xd0\xce\xc4"},
		{"GB18030", "中文", "\xd6\xd0\xce\xc4"},
		{"GB2312", "中文", "\xd6\xd0\xce\xc4"},
		{"Big5", "中文", "\xa4\xa4\xa4\xe5"},
		{"CP950", "a/中", "a/\xa4\xa4"},
	} {
		set, ok := findCharset(c.charset)
		if !ok {
			t.Errorf("%s is not known", c.charset)
			continue
		}
		if got, err := set.fromWire([]byte(c.name)); err != nil || string(got) != c.bytes {
			t.Errorf("%s: %q is %q, %v, want %q", c.charset, c.name, got, err, c.bytes)
		}
		if got, err := set.toWire([]byte(c.bytes)); err != nil || string(got) != c.name {
			t.Errorf("%s: %q is %q, %v, want %q", c.charset, c.bytes, got, err, c.name)
		}
		if got, err := set.toWire([]byte("\xff\xff")); err == nil {
			t.Errorf("%s: bytes without a meaning are %q", c.charset, got)
		}
	}
	set, _ := findCharset("EUC-JP")
	if got, err := set.fromWire([]byte("😀")); err == nil {
		t.Errorf("a character that EUC-JP lacks is %q", got)
	}
}
