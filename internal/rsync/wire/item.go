package wire

// Item says what is to be done with an entry, and what of it differs
// (rsync-transfer 1.3). The lower 16 bits travel.
type Item uint32

// The flags.
const (
	ItemAtime        Item = 0x0001
	ItemChange       Item = 0x0002 // content by checksum, or the value of a link or device
	ItemSize         Item = 0x0004 // of regular files
	ItemTimeFail     Item = 0x0004 // of symlinks: their time could not be set
	ItemTime         Item = 0x0008
	ItemPerms        Item = 0x0010
	ItemOwner        Item = 0x0020
	ItemGroup        Item = 0x0040
	ItemACL          Item = 0x0080
	ItemXattr        Item = 0x0100
	ItemCrtime       Item = 0x0400
	ItemBasisFollows Item = 0x0800
	ItemXnameFollows Item = 0x1000
	ItemNew          Item = 0x2000
	ItemLocalChange  Item = 0x4000
	ItemTransfer     Item = 0x8000

	ItemMissingDetails Item = 0x10000 // never travel
	ItemDeleted        Item = 0x20000
	ItemMatchedAlt     Item = 0x40000

	// ItemTravels are the flags that go over the wire.
	ItemTravels Item = 0xffff
	// ItemSignificant are those that make an entry worth naming.
	ItemSignificant = ItemTravels &^ (ItemBasisFollows | ItemXnameFollows | ItemLocalChange)
)

// Basis says what a transfer's blocks belong to (rsync-transfer 1.3).
type Basis uint8

// The kinds of basis. Below BasisFile a Basis is the index of an alternate
// directory; from BasisFuzzyAlt on it is a fuzzy match in the alternate
// directory Basis-BasisFuzzyAlt.
const (
	BasisFile     Basis = 0x80
	BasisPartial  Basis = 0x81
	BasisBackup   Basis = 0x82
	BasisFuzzy    Basis = 0x83
	BasisFuzzyAlt Basis = 0x84
)
