package filter

import "strings"

// cvsFile is the per-directory file of -C, and the default name of a "C" rule.
const cvsFile = ".cvsignore"

// cvsDefaults is the list that -C begins with (rsync-filelist 7.3).
const cvsDefaults = "RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo *~ #* .#* ,* _$* *$ " +
	"*.old *.bak *.BAK *.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe *.Z *.elc *.ln core .svn/ .git/ .hg/ .bzr/"

// cvsLists are the user's additions to cvsDefaults.
type cvsLists struct {
	home string // contents of $HOME/.cvsignore
	env  string // $CVSIGNORE
}

// rules is what the rule s, "-C" or "+C", stands for. The built-in patterns
// are perishable; "!" forgets those before it.
func (c cvsLists) rules(s spec, o Origin) ([]*Rule, error) {
	const kept = flagInclude | flagNegate | flagOption | inherited
	var list []*Rule
	perishable := flagPerishable
	if s.flags&flagOption != 0 { // a peer that cannot be told has the option too
		perishable = flagSoftPerish
	}
	for _, part := range []struct {
		words string
		flags ruleFlags
	}{{cvsDefaults, perishable}, {c.home, 0}, {c.env, 0}} {
		for _, word := range strings.FieldsFunc(part.words, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) }) {
			if word == "!" {
				list = nil
				continue
			}
			one := spec{op: s.op, flags: s.flags&kept | part.flags, sides: s.sides, text: word}
			if s.op == opInclude {
				one.flags |= flagInclude
			}
			r, err := newRule(one, o, anchor{})
			if err != nil {
				return nil, err
			}
			r.list = " [global CVS]"
			list = append(list, r)
		}
	}
	return list, nil
}
