package option

import (
	"strconv"
	"strings"
)

// OperandKind is where an operand leads.
type OperandKind uint8

// The kinds of operand.
const (
	Local  OperandKind = iota
	Shell              // [USER@]HOST:PATH
	Daemon             // [USER@]HOST::MODULE/PATH or rsync[s]://[USER@]HOST[:PORT]/MODULE/PATH
)

// Operand is a source or destination taken apart.
type Operand struct {
	Kind       OperandKind
	User, Host string
	HasUser    bool   // also an empty one
	TLS        bool   // of a URL that says so
	Port       int    // of a URL, 0 if it has none
	Path       string // of a daemon, beginning with the module
}

// HostSpec is the user and host as rsync compares them.
func (o Operand) HostSpec() string {
	if o.HasUser {
		return o.User + "@" + o.Host
	}
	return o.Host
}

// What URLs begin with; the second is with TLS.
const (
	urlPrefix    = "rsync://"
	secretPrefix = "rsyncs://"
)

// cutFold cuts a prefix off, whatever its case.
func cutFold(text, prefix string) (rest string, ok bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text, false
	}
	return text[len(prefix):], true
}

// ParseOperand takes an operand apart. What does not have the form of a remote
// one is local.
func ParseOperand(arg string) Operand {
	for _, prefix := range []string{urlPrefix, secretPrefix} {
		if rest, ok := cutFold(arg, prefix); ok {
			if o, ok := parseURL(rest); ok {
				o.TLS = prefix == secretPrefix
				return o
			}
		}
	}
	spec, rest, ok := cutHost(arg, ":/")
	if !ok || rest == "" || rest[0] != ':' {
		return Operand{Path: arg}
	}
	o := Operand{Kind: Shell, Path: rest[1:]}
	if strings.HasPrefix(o.Path, ":") {
		o.Kind, o.Path = Daemon, o.Path[1:]
	}
	o.setHost(spec)
	return o
}

// parseURL reads what follows "rsync://". A port that is none makes it something
// else.
func parseURL(text string) (Operand, bool) {
	spec, rest, ok := cutHost(text, ":/")
	if !ok {
		return Operand{}, false
	}
	o := Operand{Kind: Daemon}
	o.setHost(spec)
	if strings.HasPrefix(rest, ":") {
		digits := rest[1:]
		end := len(digits) - len(strings.TrimLeft(digits, "0123456789"))
		o.Port, _ = strconv.Atoi(digits[:end]) // none and too large a number are no port
		rest = digits[end:]
	}
	if rest != "" && rest[0] != '/' {
		return Operand{}, false
	}
	o.Path = strings.TrimPrefix(rest, "/")
	return o, true
}

// cutHost separates [USER@]HOST from what follows it, which begins with one of
// the ends. A host in brackets may have the ends in it, but no slash.
func cutHost(text, ends string) (spec, rest string, ok bool) {
	end := strings.IndexAny(text, ends)
	if end < 0 {
		end = len(text)
	}
	open := strings.LastIndexByte(text[:end], '@') + 1
	if open == len(text) || text[open] != '[' {
		return text[:end], text[end:], true
	}
	size := strings.IndexAny(text[open:], "]/")
	if size < 2 || text[open+size] != ']' {
		return "", "", false
	}
	rest = text[open+size+1:]
	if rest != "" && strings.IndexByte(ends, rest[0]) < 0 {
		return "", "", false
	}
	return text[:open] + text[open+1:open+size], rest, true
}

func (o *Operand) setHost(spec string) {
	o.Host = spec
	if at := strings.LastIndexByte(spec, '@'); at >= 0 {
		o.User, o.Host, o.HasUser = spec[:at], spec[at+1:], true
	}
}

// Operands are the operands of a client.
type Operands struct {
	Push, Pull bool    // neither is a local copy
	Remote     Operand // where the other side is; its path is that of the destination or the first source
	Sources    []string
	Dest       string
	HasDest    bool // without one the sources are listed
}

// operandError is an error of a client that knows whether it will send.
func operandError(sends bool, text string) error {
	role := "Receiver"
	if sends {
		role = "sender"
	}
	return &Error{Code: codeSyntax, Text: text, Role: role}
}

// Operands takes the operands of a client apart. With a single one Show may
// become ShowUsage, or ListOnly and Dirs be set: it is called once, before the
// Set is shared.
func (s *Set) Operands() (*Operands, error) {
	if s.ReadBatch != "" {
		return s.batchOperands()
	}
	if len(s.Args) == 0 || s.FilesFrom+s.FilesFromHost != "" && len(s.Args) != 2 {
		s.Show = ShowUsage
		return &Operands{}, nil
	}
	ops := &Operands{Sources: s.Args}
	first := ParseOperand(s.Args[0])
	if len(s.Args) > 1 {
		ops.Dest, ops.HasDest = s.Args[len(s.Args)-1], true
		ops.Sources = s.Args[:len(s.Args)-1]
		if dest := ParseOperand(ops.Dest); first.Kind != Local && dest.Kind != Local && dest.HostSpec() == "" {
			ops.Dest, ops.HasDest, ops.Sources = "", false, s.Args
			s.ListOnly = max(s.ListOnly, 1)
		}
	} else {
		s.listOne()
	}
	var err error
	switch dest := ParseOperand(ops.Dest); {
	case first.Kind != Local:
		ops.Pull, ops.Remote = true, first
		if ops.HasDest && dest.Kind != Local {
			return nil, operandError(false, "The source and destination cannot both be remote.")
		}
		err = ops.pull(s)
	case ops.HasDest && dest.Kind != Local:
		ops.Push, ops.Remote, ops.Dest = true, dest, dest.Path
		err = ops.local(s)
	default:
		err = ops.local(s)
	}
	if err != nil {
		return nil, err
	}
	return ops, ops.connection(s)
}

// listOne makes a listing of a transfer that has no destination.
func (s *Set) listOne() {
	if s.ListOnly == 0 {
		s.ListOnly = 1
		s.Dirs = s.Dirs || !s.said.noDirs
	}
}

// batchOperands are those of --read-batch: the destination.
func (s *Set) batchOperands() (*Operands, error) {
	ops := &Operands{}
	if len(s.Args) == 0 {
		s.Show = ShowUsage
		return ops, nil
	}
	ops.Dest, ops.HasDest = s.Args[len(s.Args)-1], true
	if ParseOperand(ops.Dest).Kind != Local {
		return nil, operandError(false, "remote destination is not allowed with --read-batch")
	}
	return ops, nil
}

// local checks the sources of a push or of a local copy.
func (ops *Operands) local(s *Set) error {
	if err := ops.filesFrom(s); err != nil {
		return err
	}
	for _, arg := range ops.Sources {
		switch {
		case arg == "":
			return operandError(true, "Empty source arg specified.")
		case ParseOperand(arg).Kind != Local:
			return operandError(true, "Unexpected remote arg: "+arg)
		}
	}
	if !ops.Push && ops.HasDest && ops.Dest == "" && s.OldArgs == 0 {
		return operandError(true, `Empty destination arg specified (use "." or see --old-args).`)
	}
	return nil
}

// filesFrom lets the list be at the host that the transfer is with.
func (ops *Operands) filesFrom(s *Set) error {
	switch {
	case s.FilesFromHost == "":
		return nil
	case !ops.Push && !ops.Pull:
		return operandError(true, "--files-from cannot be remote when the transfer is local")
	case s.FilesFromHost != ":" && s.FilesFromHost != ops.Remote.HostSpec():
		return operandError(!ops.Pull, "--files-from hostname is not the same as the transfer hostname")
	}
	return nil
}

// pull checks that all sources are at one place, and leaves their paths.
func (ops *Operands) pull(s *Set) error {
	if err := ops.filesFrom(s); err != nil {
		return err
	}
	fail := func(text string) error { return operandError(false, text) }
	paths := make([]string, 0, len(ops.Sources))
	for _, arg := range ops.Sources {
		o := ParseOperand(arg)
		switch {
		case o.Kind == Local:
			return fail("Unexpected local arg: " + arg + "\nIf arg is a remote file/dir, prefix it with a colon (:).")
		case o.HostSpec() != "" && o.HostSpec() != ops.Remote.HostSpec():
			return fail("All source args must come from the same machine.")
		case o.Kind != ops.Remote.Kind:
			return fail("All source args must use the same hostspec format.")
		case o.TLS != ops.Remote.TLS && o.HostSpec() != "":
			return fail("All source args must use TLS, or none.")
		case o.Port != 0 && o.Port != ops.Remote.Port:
			return fail("All source args must use the same port number.")
		}
		paths = append(paths, o.Path)
	}
	ops.Sources = paths
	return nil
}

// connection checks the options that are for one kind of connection, and the
// host's name, which must not look like an option of the remote shell.
func (ops *Operands) connection(s *Set) error {
	daemon := ops.Remote.Kind == Daemon
	switch {
	case (s.PasswordFile != "" || s.said.blank["password-file"]) && !daemon:
		return operandError(!ops.Pull, "The --password-file option may only be used when accessing an rsync daemon.")
	case s.said.blank["temp-dir"] && !ops.Push:
		return operandError(false, "The temp-dir does not exist: ")
	case s.ConTimeout != 0 && !daemon:
		return operandError(!ops.Pull, "The --contimeout option may only be used when connecting to an rsync daemon.")
	case s.TLS && !daemon:
		return operandError(!ops.Pull, "The --tls option may only be used when connecting to an rsync daemon.")
	case s.TLSCA+s.TLSCert+s.TLSKey+s.TLSName != "" && !s.TLS && !ops.Remote.TLS:
		return operandError(!ops.Pull, "The connection would have no TLS: say --tls too, or rsyncs:// in place of rsync://.")
	case (s.TLS || ops.Remote.TLS) && s.Rsh != "":
		return operandError(!ops.Pull, "TLS and --rsh cannot be used together.")
	case strings.HasPrefix(ops.Remote.Host, "-"):
		return operandError(!ops.Pull, "Invalid remote host: hostnames may not start with '-'.")
	}
	return nil
}
