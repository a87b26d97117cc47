package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"os"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// magic begins and ends each file.
const magic = "PAR1"

const (
	// maxFooterBytes bounds a footer. That of a file with 1,000 columns in 1,000 row groups has
	// about as many bytes.
	maxFooterBytes = 256 << 20

	// tailBytes is how much of the end of a file is read at once: most footers lie in it.
	tailBytes = 64 << 10

	// leastFile is how many bytes a file has at least: both magics, and the length of the footer.
	leastFile = 12
)

// errDamaged says that a file is not what its footer or its pages say. Test for it with errors.Is.
var errDamaged = errors.New("the file is damaged")

// damaged is an error about a file that is not what it says.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errDamaged, fmt.Errorf(format, args...))
}

// file is what is known about a file: what its footer says.
type file struct {
	path string
	size int64
	// footer tells the file from another one that has its name now: where each page lies is in it.
	footer uint64
	meta   *format.FileMetaData
	leaves []leaf
}

// readFooter opens a file and reads what its footer says.
func readFooter(path string) (*file, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	f, err := footerOf(in, path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func footerOf(in *os.File, path string) (*file, error) {
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file, and a Parquet file is read from its end: copy it to a file " +
			"first")
	}
	f := &file{path: path, size: info.Size()}
	text, err := footerText(in, f.size)
	if err != nil {
		return nil, err
	}
	f.footer = crc64.Checksum(text, crc64.MakeTable(crc64.ECMA))
	return f, guarded(func() error { return f.decode(text) })
}

// footerText reads the text of the footer.
func footerText(in io.ReaderAt, size int64) ([]byte, error) {
	if size < leastFile {
		return nil, damaged("it has %d bytes, and a Parquet file has %d at least", size, leastFile)
	}
	tail := make([]byte, min(size, tailBytes))
	if _, err := in.ReadAt(tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	switch end := string(tail[len(tail)-len(magic):]); end {
	case magic:
	case "PARE":
		return nil, errors.New("it is encrypted, which velo does not read")
	default:
		return nil, damaged("it ends with %q, and a Parquet file with %q: it is perhaps still being written", end,
			magic)
	}
	n := int64(binary.LittleEndian.Uint32(tail[len(tail)-8:]))
	switch {
	case n > size-leastFile:
		return nil, damaged("its footer has %d bytes, and the file %d", n, size)
	case n > maxFooterBytes:
		return nil, fmt.Errorf("its footer has %d bytes, at most %d are read", n, maxFooterBytes)
	case n <= int64(len(tail))-8:
		return tail[int64(len(tail))-8-n : len(tail)-8], nil
	}
	text := make([]byte, n)
	_, err := in.ReadAt(text, size-8-n)
	return text, err
}

// decode decodes the footer, and checks what others rely on.
func (f *file) decode(text []byte) error {
	length, err := thriftLength(text)
	if err != nil {
		return damaged("footer: %w", err)
	}
	f.meta = &format.FileMetaData{}
	var compact thrift.CompactProtocol
	if err := thrift.Unmarshal(&compact, text[:length], f.meta); err != nil {
		return damaged("footer: %w", err)
	}
	f.leaves, err = leavesOf(f.meta.Schema)
	if err != nil {
		return err
	}
	rows := int64(0)
	for g := range f.meta.RowGroups {
		if err := f.checkGroup(&f.meta.RowGroups[g]); err != nil {
			return damaged("row group %d: %w", g, err)
		}
		rows += f.meta.RowGroups[g].NumRows
	}
	if rows != f.meta.NumRows {
		return damaged("it has %d rows, and its row groups have %d", f.meta.NumRows, rows)
	}
	return nil
}

// maxGroupRows bounds the rows of a row group.
const maxGroupRows = 1 << 40

// checkGroup checks what a footer says of a row group.
func (f *file) checkGroup(g *format.RowGroup) error {
	if g.NumRows < 0 || g.NumRows > maxGroupRows {
		return fmt.Errorf("it has %d rows", g.NumRows)
	}
	if len(g.Columns) != len(f.leaves) {
		return fmt.Errorf("it has %d columns, and the schema %d", len(g.Columns), len(f.leaves))
	}
	for i := range g.Columns {
		c, l := &g.Columns[i], &f.leaves[i]
		begin, length := chunkOf(&c.MetaData)
		switch {
		case c.FilePath != "":
			return fmt.Errorf("column %q lies in another file, %q, which velo does not read", l.name, c.FilePath)
		case l.depthRepeated == 0 && c.MetaData.NumValues != g.NumRows:
			return fmt.Errorf("column %q has %d values, and the row group %d rows", l.name, c.MetaData.NumValues,
				g.NumRows)
		case begin < 0 || length < 0 || begin > f.size || length > f.size-begin:
			return fmt.Errorf("column %q lies at bytes %d to %d of %d", l.name, begin, begin+length, f.size)
		case l.unread == "" && c.MetaData.Type != l.physical:
			return fmt.Errorf("column %q is %v, and %v in the schema", l.name, c.MetaData.Type, l.physical)
		}
	}
	return nil
}

// chunkOf is where the pages of a column lie.
func chunkOf(c *format.ColumnMetaData) (begin, length int64) {
	begin = c.DataPageOffset
	if c.DictionaryPageOffset > 0 && c.DictionaryPageOffset < begin {
		begin = c.DictionaryPageOffset
	}
	return begin, c.TotalCompressedSize
}

// guarded turns a panic into an error. Decoders of damaged input may panic, in spite of all checks.
func guarded(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = damaged("%v", r)
		}
	}()
	return do()
}
