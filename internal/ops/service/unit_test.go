package service_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/ops/service"
)

func units(t *testing.T, s service.Setup) map[string]string {
	t.Helper()
	all, err := s.Units()
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, u := range all {
		texts[u.Name] = u.Text
	}
	return texts
}

func TestUnitsFitTheConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		setup     service.Setup
		has, lack []string
	}{
		"remote targets": {
			service.Setup{Reads: []string{"/web/www"}},
			[]string{"Type=notify", "RequiresMountsFor=/web/www", "ProtectSystem=full", "ProtectHome=read-only", "PrivateTmp=yes",
				"CapabilityBoundingSet=CAP_DAC_READ_SEARCH", "WatchdogSec=", "WantedBy=multi-user.target", "ExecStart=/bin/lockstep run -c /etc/l.toml"},
			[]string{"RestrictSUIDSGID", "OnCalendar"},
		},
		"a target below home": {service.Setup{Reads: []string{"/s"}, Writes: []string{"/home/x/copy"}}, []string{"ProtectSystem=full"}, []string{"ProtectHome"}},
		"a target in etc":     {service.Setup{Reads: []string{"/s"}, Writes: []string{"/etc/x"}}, []string{"ProtectHome"}, []string{"ProtectSystem"}},
		"a source in tmp":     {service.Setup{Reads: []string{"/tmp/s"}}, []string{"ProtectHome"}, []string{"PrivateTmp"}},
		"a target at the top": {service.Setup{Reads: []string{"/s"}, Writes: []string{"/"}}, nil, []string{"ProtectHome", "ProtectSystem", "PrivateTmp"}},
		"a package's": {service.Setup{Any: true}, []string{"From the package", "ConditionPathExists=/etc/l.toml", "NoNewPrivileges=yes"},
			[]string{"ProtectHome", "ProtectSystem", "PrivateTmp", "Written by"}},
		"a user's":            {service.Setup{User: true, Reads: []string{"/s"}}, []string{"WantedBy=default.target", "NoNewPrivileges=yes"}, []string{"Protect", "Capability", "network-online"}},
		"names with specials": {service.Setup{Reads: []string{`/a b/100%/$x"`}}, []string{`RequiresMountsFor="/a b/100%%/$$x\""`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.setup.Binary, c.setup.Config = "/bin/lockstep", "/etc/l.toml"
			text := units(t, c.setup)["lockstep.service"]
			for _, want := range c.has {
				if !strings.Contains(text, want) {
					t.Errorf("it lacks %s:\n%s", want, text)
				}
			}
			for _, no := range c.lack {
				if strings.Contains(text, no) {
					t.Errorf("it has %s:\n%s", no, text)
				}
			}
		})
	}
	if _, err := (service.Setup{Binary: "lockstep", Config: "/c"}).Units(); err == nil {
		t.Error("a relative binary is accepted")
	}
	if _, err := (service.Setup{Binary: "/l", Config: "/c", Verify: []service.Check{{Mirror: "www", When: "daily\nX=y"}}}).Units(); err == nil {
		t.Error("a time of two lines is accepted")
	}
}

// TestSystemdTakesTheUnits asks systemd itself.
func TestSystemdTakesTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	for _, user := range []bool{false, true} {
		dir := t.TempDir()
		s := service.Setup{Binary: "/bin/true", Config: "/etc/l.toml", User: user, Reads: []string{"/usr"}, Writes: []string{"/var/a b"}, Verify: []service.Check{{Mirror: "www", When: "Sun 03:00"}, {Mirror: "a.b-c_d", When: "*-*-* 4:00"}}, Rate: "10m",
			Daemon: "/etc/rsyncd.conf", Port: 873}
		all, err := s.Units()
		if err != nil {
			t.Fatal(err)
		}
		names, err := service.Write(dir, all)
		if err != nil {
			t.Fatal(err)
		}
		words := []string{"verify", "--man=no", "--recursive-errors=no"}
		for _, n := range names {
			words = append(words, filepath.Join(dir, n))
		}
		if out, err := exec.Command(analyze, words...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze (user %v): %v\n%s", user, err, out)
		}
	}
}

func TestOnlyWhatWeWroteIsReplacedAndRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "units")
	all, err := service.Setup{Binary: "/l", Config: "/c", Verify: []service.Check{{Mirror: "www", When: "daily"}}}.Units()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := service.Write(dir, all); err != nil {
			t.Fatal(err)
		}
	}
	theirs := filepath.Join(dir, "lockstep-verify@.service")
	if err := os.WriteFile(theirs, []byte("[Service]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := service.Write(dir, all); err == nil || !strings.Contains(err.Error(), "was not written by lockstep") {
		t.Errorf("a unit of somebody else: %v", err)
	}
	names, err := service.Installed(dir)
	if err != nil || !slices.Equal(names, []string{"lockstep.service", "lockstep-verify@www.timer"}) {
		t.Errorf("installed: %q, %v", names, err)
	}
	if err := service.Remove(dir, names); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "lockstep-verify@.service" {
		t.Errorf("left: %v, %v", left, err)
	}
}
