package option_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/rsync/option"
)

func TestErrorsAreInRsyncsWords(t *testing.T) {
	for words, want := range map[string]string{
		"--nope a b":                             "rsync: --nope: unknown option",
		"-aZv a b":                               "rsync: -aZv: unknown option",
		"--verbose=3 a b":                        "rsync: --verbose=3: option does not take an argument",
		"-av=3 a b":                              "rsync: -av=3: option does not take an argument",
		"--timeout":                              "rsync: --timeout: missing argument",
		"-vB":                                    "rsync: -vB: missing argument",
		"--timeout=x a":                          "rsync: --timeout=x: invalid numeric value",
		"-v@ x a b":                              "rsync: x: invalid numeric value",
		"--timeout=99999999999 a":                "rsync: --timeout=99999999999: number too large or too small",
		"--server --nope":                        "rsync: on remote machine: --nope: unknown option",
		"--server --stderr=foo . x":              `rsync: --stderr mode "foo" is not one of errors, all, or client`,
		"--info=name2,foo a":                     `Unknown --info item: "foo"`,
		"--debug=foo a":                          `Unknown --debug item: "foo"`,
		"--outbuf=x a":                           "rsync: Invalid --outbuf setting -- specify N, L, or B.",
		"--chmod=u+x,q a":                        "rsync: Invalid argument passed to --chmod (u+x,q)",
		"-M foo a":                               "rsync: Remote option must start with a dash: foo",
		"--secluded-args --old-args a":           "rsync: --secluded-args conflicts with --old-args.",
		"--fake-super -XX a":                     "rsync: --fake-super conflicts with -XX",
		"--confine-root=x a":                     "rsync: --confine-root must be an absolute path",
		"--confine-root=/x --insecure-links a":   "rsync: --insecure-links cannot be combined with --confine-root",
		"--write-batch=a --read-batch=b x":       "rsync: --write-batch and --read-batch can not be used together",
		"--only-write-batch=a --read-batch=b x":  "rsync: --write-batch and --read-batch can not be used together",
		"--read-batch=a --files-from=b x":        "rsync: --read-batch cannot be used with --files-from",
		"--read-batch=a --remove-source-files x": "rsync: --read-batch cannot be used with --remove-source-files",
		"--usermap= a b":                         "No colon found in --usermap: ",
		"--usermap=a:b --groupmap= a b":          "No colon found in --groupmap: ",
		"--copy-as= a b":                         "Invalid copy-as user: ",
		"--cc=md5 --cc= a b":                     "unknown checksum name: ",
		"--compress-choice= a b":                 "unknown compress name: ",
		"--confine-root= a b":                    "rsync: --confine-root must be an absolute path",
		"--write-batch= a b":                     `rsync: [Receiver] Batch file "" open error: Invalid argument (22)`,
		"--read-batch= b":                        `rsync: [Receiver] Batch file "" open error: Invalid argument (22)`,
		"-c --cc=none a b":                       "Invalid checksum-choice for --checksum: none (0)",
		"-c --cc=md5,none a b":                   "Invalid checksum-choice for --checksum: none (0)",
		"--protocol= a b":                        "--protocol must be at least 27 on the Client.",
		"--protocol=26 a b":                      "--protocol must be at least 27 on the Client.",
		"--info=2 a b":                           `Unknown --info item: "2"`,
		"--info=0x1 a b":                         `Unknown --info item: "0x1"`,
		"--info=x10 a b":                         `Unknown --info item: "x"`,
		"--delete a":                             "rsync: --delete does not work without --recursive (-r) or --dirs (-d).",
		"--delete-before --delete-after -r a":    "rsync: You may not combine multiple --delete-WHEN options.",
		"--suffix=a/b a":                         "rsync: --suffix cannot contain slashes: a/b",
		"--suffix= -b a":                         "rsync: --suffix cannot be empty without a --backup-dir",
		"-b --backup-dir=. a":                    "rsync: --suffix cannot be empty when --backup-dir is the same as the dest dir",
		"--append --whole-file a":                "rsync: --append cannot be used with --whole-file",
		"--inplace --partial-dir=x a":            "rsync: --inplace cannot be used with --partial-dir",
		"--append-verify --delay-updates a":      "rsync: --append cannot be used with --delay-updates",
		"--write-devices --delay-updates a":      "rsync: --inplace cannot be used with --delay-updates",
		"--copy-dest=a --link-dest=b x":          "rsync: ERROR: the --link-dest option conflicts with the --copy-dest option",
		"--compare-dest=a --copy-dest=b x":       "rsync: ERROR: the --copy-dest option conflicts with the --compare-dest option",
		"--chown=a --usermap=x:y b":              "rsync: --usermap conflicts with prior --chown.",
		"--usermap=x:y --chown=a b":              "rsync: --chown conflicts with prior --usermap.",
		"--groupmap=x:y --groupmap=a b":          "rsync: You can only specify --groupmap once.",
		"--chown=:a --chown=:b b":                "rsync: You can only specify a group-affecting --chown once.",
		"--files-from=:- a b":                    "rsync: Invalid --files-from remote filename",
		"--files-from= a b":                      "rsync: failed to open files-from file : Invalid argument",
		"--max-alloc=3k a":                       "rsync: --max-alloc=3k is too small (min: 1.00M or 0 for unlimited)",
		"--block-size=200k a":                    "rsync: --block-size=200k is too large (max: 128.00K)",
		"--protocol=29 --block-size=1g a":        "rsync: --block-size=1g is too large (max: 512.00M)",
		"--bwlimit=100b a":                       "rsync: --bwlimit=100b is too small (min: 512 or 0 for unlimited)",
		"--daemon --nope":                        "rsync: --nope: unknown option (in daemon mode)\n(Type \"rsync --daemon --help\" for assistance with daemon mode.)",
		"--config=x a":                           "Daemon option(s) used without --daemon.\n(Type \"rsync --daemon --help\" for assistance with daemon mode.)",
		"--daemon -M xy":                         "--dparam value is missing an '=': xy\n(Type \"rsync --daemon --help\" for assistance with daemon mode.)",
	} {
		_, err := option.Parse(option.Input{Words: strings.Fields(words)})
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", words, err, want)
		}
	}
	many := slices.Repeat([]string{"--link-dest=x"}, 21)
	_, err := option.Parse(option.Input{Words: append(many, "a")})
	if err == nil || err.Error() != "rsync: ERROR: at most 20 --link-dest args may be specified" {
		t.Errorf("21 directories: %v", err)
	}
	_, err = option.Parse(option.Input{Words: []string{"--write-batch=" + strings.Repeat("x", 257), "a"}})
	if err == nil || err.Error() != "rsync: the batch-file name must be 256 characters or less." {
		t.Errorf("a long name of a batch file: %v", err)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "0": 0, "1": 1, "1b": 1, "1k": 1024, "1kb": 1000, "1kB": 1000, "1K": 1024, "1KiB": 1024, "1m": 1 << 20, "1g": 1 << 30,
		"1t": 1 << 40, "8191p": 8191 << 50, "1.5k": 1536, "1.5kb": 1500, ".5k": 512, "1.k": 1024, "k": 0, ".": 0, "1k-1": 1023, "1k+1": 1025,
		"1-1": 0, "1.9b": 1, "1.5+1": 2, "00010": 10, "5bib": 5, "1kb-1": 999, "9007199254740993": 9007199254740992, "8191.9999p": 9223371924264784896,
	} {
		s, err := option.Parse(option.Input{Words: []string{"--max-size=" + text, "a"}})
		if err != nil || s.MaxSize != want {
			t.Errorf("%q: got %d, %v; want %d", text, s.MaxSize, err, want)
		}
	}
	for text, want := range map[string]string{
		"5q": "is invalid", "1kx": "is invalid", "+5": "is invalid", "1k-2": "is invalid", "1k+1+1": "is invalid", "0x10": "is invalid",
		" 5": "is invalid", "1,5k": "is invalid", "1e3": "is invalid", "1.2.3k": "is invalid", "-": "is invalid", "-0": "is invalid", "--5": "is invalid",
		"-1": "is too large", "-.5": "is too large", "0-1": "is too large", "8192p": "is too large", "99999999999999999999": "is too large",
		"9223372036854775807": "is too large",
	} {
		_, err := option.Parse(option.Input{Words: []string{"--max-size=" + text, "a"}})
		if err == nil || err.Error() != "rsync: --max-size="+text+" "+want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestRatesAreRoundedToKiB(t *testing.T) {
	for text, kib := range map[string]int64{
		"": 0, "0": 0, "1": 1, "1.5": 2, "1m": 1024, "1mb": 977, "512b": 1, "1535b": 1, "1536b": 2, "0.5": 1, "100g": 104857600, "1p": 0,
	} {
		s, err := option.Parse(option.Input{Words: []string{"--bwlimit=" + text, "a"}})
		if err != nil || s.BwLimit != kib*1024 {
			t.Errorf("%q: got %d, %v; want %d KiB", text, s.BwLimit, err, kib)
		}
	}
}

func TestIntegers(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "5": 5, "0x10": 16, "0X1f": 31, "010": 8, "+5": 5, " 5": 5, "-5": -5, "2147483647": 2147483647, "-2147483648": -2147483648,
	} {
		s, err := option.Parse(option.Input{Words: []string{"--modify-window=" + text, "a"}})
		if err != nil || s.ModifyWindow != want {
			t.Errorf("%q: got %d, %v; want %d", text, s.ModifyWindow, err, want)
		}
	}
	for text, want := range map[string]string{
		"x": "invalid numeric value", "- 5": "invalid numeric value", "0x": "invalid numeric value", "09": "invalid numeric value", "5 ": "invalid numeric value",
		" ": "invalid numeric value", "2147483648": "number too large or too small", "-2147483649": "number too large or too small",
		"99999999999999999999": "number too large or too small",
	} {
		_, err := option.Parse(option.Input{Words: []string{"--modify-window=" + text, "a"}})
		if err == nil || err.Error() != "rsync: --modify-window="+text+": "+want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestWhatOptionsComeToTogether(t *testing.T) {
	for words, want := range map[string]func(s *option.Set) bool{
		"-a --files-from=f a b":        func(s *option.Set) bool { return !s.Recurse && s.Relative && s.Dirs && s.ImpliedDirs },
		"-ar --files-from=f a b":       func(s *option.Set) bool { return s.Recurse && s.Relative },
		"--files-from=f --no-R a b":    func(s *option.Set) bool { return !s.Relative && !s.ImpliedDirs },
		"--files-from=u@h:/f a b":      func(s *option.Set) bool { return s.FilesFrom == "/f" && s.FilesFromHost == "u@h" },
		"--files-from=:f a b":          func(s *option.Set) bool { return s.FilesFrom == "f" && s.FilesFromHost == ":" },
		"-a --no-D a":                  func(s *option.Set) bool { return !s.Devices && !s.Specials && s.Owner },
		"-UU a":                        func(s *option.Set) bool { return s.OpenNoatime && s.Atimes == 2 },
		"-zz a":                        func(s *option.Set) bool { return s.Compress && s.CompressChoice == "zlibx" },
		"-z --zc=none a":               func(s *option.Set) bool { return !s.Compress && s.CompressChoice == "none" },
		"--zl=0 --zc=zlib a":           func(s *option.Set) bool { return !s.Compress },
		"--zl=0 a":                     func(s *option.Set) bool { return s.Compress },
		"--cc=none a":                  func(s *option.Set) bool { return s.Whole(false) },
		"--append a":                   func(s *option.Set) bool { return s.Inplace && s.Append == 1 },
		"--append --append a":          func(s *option.Set) bool { return s.Append == 1 },
		"--server --append --append .": func(s *option.Set) bool { return s.Append == 2 },
		"--inplace --partial a":        func(s *option.Set) bool { return s.Inplace && !s.Partial },
		"--delay-updates a":            func(s *option.Set) bool { return s.PartialDir == ".~tmp~" && s.Partial },
		"--partial-dir=./a//b/../c a":  func(s *option.Set) bool { return s.PartialDir == "a/c" },
		"-b a":                         func(s *option.Set) bool { return s.OmitDirTimes && s.Suffix == "~" },
		"-b --backup-dir=./x a":        func(s *option.Set) bool { return !s.OmitDirTimes && s.Suffix == "" && s.BackupDir == "x" },
		"--max-delete=-5 -r a":         func(s *option.Set) bool { return s.MaxDelete == 0 },
		"-vv --stats a":                func(s *option.Set) bool { return s.Info[option.InfoStats] == 3 },
		"--info=stats0 --stats a":      func(s *option.Set) bool { return s.Info[option.InfoStats] == 0 && s.Stats == 1 },
		"-vvv a":                       func(s *option.Set) bool { return s.Debug[option.DebugDel] == 2 && s.Info[option.InfoName] == 2 },
		"--info=name0 --progress a": func(s *option.Set) bool {
			return s.Info[option.InfoName] == 0 && s.Info[option.InfoFlist] == 2 && s.OutFormat == ""
		},
		"-i --progress a":                             func(s *option.Set) bool { return s.Info[option.InfoName] == 0 && s.OutFormat == "%i %n%L" },
		"-ii --out-format=%n a":                       func(s *option.Set) bool { return s.Itemize == 0 },
		"--out-format=%-20i a":                        func(s *option.Set) bool { return s.Itemize == 1 },
		"--server --log-format=%i%I .":                func(s *option.Set) bool { return s.Itemize == 2 && s.OutFormat == "%i%I" },
		"--server --log-format=X .":                   func(s *option.Set) bool { return s.Itemize == 0 && s.HasOutFormat },
		"--server -e.iLs .":                           func(s *option.Set) bool { return s.ClientInfo == ".iLs" && s.Rsh == "" },
		"--server --info=foo,name2 . x":               func(s *option.Set) bool { return s.Info[option.InfoName] == 2 },
		"--super --fake-super a":                      func(s *option.Set) bool { return s.FakeSuper && s.Super == 0 },
		"--fake-super --no-super a":                   func(s *option.Set) bool { return !s.FakeSuper && s.Super == -1 },
		"--remove-source-files --remove-sent-files a": func(s *option.Set) bool { return s.RemoveSentFiles && !s.RemoveSourceFiles },
		"-n --write-batch=f a":                        func(s *option.Set) bool { return s.WriteBatch == "" },
		"--iconv=- a":                                 func(s *option.Set) bool { return s.Iconv == "" },
		"--exclude-from=x -0 --exclude-from=y --no-from0 a": func(s *option.Set) bool {
			return slices.Equal(s.Filters, []option.Filter{{Kind: option.ExcludeFrom, Value: "x"}, {Kind: option.ExcludeFrom, Value: "y", From0: true}}) && !s.From0
		},
		"-F -f x --exclude y -F a": func(s *option.Set) bool {
			return slices.Equal(s.Filters, []option.Filter{{Kind: option.ShortF}, {Value: "x"}, {Kind: option.ExcludeRule, Value: "y"}, {Kind: option.ShortF}})
		},
		"a -- -b --c -":       func(s *option.Set) bool { return slices.Equal(s.Args, []string{"a", "-b", "--c", "-"}) },
		"a -v - b":            func(s *option.Set) bool { return slices.Equal(s.Args, []string{"a", "-", "b"}) && s.Verbose == 1 },
		"--timeout=-1 a":      func(s *option.Set) bool { return s.Timeout == 0 },
		"":                    func(s *option.Set) bool { return s.Show == option.ShowUsage },
		"-h":                  func(s *option.Set) bool { return s.Show == option.ShowHelp },
		"-h a":                func(s *option.Set) bool { return s.Show == option.ShowNothing && s.HumanReadable == 2 },
		"-VV --nope":          nil,
		"-VV a":               func(s *option.Set) bool { return s.Show == option.ShowJSON },
		"--server -VV":        func(s *option.Set) bool { return s.Show == option.ShowVersion },
		"--info=help --nope":  func(s *option.Set) bool { return s.Show == option.ShowInfo },
		"--daemon --help":     func(s *option.Set) bool { return s.Show == option.ShowDaemonHelp },
		"--server --daemon .": func(s *option.Set) bool { return s.Server && s.Daemon && s.DaemonWords != nil },
		"--server -se.Ls":     func(s *option.Set) bool { return s.Show == option.ShowNothing && s.SecludedArgs },
		"--copy-as= --copy-as=root --exclude-from= a": func(s *option.Set) bool { return s.CopyAs == "root" && len(s.Filters) == 0 },
		"-n --write-batch= a":                         func(s *option.Set) bool { return s.WriteBatch == "" },
		"-c --cc=none,md5 a":                          func(s *option.Set) bool { return s.Checksum },
		"--read-batch=f":                              func(s *option.Set) bool { return s.Show == option.ShowNothing },
		"-rm --delete-after a":                        func(s *option.Set) bool { return !s.AllowIncRecurse(true) && s.AllowIncRecurse(false) },
	} {
		s, err := option.Parse(option.Input{Words: strings.Fields(words)})
		if (want == nil) != (err != nil) || want != nil && !want(s) {
			t.Errorf("%s: %v, %+v", words, err, s)
		}
	}
}

func TestEnvironmentGivesDefaults(t *testing.T) {
	for _, c := range []struct {
		env, words string
		want       func(s *option.Set) bool
	}{
		{"RSYNC_PARTIAL_DIR=p", "--partial a", func(s *option.Set) bool { return s.PartialDir == "p" }},
		{"RSYNC_PARTIAL_DIR=p", "a", func(s *option.Set) bool { return s.PartialDir == "" }},
		{"RSYNC_PARTIAL_DIR=p", "--partial --delay-updates a", func(s *option.Set) bool { return s.PartialDir == ".~tmp~" }},
		{"RSYNC_ICONV=utf8", "a", func(s *option.Set) bool { return s.Iconv == "utf8" }},
		{"RSYNC_ICONV=utf8", "--no-iconv a", func(s *option.Set) bool { return s.Iconv == "" }},
		{"RSYNC_ICONV=utf8", "--server .", func(s *option.Set) bool { return s.Iconv == "" }},
		{"RSYNC_OLD_ARGS=5", "a", func(s *option.Set) bool { return s.OldArgs == 2 }},
		{"RSYNC_OLD_ARGS=1", "-s a", func(s *option.Set) bool { return s.OldArgs == 0 && s.SecludedArgs }},
		{"RSYNC_OLD_ARGS=1 RSYNC_PROTECT_ARGS=1", "a", func(s *option.Set) bool { return s.OldArgs == 1 && !s.SecludedArgs }},
		{"RSYNC_OLD_ARGS=1 RSYNC_PROTECT_ARGS=1", "--no-old-args a", func(s *option.Set) bool { return s.OldArgs == 0 && s.SecludedArgs }},
		{"RSYNC_PROTECT_ARGS=1", "--no-s a", func(s *option.Set) bool { return !s.SecludedArgs }},
		{"RSYNC_MAX_ALLOC=5m", "a", func(s *option.Set) bool { return s.MaxAlloc == 5<<20 }},
		{"RSYNC_MAX_ALLOC=5m", "--max-alloc=0 a", func(s *option.Set) bool { return s.MaxAlloc == 0 }},
	} {
		s, err := option.Parse(option.Input{Words: strings.Fields(c.words), Getenv: getenv(strings.Fields(c.env))})
		if err != nil || !c.want(s) {
			t.Errorf("%s %s: %v, %+v", c.env, c.words, err, s)
		}
	}
}

// heard are the fields that a server must understand as the client meant them,
// wherever they are sent.
var heard = []string{
	"Backup", "Update", "DryRun", "Links", "Owner", "Group", "Devices", "Specials", "Times", "Perms", "ACLs", "Recurse", "Checksum",
	"CVSExclude", "IgnoreTimes", "Relative", "Sparse", "BlockSize", "Timeout", "BwLimit", "BackupDir", "Suffix", "ChecksumChoice",
	"Compress", "CompressChoice", "MaxAlloc", "DeleteMissingArgs", "ChecksumSeed", "IgnoreErrors", "CopyUnsafeLinks", "SafeLinks",
	"NumericIDs", "Append", "Inplace", "RemoveSourceFiles", "RemoveSentFiles", "HardLinks",
}

// heardByReceivers are those that a receiving server must understand besides.
var heardByReceivers = []string{
	"KeepDirlinks", "PruneEmptyDirs", "OmitDirTimes", "OmitLinkTimes", "MaxDelete", "MinSize", "MaxSize", "Delete", "DeleteBefore", "DeleteDuring",
	"DeleteDelay", "DeleteAfter", "DeleteExcluded", "Force", "SizeOnly", "ModifyWindow", "PartialDir", "DelayUpdates", "Partial", "UserMap", "GroupMap",
	"IgnoreExisting", "Existing", "TempDir", "Fsync", "CompareDest", "CopyDest", "LinkDest", "WriteDevices", "Preallocate", "MkPath", "Itemize",
}

// TestServersUnderstandClients parses the words for a server, for random
// options, and holds what they come to against what the client has.
func TestServersUnderstandClients(t *testing.T) {
	const cases = 3000
	r := rand.New(rand.NewPCG(1, 2))
	understood := 0
	for range cases {
		words := append(someWords(r, 1+r.IntN(8)), "a", "b")
		client, err := option.Parse(option.Input{Words: words})
		if err != nil || client.Show != option.ShowNothing || client.Qsort || len(client.Remote) > 0 {
			continue // rsync's servers know no --use-qsort
		}
		understood++
		for _, pulls := range []bool{false, true} {
			said := append(client.PlainArgs(32, pulls), ".", "path")
			server, err := option.Parse(option.Input{Words: said})
			if err != nil || !server.Server || server.Sender != pulls || !slices.Equal(server.Args, []string{".", "path"}) {
				t.Fatalf("%q became %q: %v, %q", words, said, err, server.Args)
			}
			fields := heard
			if !pulls {
				fields = append(slices.Clone(heard), heardByReceivers...)
			}
			for _, f := range fields {
				c, s := reflect.ValueOf(*client).FieldByName(f), reflect.ValueOf(*server).FieldByName(f)
				if !reflect.DeepEqual(c.Interface(), s.Interface()) {
					t.Errorf("%q became %q: %s is %v, not %v", words, said, f, s.Interface(), c.Interface())
				}
			}
		}
	}
	if understood < cases/4 {
		t.Errorf("only %d of %d cases were legal", understood, cases)
	}
}

// FuzzParse holds that any words are read, and that what a client says is
// understood by a server.
func FuzzParse(f *testing.F) {
	for _, words := range []string{
		"-avz\x00--delete\x00src\x00host:dst", "--server\x00--sender\x00-vlogDtpre.iLsfxCIvu\x00.\x00mod/", "--daemon\x00--config=x",
		"--stop-at=1-1T:30\x00a", "--info=all9,none,name4\x00a", "-M--x\x00-M\x00-y", "--chmod=D755,Fu=g\x00a", "--bwlimit=1.5kib-1",
	} {
		f.Add(words, true)
	}
	f.Fuzz(func(t *testing.T, text string, remoteSends bool) {
		set, err := option.Parse(option.Input{Words: strings.Split(text, "\x00")})
		if err != nil || set.Show != option.ShowNothing || set.DaemonWords != nil {
			return
		}
		if ops, err := set.Operands(); err == nil && set.Show == option.ShowNothing && len(ops.Sources) == 0 && set.ReadBatch == "" {
			t.Errorf("%q has no source", text)
		}
		if set.Qsort || len(set.Remote) > 0 || set.Server {
			return
		}
		words := append(set.PlainArgs(32, remoteSends), ".")
		server, err := option.Parse(option.Input{Words: words})
		if err != nil || !server.Server {
			t.Errorf("%q became %q: %v", text, words, err)
		}
		_ = set.ServerArgs(29, remoteSends)
	})
}

// FuzzAliases holds that aliases, which may name each other, come to an end.
func FuzzAliases(f *testing.F) {
	f.Add(aliasFile, "-Qr\x00--two\x00--with=5\x00--loop")
	f.Fuzz(func(t *testing.T, file, words string) {
		aliases := option.ParseAliases(file, "rsync")
		if len(aliases) > 4 || len(words) > 100 || len(file) > 500 {
			return // what is nested grows with every level
		}
		_, _ = option.Parse(option.Input{Words: strings.Split(words, "\x00"), Aliases: aliases})
	})
}
