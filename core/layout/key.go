package layout

// An EncodedKey is the key of one group.
type EncodedKey struct {
	Hash  uint64
	Words []uint64
	Heap  []byte
	// Window is the end of the window, for a plan with windows.
	Window int64
}

// ShardOf is the shard of a hash.
//
//gcassert:inline
func ShardOf(hash uint64) uint8 { return uint8(hash >> 56) }
