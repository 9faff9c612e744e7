package checksum_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"testing"

	"lockstep/internal/rsync/checksum"
)

const seed = 0x12345678

func TestBlockSumsHaveTheValuesOfTheSpecification(t *testing.T) {
	// Section 2.4, and the transcript of 3.6b: seed 1, 2 bytes of each sum sent.
	tests := []struct {
		name      string
		algo      checksum.Algo
		seed      int32
		seedFirst bool
		block     []byte
		want      string
	}{
		{"md4 puts the seed last", checksum.MD4, seed, true, []byte("abc"), "dfc21629291028d56ee023a48767e5c9"},
		{"old md4 puts the seed last", checksum.MD4Old, seed, false, []byte("abc"), "dfc21629291028d56ee023a48767e5c9"},
		{"md5 with the seed first", checksum.MD5, seed, true, []byte("abc"), "5a035b41f39449760a0c6a01e4060c62"},
		{"md5 without seed", checksum.MD5, 0, true, []byte("abc"), "900150983cd24fb0d6963f7d28e17f72"},
		{"sha1 puts the seed first", checksum.SHA1, seed, false, []byte("abc"), "d3e61ddc0c84883a9f1e2e76eba65782e2cd74ee"},
		{"xxh64 takes the seed as parameter", checksum.XXH64, seed, true, []byte("abc"), "2bf41a5f65d17f0f"},
		{"transcript md5 block 0", checksum.MD5, 1, true, bytes.Repeat([]byte("A"), 700), "23ee"},
		{"transcript md5 block 1", checksum.MD5, 1, true, bytes.Repeat([]byte("B"), 700), "687f"},
		{"transcript md5 block 2", checksum.MD5, 1, true, bytes.Repeat([]byte("C"), 10), "c92a"},
		{"transcript md4 block 0", checksum.MD4Old, 1, false, bytes.Repeat([]byte("A"), 700), "be4d"},
		{"transcript md4 block 1", checksum.MD4Old, 1, false, bytes.Repeat([]byte("B"), 700), "522a"},
		{"transcript md4 block 2", checksum.MD4Old, 1, false, bytes.Repeat([]byte("C"), 10), "1991"},
		{"none proves nothing", checksum.None, seed, true, []byte("abc"), "00"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := test.algo.Blocks(test.seed, test.seedFirst)
			for range 2 { // the second time shows that nothing is left over
				sum := b.Sum(nil, test.block)
				if len(sum) != b.Size() {
					t.Errorf("sum of %d bytes, want %d", len(sum), b.Size())
				}
				if got := hex.EncodeToString(sum[:len(test.want)/2]); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			}
		})
	}
}

func TestOrderOfTheSeedMattersForMD5Alone(t *testing.T) {
	for algo := checksum.None; algo <= checksum.XXH128; algo++ {
		first := algo.Blocks(seed, true).Sum(nil, []byte("abc"))
		last := algo.Blocks(seed, false).Sum(nil, []byte("abc"))
		if differs := !bytes.Equal(first, last); differs != (algo == checksum.MD5) {
			t.Errorf("%v: differs %v", algo, differs)
		}
	}
	// MD5("abc" || 78 56 34 12), computed with md5sum.
	const want = "a7e33be7c2164ebddcb3da6720a2d7d4"
	if got := hex.EncodeToString(checksum.MD5.Blocks(seed, false).Sum(nil, []byte("abc"))); got != want {
		t.Errorf("md5 with the seed last: got %s, want %s", got, want)
	}
}

func TestSeedsOfXXHAreTheReferenceLibrarysParameter(t *testing.T) {
	// Computed with libxxhash 0.8.1; a negative seed is sign-extended to 64 bits.
	short, long := []byte("abc"), make([]byte, 700)
	for i := range long {
		long[i] = byte(i)
	}
	tests := []struct {
		name  string
		algo  checksum.Algo
		seed  int32
		block []byte
		want  string
	}{
		{"xxh64 negative", checksum.XXH64, -2, short, "52b5e925aa47587b"},
		{"xxh64 long", checksum.XXH64, seed, long, "39f8d6be94818217"},
		{"xxh64 long negative", checksum.XXH64, -2, long, "2224a8b1c7863e22"},
		{"xxh3 short", checksum.XXH3, seed, short, "2791f6cd464913ce"},
		{"xxh3 short negative", checksum.XXH3, -2, short, "c7ea849696fb44b7"},
		{"xxh3 long negative", checksum.XXH3, -2, long, "92b836e6424b19f4"},
		{"xxh128 short", checksum.XXH128, seed, short, "2791f6cd464913ceddc49a22946c9bd8"},
		{"xxh128 short negative", checksum.XXH128, -2, short, "c7ea849696fb44b7a514441f0e37a5a2"},
		{"xxh128 long", checksum.XXH128, seed, long, "1ca934d43765abf09087f960c6bd63dd"},
		{"xxh128 long negative", checksum.XXH128, -2, long, "92b836e6424b19f4cf6603d02fe37f04"},
		{"xxh128 long without seed", checksum.XXH128, 0, long, "737fdbafab651e20084618bb1058a42c"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sum := test.algo.Blocks(test.seed, true).Sum(nil, test.block)
			if got := hex.EncodeToString(sum); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestFileDigestsHaveTheValuesOfTheSpecification(t *testing.T) {
	transcript := bytes.Repeat([]byte("A"), 700)
	transcript = append(transcript, "xyz"...)
	transcript = append(transcript, bytes.Repeat([]byte("B"), 700)...)
	transcript = append(transcript, bytes.Repeat([]byte("C"), 10)...)
	tests := []struct {
		name string
		algo checksum.Algo
		seed int32
		data []byte
		want string
	}{
		{"old md4 hashes the seed first", checksum.MD4Old, seed, []byte("abc"), "4d713279fde8d43637584c88006e02f8"},
		{"old md4 of the transcript", checksum.MD4Old, 1, transcript, "857802f2379a604af07ea1ccd5b15334"},
		{"md4 has no seed", checksum.MD4, seed, []byte("abc"), "a448017aaf21d8525fc10ae87aa6729d"},
		{"md5 of the transcript", checksum.MD5, 1, transcript, "307aea9b58df6d0f352d07fb798f121c"},
		{"sha1 has no seed", checksum.SHA1, seed, []byte("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d"},
		{"xxh64 is little-endian", checksum.XXH64, seed, []byte("abc"), "990977adf52cbc44"},
		{"xxh3 is little-endian", checksum.XXH3, seed, []byte("abc"), "50392f89945faf78"},
		{"xxh128 has its low half first", checksum.XXH128, seed, []byte("abc"), "50392f89945faf7885613a73b65ab006"},
		{"xxh128 of nothing", checksum.XXH128, seed, nil, "7f498d4624c30160d8984701d306aa99"},
		{"none is one zero byte", checksum.None, seed, []byte("abc"), "00"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := test.algo.New(test.seed)
			io.WriteString(h, "something else")
			h.Reset()
			for _, b := range test.data {
				h.Write([]byte{b})
			}
			sum := h.Sum([]byte("x"))
			if got := hex.EncodeToString(sum[1:]); got != test.want || sum[0] != 'x' {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if len(sum)-1 != test.algo.Size() {
				t.Errorf("digest of %d bytes, want %d", len(sum)-1, test.algo.Size())
			}
		})
	}
}

func TestDigestOfManyWritesEqualsThatOfOne(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef!"), 20000)
	for algo := checksum.None; algo <= checksum.XXH128; algo++ {
		whole, pieces := algo.New(seed), algo.New(seed)
		whole.Write(data)
		for i, rest := 1, data; len(rest) > 0; i = i*3 + 1 {
			n := min(i, len(rest))
			pieces.Write(rest[:n])
			rest = rest[n:]
		}
		if !bytes.Equal(whole.Sum(nil), pieces.Sum(nil)) {
			t.Errorf("%v: digests differ", algo)
		}
	}
}

func TestSumsDoNotAllocate(t *testing.T) {
	block := bytes.Repeat([]byte("0123456789abcdef!"), 100)
	for algo := checksum.None; algo <= checksum.XXH128; algo++ {
		b, h := algo.Blocks(seed, true), algo.New(seed)
		dst := make([]byte, 0, 2*checksum.MaxSize)
		n := testing.AllocsPerRun(100, func() {
			dst = b.Sum(dst[:0], block)
			h.Reset()
			h.Write(block)
			dst = h.Sum(dst)
		})
		if n > 0 {
			t.Errorf("%v allocates %v times", algo, n)
		}
	}
}
