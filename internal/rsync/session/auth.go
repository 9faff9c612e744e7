package session

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"

	//lint:ignore SA1019 the only digest of old daemons
	"golang.org/x/crypto/md4"
)

// digest is a way to answer a daemon's challenge (rsync-session 2.4).
type digest struct {
	name string
	new  func() hash.Hash
	salt string // hashed before the password
}

// digests are those we offer, strongest first, the order everyone keeps to.
var digests = []digest{
	{name: "sha512", new: sha512.New},
	{name: "sha256", new: sha256.New},
	{name: "sha1", new: sha1.New},
	{name: "md5", new: md5.New},
	{name: "md4", new: md4.New},
}

// oldDigest is what a daemon below protocol 30 means when it names none.
var oldDigest = digest{name: "md4", new: md4.New, salt: "\x00\x00\x00\x00"}

// impliedProtocol is the first protocol whose unnamed digest is md5.
const impliedProtocol = 30

// digestNames is our list for the greeting.
func digestNames() string {
	names := make([]string, len(digests))
	for i, d := range digests {
		names[i] = d.name
	}
	return strings.Join(names, " ")
}

// chooseDigest is the first of ours that is in the peer's list. A peer that
// sent no list means md5, or the old md4.
func chooseDigest(protocol int, peer []string) (digest, error) {
	if len(peer) == 0 {
		if protocol < impliedProtocol {
			return oldDigest, nil
		}
		peer = []string{"md5"}
	}
	for _, d := range digests {
		if slices.Contains(peer, d.name) {
			return d, nil
		}
	}
	return digest{}, fmt.Errorf("no common digest: ours %s, peer's %q", digestNames(), strings.Join(peer, " "))
}

// respond is the answer to a challenge: the digest of the password and the
// challenge's text, in base64 without padding.
func (d digest) respond(password, challenge string) string {
	h := d.new()
	io.WriteString(h, d.salt)
	io.WriteString(h, password)
	io.WriteString(h, challenge)
	return base64.RawStdEncoding.EncodeToString(h.Sum(nil))
}

// user is the name to authenticate with.
func (ep *Endpoint) user() string {
	for _, name := range []string{ep.User, os.Getenv("USER"), os.Getenv("LOGNAME")} {
		if name != "" && !strings.ContainsAny(name, " \r\n\x00") {
			return name
		}
	}
	return "nobody"
}
