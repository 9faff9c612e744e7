package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/cli/inotify"
	"lockstep/internal/proof/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.RemoveBinary()
	os.Exit(code)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Two builds give the same bytes, and the .deb installs, starts as its unit
// says, does its work, stops, and leaves nothing when it is removed.
func TestPackages(t *testing.T) {
	if testing.Short() {
		t.Skip("builds packages")
	}
	t.Chdir("../..")
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	first, second := t.TempDir(), t.TempDir()
	programs := map[string]string{"amd64": filepath.Join(first, "program"), "arm64": filepath.Join(first, "arm64-program")}
	check(t, os.WriteFile(programs["amd64"], []byte("#!/bin/sh\n"), 0o755)) // what it is does not matter here
	crossBuild(t, programs["arm64"])
	for _, dir := range []string{first, second} {
		for arch, program := range programs {
			check(t, run(options{out: dir, version: "v1.2-3-gabc", binary: program, arches: arch, kinds: "deb,rpm"}))
		}
	}
	for arch := range programs {
		for _, kind := range []string{"deb", "rpm"} {
			name := "lockstep-1.2.3.gabc-" + arch + "." + kind
			a, err := os.ReadFile(filepath.Join(first, name))
			check(t, err)
			b, err := os.ReadFile(filepath.Join(second, name))
			check(t, err)
			if !bytes.Equal(a, b) {
				t.Errorf("two builds of %s differ: %d and %d bytes", name, len(a), len(b))
			}
			if magic := map[string]string{"deb": "!<arch>\ndebian-binary", "rpm": "\xed\xab\xee\xdb\x03"}[kind]; !bytes.HasPrefix(a, []byte(magic)) {
				t.Errorf("%s begins with %q, want %q", name, a[:20], magic)
			}
			if kind == "rpm" {
				judgeRPM(t, arch, a)
			}
		}
		judgeDeb(t, arch, filepath.Join(first, "lockstep-1.2.3.gabc-"+arch+".deb"))
	}
	t.Run("install", func(t *testing.T) {
		binary, err := harness.Binary()
		check(t, err)
		dir := t.TempDir()
		check(t, run(options{out: dir, version: "v1.2-3-gabc", binary: binary, arches: "amd64", kinds: "deb"}))
		install(t, filepath.Join(dir, "lockstep-1.2.3.gabc-amd64.deb"))
	})
}

// crossBuild builds the program for arm64.
func crossBuild(t *testing.T, path string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, "./cmd/lockstep")
	cmd.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// inside is what every package holds, besides the program.
var inside = []string{
	"usr/lib/systemd/system/lockstep.service", "usr/lib/systemd/system/lockstep-verify@.service", "usr/lib/systemd/system/lockstep-verify@.timer",
	"usr/lib/systemd/system/lockstep-rsyncd.socket", "usr/lib/lockstep/bin/rsync", "usr/share/man/man1/lockstep-mirror.1.gz",
	"usr/share/bash-completion/completions/lockstep", "usr/share/doc/lockstep/README.md",
}

// judgeDeb looks at the fields and the contents of a .deb.
func judgeDeb(t *testing.T, arch, file string) {
	t.Helper()
	if err := harness.Need("dpkg-deb"); err != nil {
		t.Skip(err)
	}
	fields, err := exec.Command("dpkg-deb", "--field", file, "Package", "Version", "Architecture").Output()
	check(t, err)
	if want := "Package: lockstep\nVersion: 1.2.3.gabc\nArchitecture: " + arch + "\n"; string(fields) != want {
		t.Errorf("%s: fields %q, want %q", file, fields, want)
	}
	data, err := exec.Command("dpkg-deb", "--fsys-tarfile", file).Output()
	check(t, err)
	have := map[string]*tar.Header{}
	texts := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		check(t, err)
		name := strings.Trim(strings.TrimPrefix(h.Name, "."), "/")
		have[name] = h
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 1_700_000_000 && h.Typeflag != tar.TypeDir {
			t.Errorf("%s: %s is of %d:%d, at %v", file, name, h.Uid, h.Gid, h.ModTime)
		}
		texts[name], err = io.ReadAll(r)
		check(t, err)
	}
	for _, name := range inside {
		if have[name] == nil {
			t.Errorf("%s lacks %s", file, name)
		}
	}
	if socket := string(texts["usr/lib/systemd/system/lockstep-rsyncd.socket"]); !strings.Contains(socket, "\nListenStream=873\n") || !strings.HasPrefix(socket, "# From the package") {
		t.Errorf("%s: the unit of the socket is\n%s", file, socket)
	}
	if h := have["usr/bin/lockstep"]; h == nil || h.Mode&0o777 != 0o755 {
		t.Errorf("%s: the program is %+v", file, h)
	}
	if arch == "arm64" {
		e, err := elf.NewFile(bytes.NewReader(texts["usr/bin/lockstep"]))
		check(t, err)
		if e.Machine != elf.EM_AARCH64 {
			t.Errorf("%s: the program is for %v", file, e.Machine)
		}
	}
}

// judgeRPM looks for what the header of an .rpm, which is not compressed, has to
// say.
func judgeRPM(t *testing.T, arch string, data []byte) {
	t.Helper()
	name := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}
	for a, word := range name {
		if has := bytes.Contains(data, []byte("\x00"+word+"\x00")); has != (a == arch) {
			t.Errorf("the .rpm for %s names %s: %v", arch, word, has)
		}
	}
	for _, file := range inside {
		if !bytes.Contains(data, []byte("\x00"+filepath.Base(file)+"\x00")) {
			t.Errorf("the .rpm for %s lacks %s", arch, file)
		}
	}
}

// install installs a .deb below a directory of its own, whose scripts are told
// so by DPKG_ROOT.
func install(t *testing.T, deb string) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: dpkg")
	}
	if err := harness.Need("dpkg"); err != nil {
		t.Skip(err)
	}
	root := t.TempDir()
	for _, dir := range []string{"info", "updates", "parts", "triggers"} {
		check(t, os.MkdirAll(filepath.Join(root, "var/lib/dpkg", dir), 0o755))
	}
	for _, file := range []string{"status", "available"} {
		check(t, os.WriteFile(filepath.Join(root, "var/lib/dpkg", file), nil, 0o644))
	}
	dpkg := func(args ...string) {
		t.Helper()
		cmd := exec.Command("dpkg", append([]string{"--root=" + root, "--force-script-chrootless", "--log=" + root + "/var/lib/dpkg/log"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("dpkg %q: %v\n%s", args, err, out)
		}
	}
	dpkg("--install", deb)
	for _, face := range faces {
		link := filepath.Join(root, faceDir, face)
		if to, err := filepath.EvalSymlinks(link); err != nil || to != filepath.Join(root, "usr/bin/lockstep") {
			t.Errorf("%s leads to %q (%v)", link, to, err)
		}
	}
	start(t, root)
	dpkg("--remove", "lockstep")
	left, err := filepath.Glob(root + "/usr/*/*")
	check(t, err)
	if len(left) > 0 {
		t.Errorf("removing the package left %q", left)
	}
}

// start runs what the unit's ExecStart and ExecReload say, as systemd would
// with root as its root directory.
func start(t *testing.T, root string) {
	unit, err := os.ReadFile(filepath.Join(root, "usr/lib/systemd/system/lockstep.service"))
	check(t, err)
	command := func(key string) *exec.Cmd {
		_, rest, ok := strings.Cut(string(unit), "\n"+key+"=")
		line, _, _ := strings.Cut(rest, "\n")
		words := strings.Fields(line)
		if !ok || len(words) < 2 {
			t.Fatalf("the unit has no %s:\n%s", key, unit)
		}
		for i, w := range words {
			if strings.HasPrefix(w, "/") {
				words[i] = root + w
			}
		}
		return exec.Command(words[0], words[1:]...)
	}
	source, target := t.TempDir(), filepath.Join(t.TempDir(), "target")
	check(t, os.WriteFile(filepath.Join(source, "file"), []byte("text"), 0o644))
	check(t, os.WriteFile(filepath.Join(root, "etc/lockstep/lockstep.toml"),
		fmt.Appendf(nil, "control = %q\n[mirror.www]\nsource = %q\ntargets = [%q]\n", root+"/control", source, target), 0o600))
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: root + "/notify", Net: "unixgram"})
	check(t, err)
	defer notify.Close()
	cmd := command("ExecStart")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+root+"/notify")
	p, err := harness.Start("the service", cmd, nil)
	check(t, err)
	defer p.End()
	buf := make([]byte, 4096)
	for said := ""; !strings.Contains(said, "READY=1"); {
		check(t, notify.SetReadDeadline(time.Now().Add(harness.Patience)))
		n, err := notify.Read(buf)
		if err != nil {
			t.Fatalf("the service did not say that it is ready: %v\n%s", err, p.Tail(20))
		}
		said = string(buf[:n])
	}
	arrived := func(name string) {
		t.Helper()
		check(t, harness.Poll(harness.Patience, name+" at the target", func() bool {
			_, err := os.Stat(filepath.Join(target, name))
			return err == nil
		}))
	}
	arrived("file")
	check(t, os.WriteFile(filepath.Join(source, "later"), nil, 0o644))
	arrived("later")
	if out, err := command("ExecReload").CombinedOutput(); err != nil {
		t.Errorf("reload: %v\n%s", err, out)
	}
	check(t, p.Signal(syscall.SIGTERM))
	if code, err := p.Wait(harness.Patience); err != nil || code != 0 {
		t.Errorf("the service ended with %d, %v\n%s", code, err, p.Tail(20))
	}
}

// Every command and every option of the faces is on a manual page that man can
// read.
func TestManualsShowEveryOption(t *testing.T) {
	pages, err := manuals(time.Unix(0, 0))
	check(t, err)
	for _, name := range []string{"lockstep.1", "lockstep-mirror.1", "lockstep-service-install.1", "lockstep-rsync.1"} {
		if !bytes.HasPrefix(pages[name], []byte(".nh\n.TH")) {
			t.Errorf("%s begins with %.40q", name, pages[name])
		}
	}
	plain := strings.NewReplacer(`\-`, "-", `\fB`, "", `\fP`, "", `\fR`, "", `\`, "")
	for _, face := range faces[1:] {
		text := plain.Replace(string(pages["lockstep-"+face+".1"]))
		for _, o := range slices.Concat(inotify.Options(face), inotify.Events()) {
			if !strings.Contains(text, "\n"+o.Label) {
				t.Errorf("lockstep-%s.1 does not show %s", face, o.Label)
			}
		}
	}
	for _, l := range rsyncOptions()[0].entries {
		if !strings.Contains(plain.Replace(string(pages["lockstep-rsync.1"])), "\n"+l.label) {
			t.Errorf("lockstep-rsync.1 does not show %s", l.label)
		}
	}
}

func TestPackedPagesHaveNoTime(t *testing.T) {
	packed, err := pack([]byte("text"))
	check(t, err)
	r, err := gzip.NewReader(bytes.NewReader(packed))
	check(t, err)
	text, err := io.ReadAll(r)
	check(t, err)
	if string(text) != "text" || !r.ModTime.IsZero() || r.Name != "" {
		t.Errorf("%q, of %v, called %q", text, r.ModTime, r.Name)
	}
}

func TestVersionsAreInOrder(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for described, want := range map[string]string{
		"v1.2.3": "1.2.3", "v1.2.3-4-gabcdef": "1.2.3.4.gabcdef", "1.0-dirty": "1.0.dirty",
		"12ddf9f": "0~20261123120000.12ddf9f", "a1b2c3d-dirty": "0~20261123120000.a1b2c3d.dirty",
	} {
		if got := packageVersion(described, at); got != want {
			t.Errorf("%s becomes %s, want %s", described, got, want)
		}
	}
}
