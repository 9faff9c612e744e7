package option_test

import (
	"strings"
	"testing"

	"lockstep/internal/rsync/option"
)

func TestOperandsThatAreRefused(t *testing.T) {
	for words, want := range map[string]string{
		"--password-file= a b":           "The --password-file option may only be used when accessing an rsync daemon.",
		"--password-file= a host::m":     "",
		"--temp-dir= a b":                "The temp-dir does not exist: ",
		"--temp-dir= --temp-dir=x a b":   "",
		"--temp-dir= a host:b":           "",
		"--read-batch=f -a src host:dst": "remote destination is not allowed with --read-batch",
	} {
		set, err := option.Parse(option.Input{Words: strings.Fields(words)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = set.Operands(); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: %v, want %q", words, err, want)
		}
	}
}

func TestABatchGoesToTheLastOperand(t *testing.T) {
	set, err := option.Parse(option.Input{Words: []string{"--read-batch=f", "src", "dst"}})
	if err != nil {
		t.Fatal(err)
	}
	if ops, err := set.Operands(); err != nil || ops.Dest != "dst" {
		t.Errorf("%+v, %v", ops, err)
	}
	if set, err = option.Parse(option.Input{Words: []string{"--read-batch=f"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := set.Operands(); err != nil || set.Show != option.ShowUsage {
		t.Errorf("without any, %v is shown, %v", set.Show, err)
	}
}
