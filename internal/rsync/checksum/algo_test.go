package checksum_test

import (
	"testing"

	"lockstep/internal/rsync/checksum"
)

func TestNamesAreInTheOrderOfTheReference(t *testing.T) {
	if got, want := checksum.Names(), "xxh128 xxh3 xxh64 md5 md4 sha1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNamesParse(t *testing.T) {
	tests := []struct {
		name string
		want checksum.Algo
	}{
		{"xxh128", checksum.XXH128},
		{"XXH3", checksum.XXH3},
		{"xxh64", checksum.XXH64},
		{"xxhash", checksum.XXH64},
		{"Md5", checksum.MD5},
		{"md4", checksum.MD4},
		{"sha1", checksum.SHA1},
		{"none", checksum.None},
	}
	for _, test := range tests {
		if got, err := checksum.Parse(test.name); got != test.want || err != nil {
			t.Errorf("%s: got %v, error %v", test.name, got, err)
		}
	}
	for _, name := range []string{"", "md", "sha256", "auto", "md5 ", "md5\n"} {
		if got, err := checksum.Parse(name); err == nil {
			t.Errorf("%q: got %v, want an error", name, got)
		}
	}
}

func TestClientChoosesByItsOwnOrder(t *testing.T) {
	tests := []struct {
		name, own, peer string
		want            checksum.Algo
	}{
		{"reference server", checksum.Names(), "xxh128 xxh3 xxh64 md5 md4 sha1 none", checksum.XXH128},
		{"server without xxh3", checksum.Names(), "xxh64 md5 md4 none", checksum.XXH64},
		{"server with another order", checksum.Names(), "md4 md5 xxh3", checksum.XXH3},
		{"server with the alias", checksum.Names(), "xxhash md5", checksum.XXH64},
		{"server with unknown names", checksum.Names(), "blake3 sha512 md5", checksum.MD5},
		{"one name of our own", "md5", "xxh128 xxh3 xxh64 md5 md4 sha1 none", checksum.MD5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, err := checksum.Negotiate(test.own, test.peer); got != test.want || err != nil {
				t.Errorf("got %v, error %v; want %v", got, err, test.want)
			}
		})
	}
}

func TestPeersWithoutACommonNameAreRefused(t *testing.T) {
	for _, peer := range []string{"", "INVALID", "none", "blake3 sha512"} {
		if got, err := checksum.Negotiate(checksum.Names(), peer); err == nil {
			t.Errorf("%q: got %v, want an error", peer, got)
		}
	}
}

func TestDefaultsDependOnTheProtocol(t *testing.T) {
	tests := []struct {
		protocol       int
		transfer, file checksum.Algo
	}{
		{27, checksum.MD4Old, checksum.MD4},
		{29, checksum.MD4Old, checksum.MD4},
		{30, checksum.MD5, checksum.MD5},
		{32, checksum.MD5, checksum.MD5},
	}
	for _, test := range tests {
		transfer, file := checksum.Default(test.protocol)
		if transfer != test.transfer || file != test.file {
			t.Errorf("protocol %d: got %v and %v", test.protocol, transfer, file)
		}
	}
}

func TestDigestsAreShownInTheirCanonicalForm(t *testing.T) {
	wire := []byte{0xae, 0x66, 0x0d}
	for algo, want := range map[checksum.Algo]string{
		checksum.MD5: "ae660d", checksum.MD4Old: "ae660d", checksum.SHA1: "ae660d",
		checksum.XXH64: "0d66ae", checksum.XXH3: "0d66ae", checksum.XXH128: "0d66ae",
	} {
		if got := algo.Hex(wire); got != want {
			t.Errorf("%v: %s, want %s", algo, got, want)
		}
	}
	if wire[0] != 0xae {
		t.Error("the digest was turned around")
	}
}
