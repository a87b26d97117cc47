package parquet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"

	"github.com/velo-engine/velo/record"
)

const (
	// maxPageBytes bounds a page, packed and unpacked. Writers make pages of 1 MiB, and some a
	// single page of a whole column of a row group.
	maxPageBytes = 512 << 20

	// windowBytes is how much of a column is read from the file at once.
	windowBytes = 256 << 10

	// maxHeaderBytes bounds the header of a page. It has the least and the greatest value of the
	// page, which may be long texts.
	maxHeaderBytes = 16 << 20
)

// window is the part of a column chunk that is in memory.
type window struct {
	file io.ReaderAt
	// at and end are where the part of the chunk lies that has not been read from the file.
	at, end int64
	// data has what was read and not taken. It has padding after it in memory.
	data   []byte
	buffer []byte
}

// begin begins with a chunk.
func (w *window) begin(file io.ReaderAt, begin, length int64) {
	w.file, w.at, w.end, w.data = file, begin, begin+length, nil
}

// ensure has the window have n bytes, or all that are left of the chunk if those are fewer. What
// was taken before is no longer valid.
func (w *window) ensure(n int) error {
	if len(w.data) >= n || w.at == w.end {
		return nil
	}
	had := len(w.data)
	want := int(min(int64(max(n, windowBytes)), int64(had)+w.end-w.at))
	if cap(w.buffer) < want+padding {
		grown := grow(nil, want)
		copy(grown, w.data)
		w.buffer = grown
	} else {
		w.buffer = w.buffer[:want]
		copy(w.buffer, w.data)
	}
	if _, err := w.file.ReadAt(w.buffer[had:want], w.at); err != nil {
		if errors.Is(err, io.EOF) {
			return damaged("it ends before byte %d", w.at+int64(want-had))
		}
		return err
	}
	w.at += int64(want - had)
	w.data = w.buffer[:want]
	return nil
}

// take takes n bytes. They are valid until the next ensure.
func (w *window) take(n int) []byte {
	taken := w.data[:n]
	w.data = w.data[n:]
	return taken
}

// header reads the header of the next page.
func (w *window) header(h *format.PageHeader) error {
	for want := 512; ; want *= 4 {
		if err := w.ensure(want); err != nil {
			return err
		}
		length, err := thriftLength(w.data)
		if err == nil {
			*h = format.PageHeader{}
			var compact thrift.CompactProtocol
			if err := thrift.Unmarshal(&compact, w.data[:length], h); err != nil {
				return damaged("header: %w", err)
			}
			w.data = w.data[length:]
			return checkHeader(h)
		}
		if !errors.Is(err, errThriftShort) || len(w.data) < want || want > maxHeaderBytes {
			return damaged("header: %w", err)
		}
	}
}

// checkHeader checks the sizes in a header.
func checkHeader(h *format.PageHeader) error {
	switch {
	case h.CompressedPageSize < 0 || h.UncompressedPageSize < 0:
		return damaged("it has %d bytes, and %d of them when it is packed", h.UncompressedPageSize,
			h.CompressedPageSize)
	case h.CompressedPageSize > maxPageBytes || h.UncompressedPageSize > maxPageBytes:
		return fmt.Errorf("it has %d bytes, at most %d are read", max(h.CompressedPageSize, h.UncompressedPageSize),
			maxPageBytes)
	}
	return nil
}

// body takes the bytes of a page.
func (w *window) body(h *format.PageHeader) ([]byte, error) {
	n := int(h.CompressedPageSize)
	if int64(n) > int64(len(w.data))+w.end-w.at {
		return nil, damaged("it has %d bytes, and %d are left of the column", n, int64(len(w.data))+w.end-w.at)
	}
	if err := w.ensure(n); err != nil {
		return nil, err
	}
	body := w.take(n)
	if h.CRC != 0 && uint32(h.CRC) != crc32.ChecksumIEEE(body) {
		return nil, damaged("its check sum is wrong")
	}
	return body, nil
}

// unpacker unpacks pages. One goroutine at a time uses it.
type unpacker struct {
	gzip   *gzip.Reader
	zstd   *zstd.Decoder
	brotli *brotli.Reader
}

// unpack unpacks a page to size bytes, in to if that is large enough. There is padding after them
// in memory.
func (u *unpacker) unpack(codec format.CompressionCodec, to, from []byte, size int) ([]byte, error) {
	if codec == format.Uncompressed {
		if len(from) != size {
			return nil, damaged("it has %d bytes, expected %d", len(from), size)
		}
		if cap(from) >= size+padding {
			return from, nil
		}
		to = grow(to, size)
		copy(to, from)
		return to, nil
	}
	to = grow(to, size)
	if size == 0 {
		return to, nil
	}
	n, err := u.into(codec, to, from)
	if err != nil {
		return nil, damaged("%v: %w", codec, err)
	}
	if n != size {
		return nil, damaged("%v: it has %d bytes, expected %d", codec, n, size)
	}
	return to, nil
}

// into unpacks into to and returns the length. The error says, too, that to is too short.
func (u *unpacker) into(codec format.CompressionCodec, to, from []byte) (n int, err error) {
	switch codec {
	case format.Snappy:
		n, err := snappy.DecodedLen(from)
		if err != nil || n != len(to) {
			return n, err
		}
		_, err = snappy.Decode(to, from)
		return n, err
	case format.Zstd:
		if u.zstd == nil {
			u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
				zstd.WithDecoderMaxMemory(maxPageBytes+padding))
			if err != nil {
				return 0, err
			}
		}
		all, err := u.zstd.DecodeAll(from, to[:0:len(to)])
		return len(all), err
	case format.Gzip:
		if u.gzip == nil {
			u.gzip, err = gzip.NewReader(bytes.NewReader(from))
		} else {
			err = u.gzip.Reset(bytes.NewReader(from))
		}
		if err != nil {
			u.gzip = nil
			return 0, err
		}
		return io.ReadFull(u.gzip, to)
	case format.Brotli:
		if u.brotli == nil {
			u.brotli = brotli.NewReader(bytes.NewReader(from))
		} else if err := u.brotli.Reset(bytes.NewReader(from)); err != nil {
			return 0, err
		}
		return io.ReadFull(u.brotli, to)
	case format.Lz4Raw:
		return lz4.UncompressBlock(from, to)
	}
	return 0, fmt.Errorf("pages that are packed like that are not read")
}

// readable says why pages that are packed with a codec cannot be read; "" if they can.
func readable(codec format.CompressionCodec) string {
	switch codec {
	case format.Uncompressed, format.Snappy, format.Zstd, format.Gzip, format.Brotli, format.Lz4Raw:
		return ""
	case format.Lz4:
		return "it is packed with LZ4 as Hadoop frames it, which was given up; expected LZ4_RAW, zstd or snappy"
	}
	return fmt.Sprintf("it is packed with %v, which velo does not read", codec)
}

// page is the values of one page of a column. Depending on form, they are places in a dictionary,
// bits, numbers, bytes of numbers, or texts.
type page struct {
	form form
	// left is how many rows the page has that have not been read.
	left int
	// levels says which rows have a value, if some may be NULL.
	levels hybrid
	// places are the places of the values in the dictionary; or the values, if form is formRuns.
	places hybrid
	// data has the values that are left, as bytes.
	data []byte
	// ints has the values of formInts, and views and text those of formViews; at is the next.
	ints     []int64
	suffixes []int64
	views    []record.View
	text     []byte
	at       int
	bit      int // of formBits: how many of the bits of data[0] were read

	unpacked, own []byte // memory
}

// plainDictionary is what old writers call RLEDictionary in a page of values, and Plain in a
// dictionary.
const plainDictionary format.Encoding = 2

// form says how the values of a page lie in it.
type form uint8

const (
	formPlain  form = iota // as bytes, in data
	formPlaces             // as places in the dictionary
	formBits               // as bits, in data
	formRuns               // as numbers of one bit, in places
	formInts               // as numbers, in ints
	formViews              // as texts, in views and text
)

// resizeViews makes views n long.
func (p *page) resizeViews(n int) {
	if cap(p.views) < n {
		p.views = make([]record.View, n)
	}
	p.views = p.views[:n]
}

// values begins with the values of a page. n is how many there are at most.
func (p *page) values(l *leaf, encoding format.Encoding, data []byte, n int) error {
	p.at, p.bit, p.data, p.text = 0, 0, data, nil
	switch encoding {
	case format.Plain:
		p.form = formPlain
		if l.physical == format.Boolean {
			p.form = formBits
		}
		return nil
	case plainDictionary, format.RLEDictionary:
		p.form = formPlaces
		if len(data) == 0 { // all are NULL
			return p.places.begin(nil, 32)
		}
		return p.places.begin(data[1:], int(data[0]))
	case format.RLE:
		if l.physical == format.Boolean && len(data) >= 4 {
			p.form = formRuns
			length := binary.LittleEndian.Uint32(data)
			return p.places.begin(data[4:4+min(int(length), len(data)-4)], 1)
		}
	case format.DeltaBinaryPacked:
		if l.physical == format.Int32 || l.physical == format.Int64 {
			p.form = formInts
			ints, _, err := deltas(p.ints[:0], data, n)
			p.ints = ints
			if l.physical == format.Int32 {
				for i, v := range ints {
					ints[i] = int64(int32(v)) // sums of deltas wrap around at 32 bits
				}
			}
			return err
		}
	case format.DeltaLengthByteArray:
		if l.physical == format.ByteArray {
			p.form = formViews
			return p.deltaTexts(data, n)
		}
	case format.DeltaByteArray:
		if l.physical == format.ByteArray || l.physical == format.FixedLenByteArray {
			p.form = formViews
			return p.deltaPrefixes(data, n, maxPageBytes)
		}
	case format.ByteStreamSplit:
		if size := fixedSize(l); size > 0 {
			p.form = formPlain
			p.own = joinStreams(p.own, data, size)
			p.data = p.own
			return nil
		}
	}
	return fmt.Errorf("its encoding %v is not read for %v", encoding, l.physical)
}

// fixedSize is how many bytes a plain value has; 0 if that depends on the value.
func fixedSize(l *leaf) int {
	switch l.physical {
	case format.Int32, format.Float:
		return 4
	case format.Int64, format.Double:
		return 8
	case format.Int96:
		return 12
	case format.FixedLenByteArray:
		return l.size
	}
	return 0
}
