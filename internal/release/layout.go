package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep/internal/cli/lockstep"
	"lockstep/internal/ops/service"
	"lockstep/internal/rsync/session"
)

// layout is what a package holds, below a directory that stands for the root.
type layout struct {
	dir  string
	kind string // deb or rpm
	at   time.Time
}

// path is where the file called name in the package lies.
func (l *layout) path(name string) string { return filepath.Join(l.dir, filepath.FromSlash(name)) }

func (l *layout) write(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(l.path(name)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(l.path(name), data, 0o644)
}

// faces are the other names of the binary. They lie where nothing else looks:
// whoever wants them puts the directory first in PATH.
var faces = []string{"rsync", "inotifywait", "inotifywatch", "fsnotifywait", "fsnotifywatch"}

const faceDir = "/usr/lib/lockstep/bin"

// The setup that the units of a package are for. The configuration is not known.
var packaged = service.Setup{
	Binary: "/usr/bin/lockstep", Config: "/etc/lockstep/lockstep.toml", Any: true, Verify: []service.Check{{When: "weekly"}}, Daemon: "/etc/rsyncd.conf", Port: session.DefaultPort,
}

// fill writes everything but the binary.
func (l *layout) fill() error {
	for _, name := range faces {
		if err := os.MkdirAll(l.path(faceDir), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("../../../bin/lockstep", l.path(path.Join(faceDir, name))); err != nil {
			return err
		}
	}
	units, err := packaged.Units()
	if err != nil {
		return err
	}
	for _, u := range units {
		if err := l.write("/usr/lib/systemd/system/"+u.Name, []byte(u.Text)); err != nil {
			return err
		}
	}
	for _, name := range []string{"README.md", "CHANGELOG.md", "docs/config.md", "docs/metrics.md", "docs/control.md", "docs/divergence.md"} {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := l.write("/usr/share/doc/lockstep/"+path.Base(name), data); err != nil {
			return err
		}
	}
	pages, err := manuals(l.at)
	if err != nil {
		return err
	}
	for name, text := range pages {
		packed, err := pack(text)
		if err != nil {
			return err
		}
		if err := l.write("/usr/share/man/man1/"+name+".gz", packed); err != nil {
			return err
		}
	}
	return l.completions()
}

// pack compresses without a name or a time.
func pack(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

func (l *layout) completions() error {
	zsh := "/usr/share/zsh/vendor-completions/_lockstep"
	if l.kind == "rpm" {
		zsh = "/usr/share/zsh/site-functions/_lockstep"
	}
	for name, generate := range map[string]func(*cobra.Command, *bytes.Buffer) error{
		"/usr/share/bash-completion/completions/lockstep": func(c *cobra.Command, b *bytes.Buffer) error { return c.GenBashCompletionV2(b, true) },
		zsh: func(c *cobra.Command, b *bytes.Buffer) error { return c.GenZshCompletion(b) },
		"/usr/share/fish/vendor_completions.d/lockstep.fish": func(c *cobra.Command, b *bytes.Buffer) error { return c.GenFishCompletion(b, true) },
	} {
		var b bytes.Buffer
		if err := generate(lockstep.Root(), &b); err != nil {
			return err
		}
		if err := l.write(name, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// nfpm is its configuration: each file by name, with its mode and the time.
func (l *layout) nfpm(version, arch string) string {
	var b strings.Builder
	time := l.at.Format(time.RFC3339)
	fmt.Fprintf(&b, "name: lockstep\narch: %s\nplatform: linux\nversion: %q\nversion_schema: none\nsection: net\npriority: optional\n", arch, version)
	fmt.Fprintf(&b, "maintainer: lockstep <lockstep@localhost>\nmtime: %s\n", time)
	b.WriteString("description: |-\n  keep directory trees on other machines in step, in real time\n" +
		"  A live mirror into directories, rsync daemons and over ssh; an rsync client\n  and daemon; inotifywait and inotifywatch.\n")
	b.WriteString("rpm:\n  buildhost: localhost\n  compression: gzip\nscripts:\n")
	for _, s := range []string{"postinstall", "preremove", "postremove"} {
		fmt.Fprintf(&b, "  %s: internal/release/scripts/%s\n", s, s)
	}
	fmt.Fprintf(&b, "contents:\n- dst: /etc/lockstep\n  type: dir\n  file_info: {mode: 0755, mtime: %s}\n", time)
	_ = filepath.WalkDir(l.dir, func(name string, e fs.DirEntry, err error) error { // of what was just written
		if err != nil || e.IsDir() {
			return err
		}
		to, src, kind, mode := "/"+filepath.ToSlash(strings.TrimPrefix(name, l.dir+"/")), name, "file", "0644"
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			src, _ = os.Readlink(name)
			kind, mode = "symlink", "0777"
		case strings.HasPrefix(to, "/usr/bin/"):
			mode = "0755"
		}
		fmt.Fprintf(&b, "- src: %s\n  dst: %s\n  type: %s\n  file_info: {mode: %s, mtime: %s}\n", src, to, kind, mode, time)
		return nil
	})
	return b.String()
}
