package option

import "fmt"

// blankRefusal is what is said of an option whose value is empty, as that of
// `--usermap="$MAP"` may be, but must not.
type blankRefusal struct {
	option string
	why    Error
}

// Exit codes besides that for syntax.
const (
	codeProtocol = 2  // the ends have no protocol in common
	codeSelect   = 4  // what is asked for is not supported
	codeFile     = 11 // a file cannot be used
)

// batchRefusal is said without the path of the working directory that rsync tries.
var batchRefusal = Error{Code: codeFile, Text: `rsync: [Receiver] Batch file "" open error: Invalid argument (22)`, Role: "Receiver"}

var blankRefusals = []blankRefusal{
	{"checksum-choice", Error{Code: codeSelect, Text: "unknown checksum name: "}},
	{"compress-choice", Error{Code: codeSelect, Text: "unknown compress name: "}},
	{"confine-root", Error{Code: codeSyntax, Text: "rsync: --confine-root must be an absolute path"}},
	{"copy-as", Error{Code: codeSyntax, Text: "Invalid copy-as user: ", Role: "Receiver"}},
	{"usermap", Error{Code: codeSyntax, Text: "No colon found in --usermap: ", Role: "Receiver"}},
	{"groupmap", Error{Code: codeSyntax, Text: "No colon found in --groupmap: ", Role: "Receiver"}},
	{"write-batch", batchRefusal},
	{"only-write-batch", batchRefusal},
	{"read-batch", batchRefusal},
}

// oldestProtocol is the first that is spoken.
const oldestProtocol = 27

// protocolLimit refuses a client's protocol that is not spoken any more, or is none.
func (st *state) protocolLimit() error {
	if _, given := st.said.blank["protocol"]; given && st.Protocol < oldestProtocol && !st.Server {
		return &Error{Code: codeProtocol, Text: fmt.Sprintf("--protocol must be at least %d on the Client.", oldestProtocol)}
	}
	return nil
}

// blankValues refuses empty values. Those of a server are the client's to refuse.
func (st *state) blankValues() error {
	for _, b := range blankRefusals {
		writes := b.option == "write-batch" || b.option == "only-write-batch"
		if st.said.blank[b.option] && !st.Server && !(writes && st.DryRun) {
			why := b.why
			return &why
		}
	}
	return nil
}
