package flist_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/flist"
	"lockstep/internal/rsync/wire"
)

// conversion is swapCase which refuses "?", and turns "!" into something that
// is no name.
func conversion(p []byte) ([]byte, error) {
	switch {
	case bytes.Contains(p, []byte("?")):
		return nil, errors.New("Invalid argument")
	case bytes.Contains(p, []byte("!")):
		return []byte("a/b"), nil
	case bytes.Contains(p, []byte("#")):
		return bytes.Repeat([]byte("x"), 5000), nil
	}
	return swapCase(p)
}

func link2(name, target string) flist.Entry {
	e := named(name)
	e.Meta.Kind, e.Target = tree.Symlink, target
	return e
}

func TestNamesThatCannotBeConvertedHoldTheirPlace(t *testing.T) {
	o := flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags | wire.SymlinkIconv, Links: true, Iconv: true}
	data := sent(t, o, named("z/"), named("b?"), named("z/A"), link2("l", "x?"), named("D!/"), link2("m", "Target"), named("C#"), named("a"))
	o.Convert = conversion
	var warnings []string
	list := decoded(t, data, o, flist.Receive{Warn: func(c wire.Code, text string) { warnings = append(warnings, fmt.Sprint(c, ": ", text)) }})
	var got []string
	for _, f := range list.Files {
		got = append(got, fmt.Sprintf("%d %s %v", f.Index, f.Path, f.Dup))
	}
	want := []string{`0 Z false`, `1 "" true`, `2 Z/a false`, `3 L true`, `4 "" true`, `5 M false`, `6 "" true`, `7 A false`}
	for i, f := range list.Files {
		if f.Path == "" {
			got[i] = fmt.Sprintf(`%d "" %v`, f.Index, f.Dup)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("entries are %q", got)
	}
	var order []string
	for _, f := range list.Order {
		if !f.Dup {
			order = append(order, string(f.Path))
		}
	}
	if want := []string{"A", "M", "Z", "Z/a"}; !slices.Equal(order, want) || len(list.Order) != 8 {
		t.Errorf("the order is %q", order)
	}
	if list.Files[5].Extra().Target != "tARGET" || list.IOError != 1 {
		t.Errorf("target %q, io_error %d", list.Files[5].Extra().Target, list.IOError)
	}
	code := wire.CodeErrorXfer.String()
	if want := []string{
		code + `: [Receiver] cannot convert filename: b? (Invalid argument)`,
		code + `: [Receiver] cannot convert symlink data for: "l" (Invalid argument)`,
		code + `: [Receiver] cannot convert filename: D! (what comes out is no name)`,
		code + `: [Receiver] cannot convert filename: C# (what comes out is too long)`,
	}; !slices.Equal(warnings, want) {
		t.Errorf("warnings are %q", warnings)
	}
}

func TestTargetsAreConvertedIfBothSidesDo(t *testing.T) {
	o := flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags, Links: true, Iconv: true, Convert: conversion}
	list := decoded(t, sent(t, o, link2("l", "Target?")), o, flist.Receive{})
	if f := list.Files[0]; f.Path != "l" || f.Extra().Target != "Target?" {
		t.Errorf("%s points at %s", f.Path, f.Extra().Target)
	}
}

func TestWhatCannotBeConvertedIsNotSent(t *testing.T) {
	c := newCapture(t, flist.Options{Protocol: 32, Compat: wire.VarintFlistFlags | wire.SymlinkIconv, Links: true, Iconv: true, Convert: conversion})
	c.Begin()
	for _, e := range []flist.Entry{named("a?"), named("a?/b"), named("c!"), named("c#"), link2("l", "x?"), link2("l", "x#")} {
		if err := c.Add(&e); !errors.Is(err, flist.ErrUnsendable) {
			t.Errorf("%s: %v", e.Path(), err)
		}
	}
	c.wants("nothing", "")
	c.sends(named("Q/w"), "18 | 03 71 2f 57 | 00 00 00 | 65 00 f1 53 | a4 81 00 00")
	c.sends(named("B"), "80 9a | 01 62 | 00 00 00")
	c.sends(named("A/"), "80 98 | 01 61 | 00 00 00 | a4 41 00 00")
	list := c.End(0)
	c.wants("end", "00 00")
	for i, want := range []tree.Path{"Q/w", "B", "A"} {
		if got := list.Path(int32(i)); got != want {
			t.Errorf("entry %d is %s", i, got)
		}
	}
}

func TestConversionsNeedTheOption(t *testing.T) {
	for _, o := range []flist.Options{
		{Protocol: 32, Convert: conversion},
		{Protocol: 32, Crtimes: true},
		{Protocol: 29, ACLs: true},
		{Protocol: 29, Xattrs: true},
		{Protocol: 33},
	} {
		if o.Validate() == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	if err := (flist.Options{Protocol: 29, ACLs: true, Xattrs: true, Local: true}).Validate(); err != nil {
		t.Error(err)
	}
	if _, err := flist.NewDecoder(nil, flist.Options{Protocol: 32, Compat: wire.IncRecurse}, flist.Receive{Prune: true}); err == nil {
		t.Error("empty directories of incremental lists are pruned")
	}
}
