package harness

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// variable are the parts of what an rsync says that differ from run to run, or
// from program to program, with what stands for them.
var variable = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(` at [-\w./]+\(\w+\) \[(\w+)=[^]]*\]`), ` at FILE(LINE) [$1=VERSION]`},
	// What a program says of itself before and after the list of its options.
	{regexp.MustCompile(`(?ms)^rsync  version .*?^Usage: `), "BANNER\nUsage: "},
	{regexp.MustCompile(`\nOptions that rsync does not have;.*\n.*\n(?:--tls.*\n)*`), ``},
	{regexp.MustCompile(`(?m)^(?:Please see the rsync|The manpages of rsync|See https://).*\n(?:and .*\n)?`), ``},
	{regexp.MustCompile(`--port=\d+`), `--port=N`},
	{regexp.MustCompile(`(sent|received) [\d,.KMG]+ bytes`), `$1 N bytes`},
	{regexp.MustCompile(`\(\d+ bytes received so far\)`), `(N bytes received so far)`},
	{regexp.MustCompile(`[\d,.]+[KMG]? bytes/sec`), `N bytes/sec`},
	{regexp.MustCompile(`speedup is [\d,.]+`), `speedup is N`},
	{regexp.MustCompile(`(Total bytes (?:sent|received)|File list size): [\d,.KMG]+`), `$1: N`},
	{regexp.MustCompile(`(File list (?:generation|transfer) time): [\d.]+`), `$1: N`},
	{regexp.MustCompile(` +[\d.]+[kMG]B/s +(?:\d+:\d\d:\d\d|\?\?:\?\?:\?\?)`), ` N/s TIME`},
	{regexp.MustCompile(`(\.[^"/\s]+)\.[A-Za-z0-9]{6}"`), `$1.XXXXXX"`},
	// What an end that is told to stop, or whose peer is gone, may or may not
	// have the time to say.
	{regexp.MustCompile(`(?m)^rsync error: received SIGUSR1.*\n`), ``},
	{regexp.MustCompile(`(?m)^rsync: \[\w+\] (?:read|write) error: (?:Connection reset by peer|Broken pipe) \(\d+\)\n`), ``},
	{regexp.MustCompile(`(?m)^rsync: \[\w+\] safe_write failed .*: Broken pipe \(32\)\n`), ``},
	{regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\d+\] `), `TIME [PID] `},
	{regexp.MustCompile(`hash_hits=\d+`), `hash_hits=N`}, // how a search looks, not what it finds
	{regexp.MustCompile(`port \d+`), `port N`},
	{regexp.MustCompile(`(?m)^building file list \.\.\. (\[sender\] )`), "building file list ... \n$1"}, // about any name
	{regexp.MustCompile(`(?m)^default_perms_for_dir: sys_acl_get_file\(.*\n`), ``},                      // of directories that are not there
	{regexp.MustCompile(`--rsync-path=\S+`), `--rsync-path=PROGRAM`},
}

// Plain is what an rsync said in the way that any other run in another world
// says it: the world's path, places in programs, speeds and the like have a
// word that stands for them. Intermediate lines of progress are gone.
func Plain(text, world string, programs ...string) string {
	text = strings.ReplaceAll(text, world, "$W")
	text = strings.ReplaceAll(text, filepath.Base(world)+"/", "$W/")
	text = strings.ReplaceAll(text, "/$W", "$W")
	for _, p := range programs {
		text = strings.ReplaceAll(text, p, "PROGRAM")
	}
	for _, v := range variable {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	if !strings.Contains(text, "\r") {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		// What a terminal would show in the end.
		lines[i] = line[strings.LastIndexByte(line, '\r')+1:]
	}
	return strings.Join(lines, "\n")
}

// lateEnd is what a server may say when its client is gone already, after a
// transfer at an old protocol that was complete or one that could not begin.
var lateEnd = regexp.MustCompile(`(?m)^rsync error: error in (?:rsync protocol data stream \(code 12\)|socket IO \(code 10\)) .*\n`)

// hungUp is how a client ends whose server is gone.
var hungUp = regexp.MustCompile(`(?m)^rsync: connection unexpectedly closed .*\n|^rsync error: error in (?:rsync protocol data stream \(code 12\)|socket IO \(code 10\)) .*\n`)

// HungUp is the outcome of a push to a daemon that may have gone before it had
// read everything: then it is luck whether the client sees an end or an error.
func (o Outcome) HungUp() Outcome {
	const socket, stream = 10, 12
	if o.Code == socket || o.Code == stream {
		o.Code, o.Err = stream, hungUp.ReplaceAllString(o.Err, "")
	}
	return o
}

// misfit is what each end says of a protocol that does not do, or does not have
// an option. Which of them has the time to say so, is a matter of luck.
var misfit = regexp.MustCompile(` requires protocol \d+ or higher |(?m:^)protocol version mismatch `)

// alone is standard error as one end alone would have said it.
func alone(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "rsync error: protocol incompatibility") {
			line = "rsync error: protocol incompatibility\n"
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// highByte is a byte of no ASCII character as the receiving half of rsync's local
// copies shows it in errors.
var highByte = regexp.MustCompile(`\\#[23][0-7][0-7]`)

// PlainErrors is Plain for standard error, given how the transfer ended.
func PlainErrors(text, world string, code int, programs ...string) string {
	text = Plain(text, world, programs...)
	text = highByte.ReplaceAllStringFunc(text, func(escape string) string {
		b, _ := strconv.ParseUint(escape[2:], 8, 8) // the pattern has no others
		return string([]byte{byte(b)})
	})
	if misfit.MatchString(text) {
		text = alone(text)
	}
	if code == 0 || code == 2 {
		text = lateEnd.ReplaceAllString(text, "")
	}
	return text
}

// told are lines that come over a way of their own, so that where they stand
// among the others depends on which of two processes was faster: deletions, what
// is said of names that are left out, and what a sender misses.
var told = []*regexp.Regexp{
	regexp.MustCompile(`^(?:TIME \[PID\] )?(\*?deleting |del\. |cannot delete |Deletions stopped|IO error encountered)`),
	regexp.MustCompile(`^sender removed `),
	regexp.MustCompile(`^(?:TIME \[PID\] )?(?:file|directory) has vanished: `), // before protocol 30 that is no warning
	regexp.MustCompile(`^(?:TIME \[PID\] )?(skipping |ignoring |\[\w+\] )`),
}

// Settled is text with lines of each kind in their own order: those that come
// over a way of their own stand last.
func Settled(text string) string {
	kinds := make([]strings.Builder, len(told)+1)
	for line := range strings.Lines(text) {
		kind := 1 + slices.IndexFunc(told, func(r *regexp.Regexp) bool { return r.MatchString(line) })
		kinds[kind].WriteString(line)
	}
	var all strings.Builder
	for i := range kinds {
		text := kinds[i].String()
		if strings.HasPrefix(text, "sender removed ") {
			text = SortedLines(text) // in the order in which files were complete
		}
		all.WriteString(text)
	}
	return all.String()
}

// SortedLines is text with its lines in one order, for what several processes
// write at the same time.
func SortedLines(text string) string {
	lines := strings.SplitAfter(text, "\n")
	slices.SortStableFunc(lines, func(a, b string) int { return cmp.Compare(a, b) })
	return strings.Join(lines, "")
}

// DiffLines shows which lines only one of two texts has, "-" before those of
// want and "+" before those of got; empty if they are equal.
func DiffLines(want, got string) string {
	if want == got {
		return ""
	}
	a, b := strings.SplitAfter(want, "\n"), strings.SplitAfter(got, "\n")
	// Lengths of the longest common subsequences of the tails.
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	show := func(mark, line string) {
		if line != "" {
			out.WriteString(mark + strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			show("- ", a[i])
			i++
		default:
			show("+ ", b[j])
			j++
		}
	}
	return out.String()
}
