package daemon_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// What a log of transfers has that differs from run to run: the time and the
// process in front, when a directory was made, and lines that are no transfers'.
var (
	logFront = regexp.MustCompile(`(?m)^\S+ \S+ \[\d+\] `)
	logOther = regexp.MustCompile(`(?m)^(rsyncd version|connect from|rsync allowed|sent \d|.* file list$).*\n`)
	justNow  = regexp.MustCompile(`M=20(2[1-9]|[3-9]\d)\S*`)
)

// TestLogsOfTransfers holds every conversion of the log format, of what is
// received, sent, changed without data and deleted, against rsync's daemon.
func TestLogsOfTransfers(t *testing.T) {
	t.Parallel()
	rsync(t)
	const script = "mkdir -p mod/dir/sub mod/have/x src/s empty; echo old > mod/gone; echo x > mod/dir/f; ln -s f mod/dir/l; echo same > mod/same; cp -p mod/same src/same\n" +
		"echo ab > mod/upd; echo changed > src/upd; echo new > src/s/n; ln -s n src/s/l; mkfifo mod/fifo; ln src/s/n src/s/hard; echo g > mod/have/x/gone\n" +
		"head -c 70000 /dev/zero > mod/big; chmod 751 mod/big; chmod 4755 mod/gone; echo s/m > list; chmod 755 src src/s mod mod/dir mod/dir/sub; chmod 644 src/upd src/s/n mod/dir/f; touch -d @1500000000 mod mod/have\n"
	commands := []string{
		"-an --delete src/ URL/mod/have/",
		"-aHi --delete --exclude=have src/ URL/mod/",
		"-a --delete src/ URL/mod/have/",
		"-a src/ URL/mod/made/",
		"-a src/upd URL/mod/have/name",
		"-aii src/s/ URL/mod/have/s/",
		"-aH URL/mod/ out/",
		"-aR URL/mod/have/s out/",
		"-rn URL/mod/ none/",
		"-a --files-from=list --delete-missing-args src/ URL/mod/have/",
		"-r --delete-after empty/ URL/mod/",
	}
	for name, format := range map[string]string{
		"all conversions": "%i o=%o h=%h a=%a m=%m u=%u f=%f l=%l B=%B b=%b c=%c C=%C n=%n L=%L M=%M U=%U G=%G P=%P %q %5l %-8n| %'l %''l %%",
		"no items":        "%o %h [%a] %m (%u) %f %l",
		"no operations":   "%n %l",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs [2]string
			for i, ours := range []bool{false, true} {
				w := build(t, script, owner()+"munge symlinks = no\nreverse lookup = no\ntransfer logging = yes\nlog format = "+format+"\n[mod]\npath = DIR/mod\nread only = no\n")
				w.start(ours)
				for n, command := range commands {
					if got := w.run("rsync " + command + " > /dev/null"); got != "-> 0\n" {
						t.Errorf("%s: %s", command, got)
					}
					eventually(t, fmt.Sprintf("the log has the end of %d transfers", n+1), func() bool { return strings.Count(w.read("log"), "total size") > n })
				}
				plain := logOther.ReplaceAllString(logFront.ReplaceAllString(w.read("log"), ""), "")
				logs[i] = justNow.ReplaceAllString(strings.NewReplacer(w.dir, "DIR", w.address(), "AT").Replace(plain), "M=NOW")
			}
			if logs[0] != logs[1] {
				t.Errorf("rsync's log is\n%s\nours\n%s", logs[0], logs[1])
			}
			if !strings.Contains(logs[1], "del. ") && !strings.Contains(logs[1], "o=del.") && !strings.Contains(logs[1], "deleting ") {
				t.Errorf("no deletion in\n%s", logs[1])
			}
		})
	}
}
