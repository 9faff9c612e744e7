package walk

import (
	"fmt"
	"io"

	"lockstep/internal/fs/tree"
)

// ReadFile is the content of regular file p, which may have at most limit
// bytes.
func ReadFile(r *Root, p tree.Path, limit int64) ([]byte, error) {
	f, err := r.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	if err != nil {
		return nil, fail("read", p, err)
	}
	return data, nil
}
