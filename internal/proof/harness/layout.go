package harness

import (
	"fmt"
	"hash/crc32"
	"path"
	"strconv"
	"strings"
)

// A layout describes a small tree as text, one object on each line:
//
//	src/a.txt 100                  a file of 100 bytes
//	src/d/ mode=0700 t=1500000000  a directory
//	src/big 64k#1+"edit"+64k#2     pieces: made-up bytes with a number for what they are, text
//	src/sparse z1m+100             zeros that are holes, then 100 bytes
//	src/l -> a.txt                 a symlink
//	src/h = src/a.txt              another name of a file
//	src/p fifo                     also socket, char=1:3, block=7:1
//
// Names that need it are quoted as in Go. More words are mode=, t= and at=
// (seconds and nanoseconds since 1970), uid=, gid=, acl= and dacl= as setfacl
// takes them, and extended attributes as user.NAME=VALUE. Directories that are
// not named are made with mode 0755. Everything has one fixed time unless it
// says otherwise, so that equal lines make equal objects. Files without a
// number for their bytes hold the same ones under the same name below the
// first directory: src/a and dst/a are equal, src/a and src/b are not.
//
// Lines that begin with "# " and empty lines say nothing.
type layoutObject struct {
	name   string // relative to the world, without a slash at its end
	kind   byte   // 'f', 'd', 'l', 'h', 'p', 's', 'c', 'b'
	target string // of a symlink or hard link
	pieces []piece
	mode   uint32
	mtime  string // "seconds" or "seconds.nanoseconds"
	atime  string
	uid    int
	gid    int
	major  uint32
	minor  uint32
	xattrs []xattr
	acl    string
	dacl   string
}

type xattr struct{ name, value string }

// piece is one part of a file's content.
type piece struct {
	size int64
	zero bool
	text string // if it is not empty that is all
	seed int64  // of made-up bytes
}

// defaultTime is the time of everything whose line gives none.
const defaultTime = "1600000000.123456789"

// parseLayout reads the text of a layout.
func parseLayout(text string) ([]layoutObject, error) {
	var all []layoutObject
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		o, err := parseObject(line)
		if err != nil {
			return nil, fmt.Errorf("layout line %q: %w", line, err)
		}
		all = append(all, o)
	}
	return all, nil
}

func parseObject(line string) (layoutObject, error) {
	name, rest, err := layoutWord(line)
	if err != nil {
		return layoutObject{}, err
	}
	o := layoutObject{kind: 'f', mode: 0o644, mtime: defaultTime, uid: -1, gid: -1}
	if n, ok := strings.CutSuffix(name, "/"); ok {
		name, o.kind, o.mode = n, 'd', 0o755
	}
	o.name = path.Clean(name)
	for rest != "" {
		var word string
		if strings.HasPrefix(rest, `"`) { // a content that begins with text is not one quoted word
			word, rest, _ = cutPieces(rest)
		} else if word, rest, err = layoutWord(rest); err != nil {
			return o, err
		}
		if word == "->" || word == "=" {
			o.kind = map[string]byte{"->": 'l', "=": 'h'}[word]
			if o.target, rest, err = layoutWord(rest); err != nil {
				return o, err
			}
			continue
		}
		if err := o.word(word); err != nil {
			return o, err
		}
	}
	return o, nil
}

// layoutWord cuts the first word off; it may be quoted.
func layoutWord(s string) (word, rest string, err error) {
	s = strings.TrimLeft(s, " \t")
	if strings.HasPrefix(s, `"`) {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return "", "", err
		}
		word, err := strconv.Unquote(quoted)
		return word, strings.TrimLeft(s[len(quoted):], " \t"), err
	}
	if strings.Contains(s, `"`) {
		return cutPieces(s)
	}
	word, rest, _ = strings.Cut(s, " ")
	return word, strings.TrimLeft(rest, " \t"), nil
}

// cutPieces cuts a word off in which quoted parts may hold blanks.
func cutPieces(s string) (word, rest string, err error) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ', '\t':
			return s[:i], strings.TrimLeft(s[i:], " \t"), nil
		case '"':
			quoted, err := strconv.QuotedPrefix(s[i:])
			if err != nil {
				return "", "", err
			}
			i += len(quoted) - 1
		}
	}
	return s, "", nil
}

var layoutKinds = map[string]byte{"fifo": 'p', "socket": 's', "char": 'c', "block": 'b'}

func (o *layoutObject) word(word string) (err error) {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "fifo", "socket":
		o.kind = layoutKinds[key]
	case "char", "block":
		o.kind = layoutKinds[key]
		_, err = fmt.Sscanf(value, "%d:%d", &o.major, &o.minor)
	case "mode":
		_, err = fmt.Sscanf(value, "%o", &o.mode)
	case "uid":
		o.uid, err = strconv.Atoi(value)
	case "gid":
		o.gid, err = strconv.Atoi(value)
	case "t":
		o.mtime = value
	case "at":
		o.atime = value
	case "acl":
		o.acl = value
	case "dacl":
		o.dacl = value
	default:
		if strings.Contains(key, ".") && !strings.HasPrefix(key, `"`) {
			if strings.HasPrefix(value, `"`) {
				value, err = strconv.Unquote(value)
			}
			o.xattrs = append(o.xattrs, xattr{key, value})
			return err
		}
		o.pieces, err = parsePieces(word, o.name)
	}
	return err
}

// parsePieces reads what a file holds.
func parsePieces(word, name string) ([]piece, error) {
	var all []piece
	for word != "" {
		word = strings.TrimPrefix(word, "+")
		if strings.HasPrefix(word, `"`) {
			quoted, err := strconv.QuotedPrefix(word)
			if err != nil {
				return nil, err
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			all, word = append(all, piece{text: text, size: int64(len(text))}), word[len(quoted):]
			continue
		}
		var part string
		if i := strings.IndexByte(word, '+'); i >= 0 {
			part, word = word[:i], word[i:]
		} else {
			part, word = word, ""
		}
		p, err := parsePiece(part, name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func parsePiece(part, name string) (piece, error) {
	size, number, numbered := strings.Cut(part, "#")
	p := piece{seed: seedOf(name)}
	size, p.zero = strings.CutPrefix(size, "z")
	unit := int64(1)
	if n, ok := strings.CutSuffix(size, "k"); ok {
		size, unit = n, 1<<10
	} else if n, ok := strings.CutSuffix(size, "m"); ok {
		size, unit = n, 1<<20
	}
	n, err := strconv.ParseInt(size, 10, 32)
	if err != nil {
		return p, fmt.Errorf("%q is no size", part)
	}
	p.size = n * unit
	if numbered {
		if p.seed, err = strconv.ParseInt(number, 10, 32); err != nil {
			return p, fmt.Errorf("%q has no number after #", part)
		}
	}
	return p, nil
}

// seedOf is the number of a file's bytes: the same for a name whatever its
// first directory is.
func seedOf(name string) int64 {
	_, below, _ := strings.Cut(name, "/")
	return 1000 + int64(crc32.ChecksumIEEE([]byte(below))%9000)
}

// first is the number that a piece of made-up bytes counts from: its bytes are
// those of `seq first ∞`, which do not repeat and which a shell can make too.
func (p piece) first() int64 { return p.seed * 10_000_000 }

// appendBytes adds the bytes of the piece.
func (p piece) appendBytes(b []byte) []byte {
	switch {
	case p.text != "":
		return append(b, p.text...)
	case p.zero:
		return append(b, make([]byte, p.size)...)
	}
	end := len(b) + int(p.size)
	for n := p.first(); len(b) < end; n++ {
		b = append(strconv.AppendInt(b, n, 10), '\n')
	}
	return b[:end]
}
