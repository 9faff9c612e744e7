package option

import (
	"math"
	"path"
	"strings"
)

// Bounds of sizes.
const (
	maxBlockSize    = 1 << 17
	maxOldBlockSize = 1 << 29 // below protocol 30
	minBwLimit      = 512     // bytes a second
	kib             = 1024
	minMaxAlloc     = 1 << 20
)

func setBlockSize(st *state, v value) error {
	limit := int64(maxBlockSize)
	if st.Protocol != 0 && st.Protocol < capsProtocol {
		limit = maxOldBlockSize
	}
	n, err := size("block-size", v.text, sizeRange{max: limit, unit: 'b'})
	st.BlockSize = int32(n)
	return err
}

// setRemoveSource and its old form, which removes what was sent and no more,
// override each other.
func setRemoveSource(st *state, _ value) error {
	st.RemoveSourceFiles, st.RemoveSentFiles = true, false
	return nil
}

func setRemoveSent(st *state, _ value) error {
	st.RemoveSourceFiles, st.RemoveSentFiles = false, true
	return nil
}

// setDeleteDuring and setDeleteDelay override each other.
func setDeleteDuring(st *state, _ value) error {
	st.DeleteDuring, st.DeleteDelay = true, false
	return nil
}

func setDeleteDelay(st *state, _ value) error {
	st.DeleteDuring, st.DeleteDelay = false, true
	return nil
}

func setMaxDelete(st *state, v value) error {
	st.MaxDelete, st.maxDelete = v.n, v.n != math.MinInt32
	return nil
}

func setMaxSize(st *state, v value) (err error) {
	st.MaxSize, err = size("max-size", v.text, sizeRange{unit: 'b'})
	return err
}

func setMinSize(st *state, v value) (err error) {
	st.MinSize, err = size("min-size", v.text, sizeRange{unit: 'b'})
	return err
}

func setMaxAlloc(st *state, v value) error {
	st.maxAlloc, st.said.maxAlloc = true, v.text
	return nil
}

func setPartialDir(st *state, v value) error {
	if st.PartialDir = path.Clean(v.text); st.PartialDir == "." {
		st.PartialDir = ""
	}
	st.Partial, st.partialDir = true, true
	return nil
}

func setUserMap(st *state, v value) error {
	if err := st.mapOnce(&st.userBy, "usermap", "user"); err != nil {
		return err
	}
	st.UserMap = v.text
	st.ownerBy(&st.Owner)
	return nil
}

func setGroupMap(st *state, v value) error {
	if err := st.mapOnce(&st.groupBy, "groupmap", "group"); err != nil {
		return err
	}
	st.GroupMap = v.text
	st.ownerBy(&st.Group)
	return nil
}

// ownerBy turns --owner or --group on for a map. A server has been told by letter
// whether they are on: if the client took them back, the list has no owners.
func (st *state) ownerBy(kept *bool) {
	*kept = *kept || !st.Server
}

// setChown makes maps that give everything to one.
func setChown(st *state, v value) error {
	user, group, _ := strings.Cut(v.text, ":")
	if user != "" {
		if err := st.mapOnce(&st.userBy, "chown", "user"); err != nil {
			return err
		}
		st.UserMap = "*:" + user
		st.ownerBy(&st.Owner)
	}
	if group != "" {
		if err := st.mapOnce(&st.groupBy, "chown", "group"); err != nil {
			return err
		}
		st.GroupMap = "*:" + group
		st.ownerBy(&st.Group)
	}
	return nil
}

// mapOnce lets one option decide about users, and one about groups.
func (st *state) mapOnce(by *string, name, whose string) error {
	switch {
	case *by == "":
		*by = name
		return nil
	case *by != name:
		return usage("--%s conflicts with prior --%s.", name, *by)
	case name == "chown":
		return usage("You can only specify a %s-affecting --chown once.", whose)
	}
	return usage("You can only specify --%s once.", name)
}

func setWindow(st *state, v value) error {
	st.ModifyWindow, st.said.window = v.n, true
	return nil
}

// maxAltDests bounds the alternate directories.
const maxAltDests = 20

func altDest(name string, place listOf) setter {
	return func(st *state, v value) error {
		if st.altDest != "" && st.altDest != name {
			return usage("ERROR: the --%s option conflicts with the --%s option", name, st.altDest)
		}
		st.altDest = name
		if len(*place(st)) == maxAltDests {
			return usage("ERROR: at most %d --%s args may be specified", maxAltDests, name)
		}
		*place(st) = append(*place(st), v.text)
		return nil
	}
}

// setCompress takes back what was chosen with --no-compress.
func setCompress(st *state, v value) error {
	if !v.on {
		st.compress, st.choice = 0, ""
		return nil
	}
	st.compress++
	return nil
}

// choice is of options that name a method.
func choice(method string) setter {
	return func(st *state, _ value) error { st.choice = method; return nil }
}

func setCompressChoice(st *state, v value) error {
	st.choice = v.text
	return nil
}

func setCompressLevel(st *state, v value) error {
	st.CompressLevel, st.HasCompressLevel = v.n, true
	return nil
}

func setSkipCompress(st *state, v value) error {
	st.SkipCompress, st.HasSkipCompress = v.text, true
	return nil
}

// setFilesFrom takes a file here, or one at the remote host.
func setFilesFrom(st *state, v value) error {
	st.FilesFrom, st.FilesFromHost, st.filesFrom = v.text, "", true
	place := ParseOperand(v.text)
	if place.Kind == Local {
		return nil
	}
	if st.Server {
		return usage("The --files-from sent to the server cannot specify a host.")
	}
	st.FilesFrom, st.FilesFromHost = place.Path, ":"
	if host := place.HostSpec(); host != "" {
		st.FilesFromHost = host
	}
	return nil
}

func setOutbuf(st *state, v value) error {
	st.outbuf, st.buffered = v.text, true
	return nil
}

func setRemoteOption(st *state, v value) error {
	if !strings.HasPrefix(v.text, "-") {
		return usage("Remote option must start with a dash: %s", v.text)
	}
	st.Remote = append(st.Remote, v.text)
	return nil
}

func setOutFormat(st *state, v value) error {
	st.OutFormat, st.HasOutFormat = v.text, true
	return nil
}

// setDaemonLogFormat is that of a daemon, where an empty one turns the log of
// transfers off.
func setDaemonLogFormat(st *state, v value) error {
	st.DaemonWords.LogFormat, st.DaemonWords.HasLogFormat = v.text, true
	return nil
}

func setLogFormat(st *state, v value) error {
	st.LogFormat, st.logFormat = v.text, true
	return nil
}

// setBwLimit rounds to KiB, as it is said to the other side; what is too much
// for 32 bits of them is no limit.
func setBwLimit(st *state, v value) error {
	if !v.on {
		st.BwLimit = 0
		return nil
	}
	n, err := size("bwlimit", v.text, sizeRange{min: minBwLimit, unit: 'k'})
	if n = (n + kib/2) / kib; n > math.MaxInt32 {
		n = 0
	}
	st.BwLimit = n * kib
	return err
}

func setStopAfter(st *state, v value) (err error) {
	st.StopAt, err = stopAfter(v.text, st.in.now())
	return err
}

func setStopAt(st *state, v value) (err error) {
	st.StopAt, err = stopAt(v.text, st.in.now())
	return err
}

// The batch options override each other as long as they write.
func setWriteBatch(st *state, v value) error {
	st.WriteBatch, st.OnlyWriteBatch, st.batchName = v.text, "", v.text
	return nil
}

func setOnlyWriteBatch(st *state, v value) error {
	st.WriteBatch, st.OnlyWriteBatch, st.batchName = "", v.text, v.text
	return nil
}

func setReadBatch(st *state, v value) error {
	st.ReadBatch, st.batchName = v.text, v.text
	return nil
}

func setIconv(st *state, v value) error {
	if !v.on {
		st.Iconv, st.useIconv = "", -1
		return nil
	}
	st.Iconv, st.useIconv = v.text, 1
	return nil
}

func setChecksumSeed(st *state, v value) error {
	st.ChecksumSeed = int32(v.n)
	return nil
}

func setOldArgs(st *state, v value) error {
	switch {
	case !v.on:
		st.oldArgs = 0
	case st.oldArgs < 0:
		st.oldArgs = 1
	default:
		st.oldArgs++
	}
	return nil
}

func setMsgsToStderr(st *state, v value) error {
	if st.Stderr = 'c'; v.on {
		st.Stderr = 'a'
	}
	return nil
}

func setHelp(st *state, _ value) error {
	st.Show = ShowHelp
	return nil
}

func setHuman(st *state, v value) error {
	if !v.on {
		st.HumanReadable, st.helpLetter = 0, false
		return nil
	}
	st.HumanReadable++
	st.helpLetter = true
	return nil
}

func setDaemonBwLimit(st *state, v value) error {
	st.DaemonWords.BwLimit = int64(v.n) * kib
	return nil
}

func setDaemonParam(st *state, v value) error {
	if !strings.Contains(v.text, "=") {
		return &Error{Code: codeSyntax, Text: "--dparam value is missing an '=': " + v.text}
	}
	st.DaemonWords.Params = append(st.DaemonWords.Params, v.text)
	return nil
}

func setDaemonHelp(st *state, _ value) error {
	st.Show = ShowDaemonHelp
	return nil
}
