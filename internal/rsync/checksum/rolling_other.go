//go:build !amd64

package checksum

// Sum1 returns the rolling sum of a block.
func Sum1(block []byte) uint32 { return sumWords(block) }
