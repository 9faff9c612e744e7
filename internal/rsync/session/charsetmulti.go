package session

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// multiByte are the charsets whose characters may take several bytes, by their
// plain names. Those with escape sequences make no names of files.
var multiByte = map[string]encoding.Encoding{
	"eucjp": japanese.EUCJP, "ujis": japanese.EUCJP,
	"shiftjis": japanese.ShiftJIS, "sjis": japanese.ShiftJIS, "mskanji": japanese.ShiftJIS, "cp932": japanese.ShiftJIS, "31j": japanese.ShiftJIS,
	"euckr": korean.EUCKR, "cp949": korean.EUCKR, "uhc": korean.EUCKR,
	"gb18030": simplifiedchinese.GB18030, "gbk": simplifiedchinese.GBK, "cp936": simplifiedchinese.GBK,
	"gb2312": simplifiedchinese.GBK, "euccn": simplifiedchinese.GBK,
	"big5": traditionalchinese.Big5, "cp950": traditionalchinese.Big5, "big5hkscs": traditionalchinese.Big5,
}

// replacement is what decoders put for bytes without a meaning.
var replacement = []byte(string(utf8.RuneError))

// decodeMulti is a name in UTF-8.
func decodeMulti(e encoding.Encoding, name []byte) ([]byte, error) {
	out, err := e.NewDecoder().Bytes(name)
	if err != nil || bytes.Contains(out, replacement) {
		return nil, errCharset
	}
	return out, nil
}

// encodeMulti is a name that is valid UTF-8 in another charset.
func encodeMulti(e encoding.Encoding, name []byte) ([]byte, error) {
	out, err := e.NewEncoder().Bytes(name)
	if err != nil {
		return nil, errCharset
	}
	return out, nil
}
