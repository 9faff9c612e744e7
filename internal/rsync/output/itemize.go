package output

import (
	"lockstep/internal/fs/tree"
	"lockstep/internal/rsync/wire"
)

// columns is the length of an itemize string: what is done, the kind of the
// entry, and nine columns about what differs (5.2).
const columns = 11

const deleting = "*deleting  "

// The columns after the first two.
const (
	columnChange = iota + 2
	columnSize
	columnTime
	columnPerms
	columnOwner
	columnGroup
	columnAtime
	columnACL
	columnXattr
)

// Itemize is the string of %i. times tells that modification times are kept,
// local that both ends are here.
func Itemize(e *Event, times, local bool) string {
	f := e.Flags
	if f&wire.ItemDeleted != 0 {
		return deleting
	}
	c := []byte("..........." /* columns */)
	c[0], c[1] = e.verb(local), kindLetter(e.Meta.Kind)
	set := func(column int, bit wire.Item, letter byte) {
		if f&bit != 0 {
			c[column] = letter
		}
	}
	set(columnChange, wire.ItemChange, 'c')
	late := byte('t')
	if !times {
		late = 'T'
	}
	if e.Meta.Kind == tree.Symlink {
		if f&wire.ItemTimeFail != 0 {
			late = 'T'
		}
	} else {
		set(columnSize, wire.ItemSize, 's')
	}
	set(columnTime, wire.ItemTime, late)
	set(columnPerms, wire.ItemPerms, 'p')
	set(columnOwner, wire.ItemOwner, 'o')
	set(columnGroup, wire.ItemGroup, 'g')
	set(columnAtime, wire.ItemAtime, 'u')
	set(columnAtime, wire.ItemCrtime, 'n')
	if both := wire.ItemAtime | wire.ItemCrtime; f&both == both {
		c[columnAtime] = 'b'
	}
	set(columnACL, wire.ItemACL, 'a')
	set(columnXattr, wire.ItemXattr, 'x')
	switch {
	case f&wire.ItemNew != 0:
		fill(c, '+')
	case f&wire.ItemMissingDetails != 0:
		fill(c, '?')
	case (c[0] == '.' || c[0] == 'h' || c[0] == 'c') && string(c[columnChange:]) == ".........":
		fill(c, ' ')
	}
	return string(c)
}

func fill(c []byte, with byte) {
	for i := columnChange; i < columns; i++ {
		c[i] = with
	}
}

// verb is the first column.
func (e *Event) verb(local bool) byte {
	f := e.Flags
	switch {
	case f&wire.ItemLocalChange != 0 && f&wire.ItemXnameFollows != 0:
		return 'h'
	case f&wire.ItemLocalChange != 0:
		return 'c'
	case f&wire.ItemTransfer == 0:
		return '.'
	case e.Sending && !local:
		return '<'
	}
	return '>'
}

// kindLetter is the second column.
func kindLetter(k tree.Kind) byte {
	switch k {
	case tree.Dir:
		return 'd'
	case tree.Symlink:
		return 'L'
	case tree.CharDevice, tree.BlockDevice:
		return 'D'
	case tree.Fifo, tree.Socket:
		return 'S'
	}
	return 'f'
}
