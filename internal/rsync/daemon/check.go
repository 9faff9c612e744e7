package daemon

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"

	"lockstep/internal/rsync/daemon/conf"
	"lockstep/internal/rsync/secure"
)

// Finding is something about a configuration that its owner should know.
type Finding struct {
	Where conf.Place
	Error bool // a module cannot work like this
	Text  string
	Hint  string // what to do; "" if the text says it
}

// Description is what a module will do.
type Description struct {
	Name  string
	Where conf.Place
	Lines []string
}

// Check reads a configuration and tells what each module will do for whom, and
// what is wrong. It changes nothing. The error is about the configuration as a
// whole: no client would be served.
func Check(file string, params []string) ([]Description, []Finding, error) {
	s := New(Options{Config: file, Params: params})
	c, err := s.Config()
	var findings []Finding
	for _, p := range c.Problems {
		findings = append(findings, Finding{Where: p.Where, Text: strings.TrimPrefix(p.Lines[0], "params.c:Parameter() - "), Hint: p.Hint})
	}
	if err != nil {
		return nil, findings, err
	}
	findings = append(findings, s.checkDaemon(c)...)
	var all []Description
	for _, section := range c.Modules {
		k := checker{section: section, m: newModule(section, s.environ)}
		k.m.Jail = c.Global.Text(conf.DaemonChroot, s.environ)
		k.examine()
		all = append(all, Description{Name: section.Name, Where: section.Where, Lines: k.lines})
		findings = append(findings, k.findings...)
	}
	return all, findings, nil
}

// checkDaemon is about what is not a module's.
func (s *Server) checkDaemon(c *conf.Config) (findings []Finding) {
	find := func(p conf.Param, fatal bool, hint, format string, words ...any) {
		where, _ := c.Global.Set(p)
		findings = append(findings, Finding{Where: where, Error: fatal, Text: fmt.Sprintf(format, words...), Hint: hint})
	}
	if c.Global.Bool(conf.ProxyProtocol) && strings.TrimSpace(c.Global.Text(conf.ProxyProtocolHosts, s.environ)) == "" {
		find(conf.ProxyProtocol, true, "name the proxies in proxy protocol hosts", "proxy protocol without proxy protocol hosts: every connection is closed")
	}
	if n := c.Global.Int(conf.Port); n < 0 || n > maxPort {
		find(conf.Port, true, "", "port %d: there are ports from 1 to %d", n, maxPort)
	}
	for _, p := range []conf.Param{conf.LogFile, conf.PidFile} {
		if name := c.Global.Text(p, s.environ); name != "" && !isDirectory(path.Dir(name)) {
			find(p, p == conf.PidFile, "mkdir -p "+path.Dir(name), "%s %s: there is no directory %s", p, name, path.Dir(name))
		}
	}
	return findings
}

// maxPort is the last port that there is.
const maxPort = 1<<16 - 1

// checker examines a module.
type checker struct {
	section  *conf.Section
	m        *module
	lines    []string
	findings []Finding
}

func (k *checker) say(format string, words ...any) {
	k.lines = append(k.lines, fmt.Sprintf(format, words...))
}

// at is where a parameter is set, or the module begins.
func (k *checker) at(p conf.Param) conf.Place {
	if where, set := k.section.Set(p); set {
		return where
	}
	return k.section.Where
}

func (k *checker) find(p conf.Param, fatal bool, hint, format string, words ...any) {
	text := "module " + k.m.Name + ": " + fmt.Sprintf(format, words...)
	k.findings = append(k.findings, Finding{Where: k.at(p), Error: fatal, Text: text, Hint: hint})
}

func (k *checker) examine() {
	for _, again := range k.section.Again {
		k.findings = append(k.findings, Finding{Where: again, Text: fmt.Sprintf("module %s: this continues the module of %v", k.m.Name, k.section.Where),
			Hint: "give one of them another name, unless that is meant"})
	}
	k.place()
	k.rights()
	k.logins()
	k.hooks()
	k.limits()
	if err := judgeChmods(k.m.Incoming, k.m.Outgoing); err != nil {
		k.find(conf.IncomingChmod, true, "", "%v", err)
	}
	if k.m.Charset != "" {
		k.say("names are stored as %s, for clients with --iconv", k.m.Charset)
	}
	if k.m.Readable {
		k.say("what cannot be read is not listed")
	}
}

// place is about where the module lies and as whom it is served.
func (k *checker) place() {
	var r *refusal
	err := k.m.settle()
	if errors.As(err, &r) {
		p := map[string]conf.Param{"path": conf.Path, "uid": conf.UID, "gid": conf.GID, "filter": conf.Filter, "charset": conf.Charset}[r.reason]
		text := r.logged
		if text == "" {
			text = r.told
		}
		k.find(p, true, "", "%s", text)
		return
	}
	m := k.m
	how := "without chroot"
	if m.Chroot != "" {
		how = "in a chroot at " + m.Chroot
	}
	if m.Jail != "" {
		how += ", both below " + m.Jail
	}
	k.say("serves %s %s", m.Path, how)
	if strings.Contains(k.section.Raw(conf.Path), "%RSYNC_") {
		k.say("its path depends on the connection")
	} else if !isDirectory(path.Join("/", m.Jail, m.Path)) {
		k.find(conf.Path, true, "mkdir -p "+m.Path, "%s is no directory", m.Path)
	}
	if id := m.Identity; id != nil {
		k.say("as uid %d, gids %v", id.UID, id.GIDs)
		if id.UID == 0 && !m.ReadOnly && m.Chroot == "" {
			k.find(conf.UID, false, "", "clients write as root, without a chroot")
		}
	} else {
		k.say("as the user who runs the daemon")
	}
	if m.Munge {
		k.say("symlinks are munged: what is uploaded cannot be followed")
	}
	if m.InsecureLinks {
		k.find(conf.InsecureLinks, false, "", "insecure links = yes gives up the protection against symlinks")
	}
}

func isDirectory(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// rights is about what clients may do.
func (k *checker) rights() {
	m := k.m
	switch {
	case m.ReadOnly && m.WriteOnly:
		k.find(conf.WriteOnly, true, "", "read only and write only: nobody can do anything")
	case m.ReadOnly:
		k.say("clients may read")
	case m.WriteOnly:
		k.say("clients may write")
	default:
		k.say("clients may read and write")
	}
	if !m.ReadOnly && m.authUsers == "" {
		k.find(conf.ReadOnly, false, "set auth users and secrets file, or read only = yes", "it can be written to without a password")
	}
	allow, deny := k.section.Text(conf.HostsAllow, m.env), k.section.Text(conf.HostsDeny, m.env)
	switch {
	case allow != "" && (deny == "" || deny == "*"):
		k.say("from %s only", allow)
	case allow != "" || deny != "":
		k.say("hosts allow %q, hosts deny %q", allow, deny)
	default:
		k.say("from everywhere")
	}
	for _, list := range []struct {
		param  conf.Param
		value  string
		effect string
	}{{conf.HostsAllow, allow, "it allows nobody"}, {conf.HostsDeny, deny, "it denies everybody who is not allowed"}} {
		for _, token := range tokens(list.value) {
			if why := faultOf(token); why != "" {
				k.find(list.param, false, "name hosts, addresses or networks such as 192.168.1.0/24", "%s: %q: %s; %s", list.param, token, why, list.effect)
			}
		}
	}
}

// logins is about who may use the module.
func (k *checker) logins() {
	m := k.m
	if m.authUsers == "" {
		k.say("without a password")
		return
	}
	k.say("users: %s", m.authUsers)
	if m.authDigest != "" && !secure.KnownDigest(m.authDigest) {
		k.find(conf.AuthDigest, true, "use one of "+secure.DigestNames(), "unknown auth digest %q: all logins are refused", m.authDigest)
	}
	if m.secrets == "" {
		k.find(conf.AuthUsers, true, "set secrets file", "auth users without a secrets file: nobody can log in")
		return
	}
	f, err := jail(m.Jail).open(m.secrets, os.O_RDONLY, 0)
	if err != nil {
		k.find(conf.SecretsFile, true, "", "secrets file: %v", err)
		return
	}
	defer f.Close()
	if why := looseSecrets(f, true); why != "" {
		k.find(conf.SecretsFile, m.strict, "chmod 600 "+m.secrets, "%s", why)
	}
}

// hooks is about the commands around a transfer.
func (k *checker) hooks() {
	for _, p := range []conf.Param{conf.EarlyExec, conf.PreXferExec, conf.PostXferExec, conf.NameConverter} {
		value := k.section.Raw(p)
		if value == "" {
			continue
		}
		k.say("%s: %s", p, value)
		if word, _, _ := strings.Cut(value, " "); strings.HasPrefix(word, "/") && k.m.Jail == "" {
			if _, err := exec.LookPath(word); err != nil {
				k.find(p, true, "", "%s: %v", p, err)
			}
		}
	}
}

// limits is about how many may come.
func (k *checker) limits() {
	switch n := k.m.maxConnections; {
	case n < 0:
		k.say("it is turned off: max connections is negative")
	case n > 0:
		k.say("%d connections at a time, counted in %s", n, k.m.lockFile)
		if dir := path.Dir(path.Join("/", k.m.Jail, k.m.lockFile)); !isDirectory(dir) {
			k.find(conf.LockFile, true, "mkdir -p "+dir, "lock file %s: there is no directory %s: every connection is refused", k.m.lockFile, dir)
		}
	}
	if k.m.Timeout > 0 {
		k.say("silent clients are dropped after %d seconds", k.m.Timeout)
	}
	if k.m.Refuse != "" {
		k.say("refused options: %s", k.m.Refuse)
		for _, item := range strings.Fields(k.m.Refuse) {
			if !refusesSomething(strings.TrimPrefix(item, "!")) {
				k.find(conf.RefuseOptions, false, "", "refuse options: there is no option %q", item)
			}
		}
	}
}
