package compressed

import (
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/velo-engine/velo/internal/inflate"
)

// The flags of a gzip header (RFC 1952).
const (
	gzipChecked = 1 << 1
	gzipExtra   = 1 << 2
	gzipName    = 1 << 3
	gzipComment = 1 << 4

	gzipDeflate = 8

	gzipHeadBytes = 10 // of a header, before what the flags say
)

// gunzip unpacks the members of a gzip file, one after another. It checks the checksum and the size
// of each.
type gunzip struct {
	in     *inflate.Reader
	base   int64 // where in begins in the file
	member bool  // in the data of a member
	sum    uint32
	size   uint32
	err    error
}

// newGunzip reads the first header, which lies at base in the file.
func newGunzip(in io.Reader, base int64) (*gunzip, error) {
	z := &gunzip{in: inflate.NewReader(in), base: base}
	z.begin()
	return z, z.err
}

// reset goes on with another file, and reads its first header.
func (z *gunzip) reset(in io.Reader) error {
	z.in.Reset(in)
	z.begin()
	return z.err
}

// offset is how many bytes of the file have been used.
func (z *gunzip) offset() int64 { return z.base + z.in.Offset() }

// Read unpacks.
func (z *gunzip) Read(b []byte) (int, error) {
	for z.err == nil {
		if !z.member {
			z.begin()
			continue
		}
		n, err := z.in.Read(b)
		z.sum = crc32.Update(z.sum, crc32.IEEETable, b[:n])
		z.size += uint32(n)
		switch corrupt, ok := err.(flate.CorruptInputError); { //nolint:errorlint // it comes as it is
		case ok:
			z.err = corrupt + flate.CorruptInputError(z.base)
		case err == io.EOF: //nolint:errorlint // an inflate.Reader returns it as it is
			z.err = z.end()
		default:
			z.err = err
		}
		if n > 0 || len(b) == 0 {
			return n, nil
		}
	}
	return 0, z.err
}

// begin reads the header of a member. At the end of the file it leaves io.EOF in err.
func (z *gunzip) begin() {
	z.sum, z.size, z.member = 0, 0, true
	z.in.Next()
	first, err := z.in.ReadByte()
	switch {
	case err == io.ErrUnexpectedEOF: //nolint:errorlint // an inflate.Reader returns it as it is
		z.err = io.EOF
	case err != nil:
		z.err = err
	default:
		z.err = z.header(first)
	}
}

// header reads the header of a member after its first byte.
func (z *gunzip) header(first byte) error {
	head := make([]byte, gzipHeadBytes)
	head[0] = first
	if err := z.bytes(head[1:]); err != nil {
		return err
	}
	if head[0] != 0x1f || head[1] != 0x8b || head[2] != gzipDeflate {
		return gzip.ErrHeader
	}
	sum := crc32.ChecksumIEEE(head)
	next := func(b []byte) error {
		err := z.bytes(b)
		sum = crc32.Update(sum, crc32.IEEETable, b)
		return err
	}
	flags := head[3]
	if flags&gzipExtra != 0 {
		if err := next(head[:2]); err != nil {
			return err
		}
		if err := next(make([]byte, binary.LittleEndian.Uint16(head))); err != nil {
			return err
		}
	}
	for _, text := range []byte{gzipName, gzipComment} {
		for more := flags&text != 0; more; more = head[0] != 0 {
			if err := next(head[:1]); err != nil {
				return err
			}
		}
	}
	if flags&gzipChecked == 0 {
		return nil
	}
	want := uint16(sum)
	if err := z.bytes(head[:2]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint16(head) != want {
		return gzip.ErrHeader
	}
	return nil
}

// end reads what comes after the data of a member, and checks it.
func (z *gunzip) end() error {
	z.member = false
	var tail [8]byte
	if err := z.bytes(tail[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(tail[:]) != z.sum || binary.LittleEndian.Uint32(tail[4:]) != z.size {
		return gzip.ErrChecksum
	}
	return nil
}

// bytes reads bytes that lie outside of a member's data.
func (z *gunzip) bytes(b []byte) (err error) {
	for i := 0; i < len(b) && err == nil; i++ {
		b[i], err = z.in.ReadByte()
	}
	return err
}
