package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lockstep/internal/fs/filter"
	"lockstep/internal/rsync/daemon/conf"
	"lockstep/internal/rsync/session"
)

// Module is what a transfer needs to know of a module, decided before anything
// of the client's request was read. It goes to the process of the transfer.
type Module struct {
	Name string
	Path string // as it is configured, for hooks and logs

	Jail   string // the daemon's own chroot, which comes first; "" is none
	Chroot string // "" is none
	Dir    string // where the module lies, after both

	Identity *Identity // nil is that of the daemon

	ReadOnly, WriteOnly bool
	Munge               bool
	NumericIDs          bool
	FakeSuper           bool
	IgnoreErrors        bool
	InsecureLinks       bool
	OpenNoatime         conf.Tri
	Timeout             int // seconds, 0 is none
	MaxVerbosity        int
	Incoming, Outgoing  string // changes of modes
	TempDir             string
	Charset             string // of names, for clients with --iconv; "" refuses them
	Readable            bool   // only what can be read is listed
	Converted           bool   // users and groups are known to the name converter
	Refuse              string
	NoCompress          bool
	LogTransfers        bool
	LogFormat           string
	BwLimit             int64

	Rules []Rule // the module's own filter
	Files map[string][]byte
}

// Rule is one part of a module's filter.
type Rule struct {
	Kind  RuleKind
	Value string
}

// RuleKind is which parameter a Rule is from.
type RuleKind uint8

// The parameters of a filter, in the order in which they count.
const (
	FilterRules RuleKind = iota
	IncludeFrom
	IncludeRules
	ExcludeFrom
	ExcludeRules
)

// Identity is who a transfer runs as.
type Identity struct {
	UID  int // -1 is the daemon's own
	GIDs []int
}

// module is a Module with what only the daemon needs to know.
type module struct {
	Module
	section *conf.Section
	env     conf.Env

	authUsers, authDigest, secrets string
	strict                         bool
	maxConnections                 int
	lockFile                       string
	early, pre, post, converter    string
	chrootWished                   conf.Tri
}

// newModule reads the parameters that decide before a login; env has what is
// known of the connection.
func newModule(s *conf.Section, env conf.Env) *module {
	m := &module{section: s, env: env}
	text := func(p conf.Param) string { return s.Text(p, env) }
	m.Module = Module{
		Name:     s.Name,
		ReadOnly: s.Bool(conf.ReadOnly), WriteOnly: s.Bool(conf.WriteOnly),
		FakeSuper: s.Bool(conf.FakeSuper), IgnoreErrors: s.Bool(conf.IgnoreErrors), InsecureLinks: s.Bool(conf.InsecureLinks),
		OpenNoatime: s.Tri(conf.OpenNoatime), Timeout: max(s.Int(conf.Timeout), 0), MaxVerbosity: s.Int(conf.MaxVerbosity),
		Incoming: text(conf.IncomingChmod), Outgoing: text(conf.OutgoingChmod),
		Refuse: text(conf.RefuseOptions), NoCompress: slices.Contains(strings.Fields(text(conf.DontCompress)), "*"),
		Charset: text(conf.Charset), Readable: s.Bool(conf.IgnoreNonreadable),
		LogTransfers: s.Bool(conf.TransferLogging), LogFormat: s.Raw(conf.LogFormat),
	}
	m.authUsers, m.authDigest = text(conf.AuthUsers), text(conf.AuthDigest)
	m.secrets, m.strict = text(conf.SecretsFile), s.Bool(conf.StrictModes)
	m.maxConnections, m.lockFile = s.Int(conf.MaxConnections), text(conf.LockFile)
	m.chrootWished = s.Tri(conf.UseChroot)
	return m
}

// settle reads what may depend on the user: names, places and filters.
func (m *module) settle() error {
	text := func(p conf.Param) string { return m.section.Text(p, m.env) }
	if err := m.identify(text(conf.UID), text(conf.GID)); err != nil {
		return err
	}
	if err := m.locate(text(conf.Path)); err != nil {
		return err
	}
	m.TempDir = text(conf.TempDir)
	m.LogFormat = conf.Expand(m.LogFormat, m.env)
	m.early, m.pre, m.post = m.section.Raw(conf.EarlyExec), m.section.Raw(conf.PreXferExec), m.section.Raw(conf.PostXferExec)
	m.converter = m.section.Raw(conf.NameConverter)
	m.Converted = m.converter != ""
	if m.Charset != "" && !session.KnownCharset(m.Charset) {
		return refused("charset", "unknown charset", "module %s: charset %q is not known", m.Name, m.Charset)
	}
	for _, r := range []struct {
		kind  RuleKind
		param conf.Param
	}{{FilterRules, conf.Filter}, {IncludeFrom, conf.IncludeFrom}, {IncludeRules, conf.Include}, {ExcludeFrom, conf.ExcludeFrom}, {ExcludeRules, conf.Exclude}} {
		if value := text(r.param); value != "" {
			m.Rules = append(m.Rules, Rule{r.kind, value})
		}
	}
	m.Files = map[string][]byte{}
	if _, err := m.guard(func(name string) ([]byte, error) {
		data, err := jail(m.Jail).readFile(name, maxFilterFile)
		if err == nil {
			m.Files[name] = data
		}
		return data, err
	}); err != nil {
		return refused("filter", "failed to load the module's filter", "module %s: %v", m.Name, err)
	}
	return nil
}

// maxFilterFile bounds a file of a module's filter, in bytes.
const maxFilterFile = 16 << 20

// identify finds out who the transfer runs as.
func (m *module) identify(uid, gid string) error {
	root := os.Geteuid() == 0
	if !root && uid == "" && gid == "" {
		return nil
	}
	names := jail(m.Jail)
	id := &Identity{UID: -1}
	name := cmp.Or(uid, map[bool]string{true: "nobody"}[root])
	if name != "" {
		n, ok := names.userID(name)
		if !ok {
			return refused("uid", "invalid uid "+name, "Invalid uid %s", name)
		}
		id.UID = n
	}
	for i, g := range names.groupList(gid, root) {
		if g == "*" && i == 0 {
			all, err := names.allGroups(id.UID)
			if err != nil {
				return refused("gid", "getgroups failed", "getgroups of uid %d: %v", id.UID, err)
			}
			id.GIDs = append(id.GIDs, all...)
			continue
		}
		n, ok := names.groupID(g)
		if !ok {
			return refused("gid", "invalid gid "+g, "Invalid gid %s", g)
		}
		id.GIDs = append(id.GIDs, n)
	}
	if root {
		m.Identity = id
		return nil
	}
	if id.UID >= 0 && id.UID != os.Geteuid() {
		return refused("uid", "setuid failed", "setuid(%d) failed: the daemon is not root", id.UID)
	}
	if len(id.GIDs) > 0 && id.GIDs[0] != os.Getegid() {
		return refused("gid", "setgid failed", "setgid(%d) failed: the daemon is not root", id.GIDs[0])
	}
	return nil
}

// groupList is the list of groups, for root by default nobody's.
func (j jail) groupList(value string, root bool) []string {
	if value != "" {
		return splitList(value)
	}
	if !root {
		return nil
	}
	for _, name := range []string{"nobody", "nogroup"} {
		if _, ok := j.groupID(name); ok {
			return []string{name}
		}
	}
	return []string{"nobody"}
}

// munged is the directory that must not exist where symlinks are munged.
const munged = "/rsyncd-munged"

// locate finds out where the module lies.
func (m *module) locate(path string) error {
	if path == "" {
		return refused("path", "no path setting.", "No path specified for module %s", m.Name)
	}
	if strings.Contains(m.section.Raw(conf.Path), "%RSYNC_") && hasDots(path) {
		return refused("path", "no path setting.", "the path of module %s leads elsewhere by what the client said: %q", m.Name, path)
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return refused("path", "chdir failed", "path %q: %v", path, err)
	}
	outer, inner, divided := strings.Cut(path, "/./")
	m.Path = full
	m.Dir = full
	switch m.chrootWished {
	case conf.No:
	case conf.Yes:
		m.Chroot = full
	default:
		if divided || canChroot() {
			m.Chroot = full
		}
	}
	if m.Chroot != "" {
		m.Dir = "/"
		if divided {
			m.Chroot, m.Dir = cmp.Or(filepath.Clean(outer), "/"), filepath.Clean("/"+inner)
		}
	}
	m.Munge = m.section.Tri(conf.MungeSymlinks) == conf.Yes
	if m.section.Tri(conf.MungeSymlinks) == conf.Unset {
		m.Munge = m.Dir != "/"
	}
	ids := m.section.Tri(conf.NumericIDs)
	m.NumericIDs = ids == conf.Yes || ids == conf.Unset && m.Chroot != "" && m.section.Raw(conf.NameConverter) == ""
	return nil
}

func hasDots(path string) bool {
	return slices.Contains(strings.Split(path, "/"), "..")
}

// canChroot reports whether this process may change its root.
func canChroot() bool {
	if os.Geteuid() != 0 {
		return false
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_SYS_CHROOT) != 0
}

// wordsName is the name under which the words of a parameter are merged.
const wordsName = "\x01words"

// guard compiles the module's own filter. Files are read by read.
func (m *Module) guard(read func(name string) ([]byte, error)) (*filter.Rules, error) {
	words := ""
	b := &filter.Builder{Read: func(name string) ([]byte, error) {
		if name == wordsName {
			return []byte(words), nil
		}
		return read(name)
	}}
	for _, r := range m.Rules {
		var err error
		switch r.Kind {
		case FilterRules:
			words = r.Value
			err = b.Filter(".w " + wordsName)
		case IncludeFrom:
			err = b.IncludeFrom(r.Value)
		case ExcludeFrom:
			err = b.ExcludeFrom(r.Value)
		case IncludeRules:
			words = patterns(r.Value)
			err = b.IncludeFrom(wordsName)
		case ExcludeRules:
			words = patterns(r.Value)
			err = b.ExcludeFrom(wordsName)
		}
		if err != nil {
			return nil, err
		}
	}
	return b.Rules(filter.Implied{})
}

// loaded is guard with the files that the daemon has read.
func (m *Module) loaded() (*filter.Rules, error) {
	return m.guard(func(name string) ([]byte, error) {
		if data, ok := m.Files[name]; ok {
			return data, nil
		}
		return nil, fmt.Errorf("%q: %w", name, errors.ErrUnsupported)
	})
}

// patterns makes lines of a list of patterns; a sign that stands alone belongs
// to the pattern behind it.
func patterns(value string) string {
	var lines []string
	words := strings.Fields(value)
	for i := 0; i < len(words); i++ {
		if (words[i] == "+" || words[i] == "-") && i+1 < len(words) {
			lines = append(lines, words[i]+" "+words[i+1])
			i++
			continue
		}
		lines = append(lines, words[i])
	}
	return strings.Join(lines, "\n")
}
