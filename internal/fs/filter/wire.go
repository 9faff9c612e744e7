package filter

import (
	"errors"
	"fmt"
	"strings"

	"lockstep/internal/fs/tree"
)

// ErrTooModern is wrapped by the errors of Rules.Wire.
var ErrTooModern = errors.New("filter rules are too modern for the remote rsync")

// Protocol versions that brought a way to say something.
const (
	protocolModifiers  = 29 // prefixes with modifiers, per-directory rules
	protocolPerishable = 30 // the modifier "p"
)

// Wire is the rules that a client sends to a receiving server (rsync-filelist
// 7.1, 7.2), in order. They matter to it only if it deletes; without deletion
// there are none. With deleteExcluded a peer before protocol 29 is sent no
// list, yet rules that protect files from it are an error all the same.
func (r *Rules) Wire(protocol int, deletes, deleteExcluded bool) ([]string, error) {
	if r == nil || !deletes && !deleteExcluded {
		return nil, nil
	}
	var texts []string
	for _, rule := range r.list {
		if !rule.on(Receiver, deleteExcluded) {
			continue
		}
		text, ok := rule.modern(protocol)
		if protocol < protocolModifiers {
			text, ok = rule.old(deleteExcluded)
		}
		if !ok {
			return nil, fmt.Errorf("filter rule %s (%v) for a peer of protocol %d: %w",
				tree.Quote(rule.String()), rule.origin, protocol, ErrTooModern)
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	if deleteExcluded && protocol < protocolModifiers {
		return nil, nil
	}
	return texts, nil
}

// WirePull is the rules that a client sends to a sending server, in order. What
// -C stands for is left out: the server has the option as well. A peer before
// protocol 29 learns of what is hidden, and of nothing finer.
func (r *Rules) WirePull(protocol int, deleteExcluded bool) ([]string, error) {
	if r == nil {
		return nil, nil
	}
	var texts []string
	for _, rule := range r.list {
		if !rule.on(Sender, deleteExcluded) || rule.has(flagOption) {
			continue
		}
		said := *rule
		if rule.sides == 0 && !rule.on(Receiver, deleteExcluded) {
			said.sides = Sender
		}
		text, ok := said.text(said.has(flagPerishable|flagSoftPerish) && protocol >= protocolPerishable), true
		if protocol < protocolModifiers {
			said.sides, said.flags = 0, said.flags&^flagPerishable
			text, ok = said.old(false)
		}
		if !ok {
			return nil, fmt.Errorf("filter rule %s (%v) for a peer of protocol %d: %w",
				tree.Quote(rule.String()), rule.origin, protocol, ErrTooModern)
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func (r *Rule) modern(protocol int) (text string, ok bool) {
	if protocol >= protocolPerishable {
		return r.String(), true
	}
	return r.text(false), !r.has(flagPerishable)
}

// old renders r for protocols 27 and 28: a bare pattern excludes. Text that
// would be read as something else gets "- ". What -C implies is not sent, the
// peer has the option as well; "" stands for it.
func (r *Rule) old(deleteExcluded bool) (text string, ok bool) {
	const beyond = flagDirMerge | flagNegate | flagAbsolute | flagPerishable | flagXattr
	pattern := r.pattern
	if r.has(flagDirOnly) {
		pattern += "/"
	}
	switch {
	case r.has(flagImplied):
		return "", true
	case r.has(beyond) || deleteExcluded && r.sides&Receiver != 0:
		return "", false
	case r.Include():
		return "+ " + pattern, true
	case pattern == "!" || strings.HasPrefix(pattern, "+ ") || strings.HasPrefix(pattern, "- "):
		return "- " + pattern, true
	}
	return pattern, true
}
