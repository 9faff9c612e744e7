package eventline_test

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/internal/cli/eventline"
)

func TestStrftimeFollowsTheCLocale(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	at := time.Date(2005, 3, 18, 2, 58, 31, 0, berlin)
	for format, want := range map[string]string{
		"%d/%m/%y %H:%M":      "18/03/05 02:58",
		"%a %A %b %B %h":      "Fri Friday Mar March Mar",
		"%c|%x|%X|%r":         "Fri Mar 18 02:58:31 2005|03/18/05|02:58:31|02:58:31 AM",
		"%D %F %R %T":         "03/18/05 2005-03-18 02:58 02:58:31",
		"%C %y %Y %g %G":      "20 05 2005 05 2005",
		"%e|%k|%l|%I":         "18| 2| 2|02",
		"%j %U %V %W %u %w":   "077 11 11 11 5 5",
		"%s %z %Z %p %P":      "1111111111 +0100 CET AM am",
		"%n%t%%":              "\n\t%",
		"%5d|%-5d|%_5d|%05d":  "00018|   18|   18|00018",
		"%-m %-e %-k %0k %-z": "3 18 2 02 +100",
		"%3e %4k %_z":         " 18    2 + 100",
		"%10a|%010a|%-10a":    "       Fri|0000000Fri|       Fri",
		"%#a %#p %^p %^#p":    "FRI am AM am",
		"%#Z %^B %^P %#B":     "cet MARCH am MARCH",
		"%15F|%012F|%^c":      "     2005-03-18|002005-03-18|FRI MAR 18 02:58:31 2005",
		"%Ey %Od %OY %EQ":     "05 18 %OY %EQ",
		"%Q %i %+ %:z %":      "%Q %i %+ %:z %",
		"%020s":               "00000000001111111111",
		"plain":               "plain",
		"":                    "",
	} {
		if got := eventline.Strftime(format, at); got != want {
			t.Errorf("strftime(%q) = %q, want %q", format, got, want)
		}
	}
}

func TestStrftimeWeeksAtTheEdgesOfYears(t *testing.T) {
	for _, c := range []struct {
		y, m, d int
		want    string // %G %g %V %U %W %j %u
	}{
		{2004, 12, 31, "2004 04 53 52 52 366 5"},
		{2005, 1, 1, "2004 04 53 00 00 001 6"},
		{2005, 1, 2, "2004 04 53 01 00 002 7"},
		{2005, 1, 3, "2005 05 01 01 01 003 1"},
		{2008, 12, 29, "2009 09 01 52 52 364 1"},
		{2012, 1, 1, "2011 11 52 01 00 001 7"},
	} {
		at := time.Date(c.y, time.Month(c.m), c.d, 12, 0, 0, 0, time.UTC)
		if got := eventline.Strftime("%G %g %V %U %W %j %u", at); got != c.want {
			t.Errorf("%s: %s, want %s", at.Format(time.DateOnly), got, c.want)
		}
	}
}

// TestStrftimeAgreesWithTheCLibrary asks the C library, through perl, about
// every conversion on days spread over 70 years.
func TestStrftimeAgreesWithTheCLibrary(t *testing.T) {
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skip("perl, which reaches the C library's strftime, is not installed")
	}
	const format = "%a %A %b %B %c %C %d %D %e %F %g %G %h %H %I %j %k %l %m %M %p %P %r %R %s %S %T %u %U %V %w %W %x %X %y %Y %z %Z %%" +
		"|%_d|%-j|%^a|%#Z|%8d|%_8Y|%012s|%Ec|%OS"
	script := `use POSIX qw(strftime); for (my $i = 0; $i < 400; $i++) { print strftime($ARGV[0], localtime(86399 * 64 * $i)), "\n" }`
	cmd := exec.Command(perl, "-e", script, format)
	cmd.Env = []string{"TZ=UTC", "LC_ALL=C"}
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("perl has no POSIX module: %v", err)
	}
	for i, want := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		at := time.Unix(86399*64*int64(i), 0).UTC()
		if got := eventline.Strftime(format, at); got != want {
			t.Fatalf("at %s\n got %s\nwant %s", strconv.FormatInt(at.Unix(), 10), got, want)
		}
	}
}

func FuzzStrftime(f *testing.F) {
	for _, format := range []string{"%d/%m/%y %H:%M", "%010a", "%_-^#99999999999999999999EY", "%", "%E", "%5"} {
		f.Add(format, int64(1111111111))
	}
	f.Fuzz(func(t *testing.T, format string, seconds int64) {
		at := time.Unix(seconds%(1<<40), 0).UTC()
		if got := eventline.Strftime(format, at); len(got) > (len(format)+1)*(eventline.MaxTimeWidth+64) {
			t.Fatalf("%d bytes of format gave %d bytes", len(format), len(got))
		}
	})
}
