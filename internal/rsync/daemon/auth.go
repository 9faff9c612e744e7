package daemon

import (
	"bufio"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"lockstep/internal/rsync/secure"
)

// challenge is text that nobody can foresee, as long as clients expect it.
func challenge(d secure.Digest) string { return d.Text(rand.Text(), rand.Text()) }

// right is what a rule of auth users gives.
type right uint8

const (
	asModule right = iota // what the module has
	readOnly
	readWrite
)

// authRule is one entry of auth users.
type authRule struct {
	name  string // with wildcards
	group bool
	deny  bool
	right right
}

// parseAuthUsers takes auth users apart.
func parseAuthUsers(value string) []authRule {
	var rules []authRule
	for _, entry := range splitList(value) {
		var r authRule
		name, option, _ := strings.Cut(entry, ":")
		r.name, r.group = strings.CutPrefix(name, "@")
		option = strings.ToLower(strings.TrimSpace(option))
		switch {
		case strings.HasPrefix(option, "d"):
			r.deny = true
		case strings.HasPrefix(option, "ro"):
			r.right = readOnly
		case strings.HasPrefix(option, "rw"):
			r.right = readWrite
		}
		rules = append(rules, r)
	}
	return rules
}

// splitList splits at white space and commas; a list that begins with a comma
// at commas only.
func splitList(value string) []string {
	separators := " \t\r\n,"
	if strings.HasPrefix(strings.TrimSpace(value), ",") {
		separators = ","
	}
	var all []string
	for _, part := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}

// ruleFor is the first rule about a user, and the group that it matched by.
func ruleFor(rules []authRule, name string, groups func(string) []string) (rule authRule, group string, ok bool) {
	var own []string
	asked := false
	for _, r := range rules {
		if !r.group {
			if wildMatch(r.name, name) {
				return r, "", true
			}
			continue
		}
		if !asked {
			own, asked = groups(name), true
		}
		for _, g := range own {
			if wildMatch(r.name, g) {
				return r, g, true
			}
		}
	}
	return authRule{}, "", false
}

// Reasons for the log; the client hears none of them.
var (
	errNoRule     = errors.New("no matching rule")
	errDenied     = errors.New("denied by rule")
	errNoSecrets  = errors.New("no secrets file")
	errLoose      = errors.New("ignoring secrets file")
	errMismatch   = errors.New("password mismatch")
	errNoSecret   = errors.New("secret not found")
	errBadUser    = errors.New("invalid username")
	errWeakDigest = errors.New("the digest is weaker than the module demands")
)

// login is an attempt to authenticate.
type login struct {
	user, response, challenge string
	digest                    secure.Digest
	rules                     []authRule
	jail                      jail
	secrets                   string // the file
	strict                    bool
	groups                    func(string) []string
	warn                      func(text string)
}

// check finds out whether a login is good, and what it may do.
func (l *login) check() (right, error) {
	if l.user == "" || strings.HasPrefix(l.user, "#") {
		return 0, errBadUser
	}
	rule, group, ok := ruleFor(l.rules, l.user, l.groups)
	switch {
	case !ok:
		return 0, errNoRule
	case rule.deny:
		return 0, errDenied
	}
	if err := l.secret(group); err != nil {
		return 0, err
	}
	return rule.right, nil
}

// secret compares the response with what the secrets file has. It reads the
// whole file whatever it finds, so that the time does not tell who is in it.
func (l *login) secret(group string) error {
	f, err := l.open()
	if err != nil {
		return err
	}
	defer f.Close()
	wantUser, wantGroup := true, group != ""
	err = errNoSecret
	good := false
	lines := bufio.NewReaderSize(io.LimitReader(f, maxSecrets), maxSecretLine+2)
	for {
		line, long, e := lines.ReadLine()
		if e != nil {
			break
		}
		if long {
			for long && e == nil {
				_, long, e = lines.ReadLine()
			}
			continue
		}
		name, secret, found := strings.Cut(string(line), ":")
		if !found || strings.HasPrefix(name, "#") {
			continue
		}
		ofGroup, isGroup := strings.CutPrefix(name, "@")
		mine := isGroup && wantGroup && ofGroup == group || !isGroup && wantUser && name == l.user
		same := subtle.ConstantTimeCompare([]byte(l.digest.Respond(secret, l.challenge)), []byte(l.response)) == 1
		if !mine {
			continue
		}
		if same {
			good = true
			continue
		}
		err = errMismatch
		if isGroup {
			wantGroup = false
		} else {
			wantUser = false
		}
	}
	if good {
		return nil
	}
	return err
}

// Bounds of a secrets file.
const (
	maxSecretLine = 1023
	maxSecrets    = 16 << 20
)

// open opens the secrets file and judges the descriptor, not the name.
func (l *login) open() (*os.File, error) {
	if l.secrets == "" {
		return nil, errNoSecrets
	}
	f, err := l.jail.open(l.secrets, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.warn(err.Error())
		}
		return nil, errNoSecrets
	}
	if why := looseSecrets(f, l.strict); why != "" {
		f.Close()
		l.warn(why)
		return nil, errLoose
	}
	return f, nil
}

// looseSecrets is what is wrong with a secrets file, "" if nothing is.
func looseSecrets(f *os.File, strict bool) string {
	info, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return "secrets file is not a regular file"
	case !strict || !ok:
		return ""
	case info.Mode().Perm()&0o006 != 0:
		return "secrets file must not be other-accessible (see strict modes option)"
	case os.Geteuid() == 0 && st.Uid != 0:
		return "secrets file must be owned by root when running as root (see strict modes)"
	}
	return ""
}
