package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"lockstep/internal/rsync/daemon/conf"
	"lockstep/internal/rsync/secure"
)

// visit is one connection, up to its transfer.
type visit struct {
	server   *Server
	conn     *conn
	peer     *peer
	id       int
	config   *conf.Config
	log      *journal
	greeting greeting
	early    []byte
	module   string // that was asked for
	user     string
	vouched  string          // the user that a client's certificate stands for, "" if none does
	ended    <-chan struct{} // the daemon accepts no more
	relayed  *net.UnixConn   // to the process of the transfer, if it cannot have the connection itself
	pass     *pass           // of those that may wait; nil once the client is trusted
}

// host is the peer's name as the global part of the configuration wants it.
func (v *visit) host() string { return v.peer.host(v.config.Global.Bool(conf.ReverseLookup)) }

// jail is where the files of the configuration are.
func (v *visit) jail() jail {
	return jail(v.config.Global.Text(conf.DaemonChroot, v.server.environ))
}

// named reports whether a peer's name may be known to a module: what the global
// part has looked up is known to all.
func (v *visit) named(m *module) bool {
	return v.config.Global.Bool(conf.ReverseLookup) || m.section.Bool(conf.ReverseLookup)
}

// motd is what every client is shown, with the empty line that ends it.
func (v *visit) motd() string {
	name := v.config.Global.Text(conf.MotdFile, v.server.environ)
	if name == "" {
		return ""
	}
	data, err := v.jail().readFile(name, maxMotd)
	if err != nil || len(data) == 0 {
		return ""
	}
	return string(data) + "\n"
}

// open begins the time in which a client must have logged in, and takes the
// connection through what comes before the protocol: the header of a proxy, and
// the handshake of TLS. An error has a reason, for counting.
func (v *visit) open(ctx context.Context, secret *secure.Server) (reason string, err error) {
	limit := handshakeMax
	if t := time.Duration(v.config.Global.Int(conf.Timeout)) * time.Second; t > 0 && t < limit {
		limit = t
	}
	if err := v.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return "protocol", err
	}
	if err := v.proxied(); err != nil {
		return "proxy", err
	}
	if secret == nil {
		return "", nil
	}
	if err := v.encrypt(ctx, secret); err != nil {
		return "tls", fmt.Errorf("TLS with %s: %w", v.peer.address(), err)
	}
	return "", nil
}

// run serves the connection to its end.
func (v *visit) run(ctx context.Context) {
	defer func() { v.log.close() }()
	defer v.conn.Close()
	err := v.serve(ctx)
	v.pass.release()
	var r *refusal
	switch {
	case errors.As(err, &r):
		if r.logged != "" {
			v.log.Line(r.logged)
		}
		v.log.event("refused", slog.String("reason", r.reason), slog.String("address", v.peer.address()), slog.String("module", v.module), slog.String("told", r.told))
		v.server.count(r.reason)
		_ = v.conn.SetDeadline(time.Now().Add(lingerTime))
		_ = v.conn.say("@ERROR: %s\n", r.told)
		linger(v.conn.stream)
	case isTimeout(err):
		v.log.event("refused", slog.String("reason", "timeout"), slog.String("address", v.peer.address()), slog.String("module", v.module))
		v.server.count("timeout")
		v.log.linef("handshake timeout from %s", v.peer.address())
	case errors.Is(err, errLine):
		v.log.event("refused", slog.String("reason", "protocol"), slog.String("address", v.peer.address()), slog.String("module", v.module))
		v.server.count("protocol")
		v.log.linef("malformed line from %s", v.peer.address())
	}
}

// lingerTime bounds how long a client that is refused may take to read why.
const lingerTime = 2 * time.Second

// linger tells a client that no more is coming and reads what it still sends, so
// that closing the connection does not take the reason away from it: the kernel
// drops what was not read at the other end if something was not read at ours.
func linger(s stream) {
	if s.SetDeadline(time.Now().Add(lingerTime)) == nil && closeWrite(s) == nil {
		drain(s)
	}
}

// drain reads what still comes.
func drain(s stream) {
	const enough = 64 << 20 // bytes
	_, _ = io.Copy(io.Discard, io.LimitReader(s, enough))
}

// closeWrite ends one direction of a connection. With TLS that is the connection
// below as well: programs such as openssl go on after the end of TLS.
func closeWrite(c any) error {
	switch c := c.(type) {
	case *resumed:
		return closeWrite(c.Conn)
	case *tls.Conn:
		if err := c.CloseWrite(); err != nil {
			return err
		}
		return closeWrite(c.NetConn())
	case interface{ CloseWrite() error }:
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// parting is a connection that ends in linger, after a pause in which the client
// may end it.
type parting struct {
	*conn
	pause time.Duration
	once  sync.Once
}

// oldPause is for clients below protocol 31 that are refused: they drop what they
// were told if they see the end at the same time. rsync waits as long.
const oldPause = 400 * time.Millisecond

// Close implements io.Closer.
func (p *parting) Close() error {
	p.once.Do(func() {
		if p.pause > 0 && p.SetDeadline(time.Now().Add(p.pause)) == nil {
			_, _ = io.Copy(io.Discard, p.stream)
		}
		linger(p.stream)
	})
	return p.conn.Close()
}

// serve takes the connection to "OK" and through the transfer.
func (v *visit) serve(ctx context.Context) error {
	v.log.linef("connect from %s (%s)", v.host(), v.peer.address())
	v.log.event("connect", slog.String("host", v.host()), slog.String("address", v.peer.address()))
	if err := v.greet(); err != nil {
		return err
	}
	name, err := v.command()
	if err != nil {
		return err
	}
	if name == "" {
		v.log.linef("module-list request from %s (%s)", v.host(), v.peer.address())
		return v.list()
	}
	v.module = clip(name)
	section := v.config.Module(name)
	if section == nil {
		return v.unknown("module", name, "unknown module '%s' tried from %s (%s)", name)
	}
	m := newModule(section, v.environ(name))
	m.Jail = string(v.jail())
	if err := v.admit(m); err != nil {
		return err
	}
	slot, err := v.claim(m)
	if err != nil {
		return err
	}
	defer slot.release()
	v.openLog(m)
	if err := v.authenticate(m); err != nil {
		return err
	}
	end := v.server.begin(network(v.peer.addr))
	if end == nil {
		return refused("busy", "too many connections -- try again later", "too many transfers, in all or from %s", v.peer.address())
	}
	defer end()
	v.pass.release()
	return v.start(ctx, m)
}

// list tells the modules.
func (v *visit) list() error {
	for _, m := range v.config.Modules {
		if !m.Bool(conf.List) {
			continue
		}
		if err := v.conn.say("%-15s\t%s\n", m.Name, m.Text(conf.Comment, v.environ(m.Name))); err != nil {
			return err
		}
	}
	return v.conn.say("@RSYNCD: EXIT\n")
}

func (v *visit) unknown(reason, name, logged string, words ...any) error {
	words = append(words, v.host(), v.peer.address())
	return refused(reason, fmt.Sprintf("Unknown module '%s'", clip(name)), logged, words...)
}

// admit applies the access rules of a module.
func (v *visit) admit(m *module) error {
	a := access{
		allow: m.section.Text(conf.HostsAllow, m.env), deny: m.section.Text(conf.HostsDeny, m.env),
		reverse: v.named(m), forward: m.section.Bool(conf.ForwardLookup),
		warn: v.log.Line,
	}
	host := v.peer.host(a.reverse)
	if a.admits(v.peer) {
		v.log.linef("rsync allowed access on module %s from %s (%s)", m.Name, host, v.peer.address())
		return nil
	}
	if !m.section.Bool(conf.List) {
		return v.unknown("host", m.Name, "rsync denied on module %s from %s (%s)", m.Name)
	}
	return refused("host", fmt.Sprintf("access denied to %s from %s (%s)", m.Name, host, v.peer.address()),
		"rsync denied on module %s from %s (%s)", m.Name, host, v.peer.address())
}

// claim takes one of the module's connections.
func (v *visit) claim(m *module) (*claim, error) {
	n := m.maxConnections
	if n == 0 {
		return nil, nil
	}
	if n > 0 {
		c, err := claimSlot(v.jail(), m.lockFile, n)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, errFull) {
			return nil, refused("lock", "failed to open lock file", "failed to open lock file %s: %v", m.lockFile, err)
		}
	}
	return nil, refused("connections", fmt.Sprintf("max connections (%d) reached -- try again later", n), "max connections (%d) reached", n)
}

// openLog changes to the module's log if it has its own.
func (v *visit) openLog(m *module) {
	if v.server.options.LogFile != "" {
		return
	}
	same := true
	for _, p := range []conf.Param{conf.LogFile, conf.SyslogTag, conf.SyslogFacility} {
		same = same && m.section.Text(p, m.env) == v.config.Global.Text(p, v.server.environ)
	}
	if same {
		return
	}
	old := v.log
	v.log = v.server.openJournal(v.jail(), m.section.Text(conf.LogFile, m.env), m.section.Text(conf.SyslogFacility, m.env), m.section.Text(conf.SyslogTag, m.env), v.log.to())
	old.close()
}

// environ has what references in the module's parameters may name.
func (v *visit) environ(module string) conf.Env {
	return func(name string) (string, bool) {
		for _, pair := range v.variables(module, "") {
			if key, value, _ := strings.Cut(pair, "="); key == name {
				return value, true
			}
		}
		return v.server.environ(name)
	}
}

// variables are what is known of a connection, NAME=VALUE.
func (v *visit) variables(module, path string) []string {
	vars := []string{
		"RSYNC_MODULE_NAME=" + module, "RSYNC_HOST_ADDR=" + v.peer.address(), "RSYNC_HOST_NAME=" + v.host(),
		"RSYNC_USER_NAME=" + v.user, "RSYNC_PID=" + strconv.Itoa(v.id),
	}
	if path != "" {
		vars = append(vars, "RSYNC_MODULE_PATH="+path)
	}
	return vars
}

// start runs the transfer, with the hooks around it.
func (v *visit) start(ctx context.Context, m *module) error {
	if err := m.settle(); err != nil {
		return err
	}
	m.BwLimit = v.server.options.BwLimit
	if format := v.server.options.LogFormat; format != nil {
		m.LogFormat, m.LogTransfers = *format, *format != ""
	}
	vars := v.variables(m.Name, m.Path)
	h := &hooks{module: m, vars: vars, env: func(name string) (string, bool) {
		if name == "RSYNC_MODULE_PATH" {
			return m.Path, true
		}
		return m.env(name)
	}}
	if err := h.prepared(); err != nil {
		return refused("hook", "hook preparation failed", "%v", err)
	}
	_ = v.conn.SetDeadline(time.Time{})
	done := outcome{Code: exitStart}
	v.server.started(m.Name)
	defer func() {
		if err := h.post(context.WithoutCancel(ctx), done.Code); err != nil {
			v.log.linef("post-xfer exec failed: %v", err)
		}
		v.server.finished(m.Name, done)
	}()
	if err := h.early(ctx, v.early); err != nil {
		return refused("hook", "early exec failed", "early exec failed: %v", err)
	}
	client := Client{Address: v.peer.address(), Host: v.peer.host(v.named(m)), User: v.user, Protocol: v.greeting.protocol}
	var err error
	judge := h.judge(ctx)
	defer judge.close()
	if m.Identity != nil || m.Chroot != "" || m.Jail != "" {
		done, err = v.apart(ctx, &m.Module, client, judge)
	} else {
		done, err = v.here(ctx, &m.Module, client, judge)
	}
	return err
}

// here runs the transfer in this process.
func (v *visit) here(ctx context.Context, m *Module, client Client, judge *judge) (outcome, error) {
	if err := m.opens(); err != nil {
		return outcome{Code: exitStart}, refused("path", "chdir failed", "rsync: [Receiver] chdir %s failed: %v", m.Dir, err)
	}
	if why := m.unsafe(); why != "" {
		return outcome{Code: exitStart}, refused("munge", "daemon security issue -- contact admin", "%s", why)
	}
	if err := v.conn.say("@RSYNCD: OK\n"); err != nil {
		return outcome{Code: exitSocket}, err
	}
	t := &transfer{conn: v.conn, module: m, client: client, log: v.log, env: os.Getenv, judge: judge}
	return t.run(ctx), nil
}
