package secure

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	//lint:ignore SA1019 the only digest of old peers
	"golang.org/x/crypto/md4"
)

// Digest is a way to answer a daemon's challenge (rsync-session 2.4).
type Digest struct {
	Name string
	New  func() hash.Hash
	salt string // hashed before the password
}

// digests are those we have, strongest first, the order everyone keeps to.
var digests = []Digest{
	{Name: "sha512", New: sha512.New},
	{Name: "sha256", New: sha256.New},
	{Name: "sha1", New: sha1.New},
	{Name: "md5", New: md5.New},
	{Name: "md4", New: md4.New},
}

// oldDigest is what a peer below protocol 30 means when it names none.
var oldDigest = Digest{Name: "md4", New: md4.New, salt: "\x00\x00\x00\x00"}

const impliedMD5 = 30 // the first protocol whose unnamed digest is md5

// DigestNames is the list for a greeting, strongest first.
func DigestNames() string {
	names := make([]string, len(digests))
	for i, d := range digests {
		names[i] = d.Name
	}
	return strings.Join(names, " ")
}

// ChooseDigest is the strongest that the peer has, too; an error means that there
// is none. A peer that named none has md5, or the old md4.
func ChooseDigest(protocol int, theirs []string) (Digest, error) {
	if len(theirs) == 0 {
		if protocol < impliedMD5 {
			return oldDigest, nil
		}
		theirs = []string{"md5"}
	}
	for _, d := range digests {
		if slices.Contains(theirs, d.Name) {
			return d, nil
		}
	}
	return Digest{}, fmt.Errorf("no common digest: ours %s, peer's %q", DigestNames(), strings.Join(theirs, " "))
}

// KnownDigest reports whether there is a digest of that name, in any case.
func KnownDigest(name string) bool { return rank(name) >= 0 }

// Weaker reports whether d is below the one that is demanded; "" demands
// nothing. What is not known is above all.
func (d Digest) Weaker(demanded string) bool {
	return demanded != "" && rank(d.Name) > rank(demanded)
}

func rank(name string) int {
	return slices.IndexFunc(digests, func(d Digest) bool { return strings.EqualFold(d.Name, name) })
}

// Respond is the answer to a challenge: the digest of the password and the
// challenge's text, in base64 without padding.
func (d Digest) Respond(password, challenge string) string {
	return d.Text(d.salt, password, challenge)
}

// Text is the digest of what parts make together, in base64 without padding.
func (d Digest) Text(parts ...string) string {
	h := d.New()
	for _, part := range parts {
		io.WriteString(h, part)
	}
	return base64.RawStdEncoding.EncodeToString(h.Sum(nil))
}
