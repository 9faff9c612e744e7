package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lockstep/internal/fs/tree"
	"lockstep/internal/live/change"
	"lockstep/internal/live/target"
	"lockstep/internal/live/watch"
)

// maxName bounds the name of a mirror.
const maxName = 64

// maxSocket is the longest path of a control socket, in bytes: a unix socket's
// path may have 107 (unix(7)), and it is made under a longer name.
const maxSocket = 90

// validate checks everything that can be checked without looking at sources
// and targets. Errors name the table and the key.
func (c *Config) validate(read func(string) ([]byte, error)) error {
	if c.Control != "" {
		if err := absolute("control", c.Control); err != nil {
			return err
		}
		if len(c.Control) > maxSocket {
			return fmt.Errorf("control: a socket's path has at most %d bytes, this one has %d", maxSocket, len(c.Control))
		}
	}
	if err := c.served(); err != nil {
		return err
	}
	if len(c.Mirrors) == 0 {
		return errors.New("no mirror is configured: add a table [mirror.NAME] with source and targets")
	}
	for i := range c.Mirrors {
		m := &c.Mirrors[i]
		if err := m.validate(read); err != nil {
			return fmt.Errorf("mirror.%s: %w", tree.Quote(m.Name), err)
		}
	}
	return c.apart()
}

// served completes and checks what is served.
func (c *Config) served() (err error) {
	if c.Metrics, err = Address("metrics", c.Metrics); err != nil {
		return err
	}
	if path, unix := strings.CutPrefix(c.Page, "unix:"); unix {
		err = absolute("page", path)
	} else {
		c.Page, err = Address("page", c.Page)
	}
	if err != nil {
		return err
	}
	for key, file := range map[string]string{"page_token_file": c.PageTokenFile, "page_cert": c.PageCert, "page_key": c.PageKey, "page_client_ca": c.PageClientCA} {
		if file == "" {
			continue
		}
		if err := absolute(key, file); err != nil {
			return err
		}
		if c.Page == "" {
			return fmt.Errorf("%s: there is no page: say where with page", key)
		}
	}
	return nil
}

// Address completes an address: without a host it is on loopback. key is what
// errors call it.
func Address(key, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if !strings.Contains(s, ":") {
		s = ":" + s
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%s: %s is no address: want HOST:PORT or a port", key, tree.Quote(s))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%s: %s is no port between 1 and 65535", key, tree.Quote(port))
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

func (m *Mirror) validate(read func(string) ([]byte, error)) error {
	if err := checkName(m.Name); err != nil {
		return err
	}
	if m.Source == "" {
		return errors.New("source: no directory named")
	}
	if len(m.Targets) == 0 {
		return errors.New("targets: none named")
	}
	if err := m.paths(); err != nil {
		return err
	}
	if err := m.bounds(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, t := range m.Targets {
		if seen[t] {
			return fmt.Errorf("targets: %s is named twice", tree.Quote(t))
		}
		seen[t] = true
		if err := checkTarget(t); err != nil {
			return err
		}
	}
	for t := range m.PasswordFiles {
		if !seen[t] {
			return fmt.Errorf("password_files: %s is not among targets", tree.Quote(t))
		}
	}
	return m.compile(read)
}

// checkName wants a word that needs no quoting anywhere.
func checkName(name string) error {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	if name == "" || len(name) > maxName || strings.Trim(name[:1], "-.") == "" || strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return fmt.Errorf("a name has 1 to %d letters, digits, '-', '_' and '.', and begins with none of '-' and '.'", maxName)
	}
	return nil
}

// paths wants absolute ones: a service has no directory of its own.
func (m *Mirror) paths() error {
	check := map[string][]string{"source": {m.Source}, "password_file": {m.PasswordFile}, "tls_ca": {m.TLSCA}, "tls_cert": {m.TLSCert},
		"tls_key": {m.TLSKey}, "include_from": m.IncludeFrom, "exclude_from": m.ExcludeFrom}
	for _, file := range m.PasswordFiles {
		check["password_files"] = append(check["password_files"], file)
	}
	for _, key := range []string{"source", "password_file", "password_files", "tls_ca", "tls_cert", "tls_key", "include_from", "exclude_from"} {
		for _, p := range check[key] {
			if p == "" && slices.Contains([]string{"password_file", "tls_ca", "tls_cert", "tls_key"}, key) {
				continue
			}
			if err := absolute(key, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func absolute(key, p string) error {
	if !filepath.IsAbs(p) || strings.ContainsRune(p, 0) {
		return fmt.Errorf("%s: %s is not an absolute path", key, tree.Quote(p))
	}
	return nil
}

func (m *Mirror) bounds() error {
	if _, err := m.maxDelete(); err != nil {
		return fmt.Errorf("max_delete: %v: %w", m.MaxDelete, err)
	}
	if m.Protocol != 0 && (m.Protocol < 27 || m.Protocol > 32) {
		return fmt.Errorf("protocol: %d is not within 27 to 32", m.Protocol)
	}
	if m.Protocol != 0 && m.Protocol < 30 && (m.ACLs || m.Xattrs) {
		return fmt.Errorf("protocol: %d carries neither ACLs nor xattrs, they need 30", m.Protocol)
	}
	if _, err := watch.ParseBackend(m.Watch); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	if err := (target.Backups{Dir: m.BackupDir, Days: m.BackupDays}).Validate(); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "backup-d", "backup_d"))
	}
	if err := m.hooks(); err != nil {
		return err
	}
	if _, err := m.rates(); err != nil {
		return fmt.Errorf("bwlimit: %w", err)
	}
	if err := checkCalendar(m.Verify); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if _, err := ParseRates(cmp.Or(m.VerifyBwLimit, "0")); err != nil {
		return fmt.Errorf("verify_bwlimit: %w", err)
	}
	if _, err := ParseWindows(m.QuietHours); err != nil {
		return fmt.Errorf("quiet_hours: %w", err)
	}
	return nil
}

// maxDelete is what MaxDelete says: a number, or a string.
func (s *Settings) maxDelete() (change.Limit, error) {
	return change.ParseLimit(fmt.Sprint(s.MaxDelete))
}

func checkTarget(text string) error {
	sp, err := target.ParseSpec(text)
	if err != nil {
		return err
	}
	if sp.Transport == target.Local {
		return absolute("targets", sp.Path)
	}
	if sp.Transport == target.Daemon && strings.Contains(sp.User, ":") {
		return errors.New("targets: passwords are not written here: name a file that holds one with password_file")
	}
	return nil
}

// apart refuses one target for two mirrors, and directories that would be
// mirrored round in circles.
func (c *Config) apart() error {
	owner := map[string]string{}
	feeds := map[string][]string{} // mirror -> those whose source a target of it lies in
	for i := range c.Mirrors {
		m := &c.Mirrors[i]
		for _, t := range m.Targets {
			key := strings.TrimRight(t, "/")
			if other, taken := owner[key]; taken {
				return fmt.Errorf("mirror.%s: targets: %s is a target of mirror.%s too", m.Name, tree.Quote(t), other)
			}
			owner[key] = m.Name
			sp, err := target.ParseSpec(t)
			if err != nil || sp.Transport != target.Local {
				continue
			}
			for j := range c.Mirrors {
				if o := &c.Mirrors[j]; overlap(sp.Path, o.Source) {
					feeds[m.Name] = append(feeds[m.Name], o.Name)
				}
			}
		}
	}
	for i := range c.Mirrors {
		if at := circle(feeds, c.Mirrors[i].Name); at != "" {
			return fmt.Errorf("mirror.%s: targets: a directory of it is mirrored back into its own source (by mirror.%s)", c.Mirrors[i].Name, at)
		}
	}
	return nil
}

// circle is the mirror through which what start writes comes back to it, "" if
// it does not.
func circle(feeds map[string][]string, start string) string {
	seen, todo := map[string]bool{}, []string{start}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		for _, next := range feeds[at] {
			if next == start {
				return at
			}
			if !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return ""
}

// overlap reports whether one directory holds the other, by name.
func overlap(a, b string) bool {
	a, b = strings.TrimSuffix(filepath.Clean(a), "/")+"/", strings.TrimSuffix(filepath.Clean(b), "/")+"/"
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}
