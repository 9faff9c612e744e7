package compress_test

import (
	"testing"

	"lockstep/internal/rsync/compress"
)

func TestNamesAreInTheOrderOfTheReference(t *testing.T) {
	if got, want := compress.Names(), "zstd lz4 zlibx zlib"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNamesParse(t *testing.T) {
	for _, m := range allMethods {
		if got, err := compress.Parse(m.String()); got != m || err != nil {
			t.Errorf("%v: got %v, error %v", m, got, err)
		}
	}
	if got, err := compress.Parse("ZlibX"); got != compress.Zlibx || err != nil {
		t.Errorf("ZlibX: got %v, error %v", got, err)
	}
	for _, name := range []string{"", "gzip", "auto", "zlib "} {
		if got, err := compress.Parse(name); err == nil {
			t.Errorf("%q: got %v, want an error", name, got)
		}
	}
}

func TestClientChoosesByItsOwnOrder(t *testing.T) {
	tests := []struct {
		name, own, peer string
		want            compress.Method
	}{
		{"reference server", compress.Names(), "zstd lz4 zlibx zlib none", compress.Zstd},
		{"server without libraries", compress.Names(), "zlibx zlib none", compress.Zlibx},
		{"server with another order", compress.Names(), "zlib lz4", compress.LZ4},
		{"server with unknown names", compress.Names(), "brotli zlib", compress.Zlib},
		{"one name of our own", "zlib", "zstd lz4 zlibx zlib none", compress.Zlib},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, err := compress.Negotiate(test.own, test.peer); got != test.want || err != nil {
				t.Errorf("got %v, error %v; want %v", got, err, test.want)
			}
		})
	}
	for _, peer := range []string{"", "INVALID", "none", "brotli"} {
		if got, err := compress.Negotiate(compress.Names(), peer); err == nil {
			t.Errorf("%q: got %v, want an error", peer, got)
		}
	}
}

func TestLevelsAreClamped(t *testing.T) {
	tests := []struct {
		name       string
		method     compress.Method
		level      int
		wantActual int
	}{
		{"zlib by default", compress.Zlib, 0, 6},
		{"zlib -1 is the default", compress.Zlib, -1, 6},
		{"zlib below", compress.Zlib, -2, 1},
		{"zlib in range", compress.Zlib, 9, 9},
		{"zlibx above", compress.Zlibx, 10, 9},
		{"zstd by default", compress.Zstd, 0, 3},
		{"zstd negative", compress.Zstd, -5, -5},
		{"zstd far below", compress.Zstd, -1 << 30, -1 << 17},
		{"zstd above", compress.Zstd, 23, 22},
		{"lz4 has one level", compress.LZ4, 9, 0},
		{"no method has none", compress.None, 9, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.method.Level(test.level); got != test.wantActual {
				t.Errorf("got %d, want %d", got, test.wantActual)
			}
		})
	}
}
