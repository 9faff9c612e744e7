// Command release builds the packages, .deb and .rpm, that `make packages` puts
// into dist:
//
//	go run ./internal/release
//
// They hold the binary, its other names in /usr/lib/lockstep/bin, units that
// fit any configuration, manual pages and completions generated from the
// commands and tables of options, and the documents. Whoever builds the same
// commit twice gets the same bytes: all times are the commit's, or
// SOURCE_DATE_EPOCH.
//
// The files are laid out below a temporary directory; nfpm, pinned by nfpm.mod
// so that the module does without its dependencies, makes packages of it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	out     string
	version string
	binary  string
	arches  string
	kinds   string
}

func main() {
	var o options
	flag.StringVar(&o.out, "out", "dist", "directory for the packages")
	flag.StringVar(&o.version, "version", "", "version (default: what git describes)")
	flag.StringVar(&o.binary, "binary", "", "package this binary, for one architecture only, instead of building")
	flag.StringVar(&o.arches, "arch", "amd64,arm64", "architectures, as Go calls them")
	flag.StringVar(&o.kinds, "kind", "deb,rpm", "kinds of packages")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	arches := strings.Split(o.arches, ",")
	if o.binary != "" && len(arches) > 1 {
		return errors.New("-binary: one binary is for one architecture: -arch amd64")
	}
	at, err := commitTime()
	if err != nil {
		return err
	}
	if o.version == "" {
		if o.version, err = output("git", "describe", "--tags", "--always", "--dirty"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	for _, arch := range arches {
		for kind := range strings.SplitSeq(o.kinds, ",") {
			if err := build(o, arch, kind, at); err != nil {
				return fmt.Errorf("%s for %s: %w", kind, arch, err)
			}
		}
	}
	return nil
}

// build makes one package.
func build(o options, arch, kind string, at time.Time) error {
	stage, err := os.MkdirTemp("", "lockstep-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	l := &layout{dir: filepath.Join(stage, "root"), kind: kind, at: at}
	if err := l.fill(); err != nil {
		return err
	}
	if err := l.program(o, arch); err != nil {
		return err
	}
	version := packageVersion(o.version, at)
	config := filepath.Join(stage, "nfpm.yaml")
	if err := os.WriteFile(config, []byte(l.nfpm(version, arch)), 0o644); err != nil {
		return err
	}
	name := fmt.Sprintf("lockstep-%s-%s.%s", version, arch, kind)
	cmd := exec.Command("go", "tool", "-modfile=internal/release/nfpm.mod", "nfpm", "package",
		"--config", config, "--packager", kind, "--target", filepath.Join(o.out, name))
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(at.Unix(), 10))
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nfpm: %w\n%s", err, text)
	}
	fmt.Println(filepath.Join(o.out, name))
	return nil
}

// program puts the binary into the layout.
func (l *layout) program(o options, arch string) error {
	path := l.path("/usr/bin/lockstep")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if o.binary != "" {
		data, err := os.ReadFile(o.binary)
		if err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o755)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X lockstep/internal/cli/lockstep.version="+o.version, "-o", path, "./cmd/lockstep")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, text)
	}
	return nil
}

// commitTime is the time that everything in the packages has.
func commitTime() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		var err error
		if text, err = output("git", "log", "-1", "--format=%ct"); err != nil {
			return time.Time{}, err
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %q is not a number of seconds", text)
	}
	return time.Unix(n, 0).UTC(), nil
}

// released is what git describes from a tag on.
var released = regexp.MustCompile(`^v?([0-9]+\.[0-9].*)$`)

// packageVersion is a version as dpkg and rpm can order it: it begins with a
// digit and has no hyphen. Without a tag it is older than any release, and
// newer than that of an earlier commit.
func packageVersion(described string, at time.Time) string {
	v := "0~" + at.Format("20060102150405") + "." + described
	if m := released.FindStringSubmatch(described); m != nil {
		v = m[1]
	}
	return strings.ReplaceAll(v, "-", ".")
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
