package readers

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

// lineBlock is the size of the parts of a file whose newlines are counted together.
const lineBlock = 1 << 20

// lineIndex counts the lines of a file, as far as anybody has asked. It is used for rejected
// records, off the data path.
type lineIndex struct {
	mu     sync.Mutex
	file   *os.File
	size   int64
	before []int64 // newlines before each lineBlock, as far as known
	buf    []byte
}

// line is the 1-based line of the byte at offset.
func (l *lineIndex) line(offset int64) (int64, error) {
	if offset < 0 || offset > l.size {
		return 0, fmt.Errorf("readers: offset %d, the file has %d bytes", offset, l.size)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	block := offset / lineBlock
	for int64(len(l.before)) <= block {
		n := int64(len(l.before))
		count, err := l.count((n-1)*lineBlock, n*lineBlock)
		if err != nil {
			return 0, err
		}
		l.before = append(l.before, l.before[n-1]+count)
	}
	count, err := l.count(block*lineBlock, offset)
	if err != nil {
		return 0, err
	}
	return l.before[block] + count + 1, nil
}

// count is the number of newlines in [from, to), which is at most one lineBlock.
func (l *lineIndex) count(from, to int64) (int64, error) {
	if l.buf == nil {
		l.buf = make([]byte, lineBlock)
	}
	b := l.buf[:to-from]
	if n, err := l.file.ReadAt(b, from); n < len(b) {
		return 0, fmt.Errorf("readers: counting lines at offset %d: %w", from+int64(n), err)
	}
	return int64(bytes.Count(b, []byte{'\n'})), nil
}
