package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// maxUnpacked bounds what a batch may unpack to, so that a few kilobytes from a producer cannot
// take all memory. Producers make batches of 1 MiB, brokers refuse packed ones of more than that
// unless they are told otherwise.
const maxUnpacked = 128 << 20

var errUnpacked = fmt.Errorf("it unpacks to more than %d MiB", maxUnpacked>>20)

// unpacker unpacks batches. franz-go's decompressor has no bound that a caller can set. An unpacker
// belongs to one goroutine at a time.
type unpacker struct {
	src  bytes.Reader
	lim  io.LimitedReader
	gzip *gzip.Reader
	lz4  *lz4.Reader
	zstd *zstd.Decoder
}

// unpack unpacks src. It uses the memory of to if that is large enough.
func (u *unpacker) unpack(to, src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	to = to[:0]
	u.src.Reset(src)
	switch codec {
	case kgo.CodecGzip:
		if u.gzip == nil {
			u.gzip = new(gzip.Reader)
		}
		if err := u.gzip.Reset(&u.src); err != nil {
			return nil, err
		}
		return u.readAll(to, u.gzip)
	case kgo.CodecSnappy:
		return unpackSnappy(to, src)
	case kgo.CodecLz4:
		if u.lz4 == nil {
			u.lz4 = lz4.NewReader(nil)
		}
		u.lz4.Reset(&u.src)
		return u.readAll(to, u.lz4)
	case kgo.CodecZstd:
		if u.zstd == nil {
			var err error
			u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxUnpacked))
			if err != nil {
				return nil, err
			}
		}
		out, err := u.zstd.DecodeAll(src, to)
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			err = errUnpacked
		}
		return out, err
	}
	return nil, fmt.Errorf("it is packed with codec %d, expected 0 to 4", codec)
}

// readAll reads everything.
func (u *unpacker) readAll(to []byte, from io.Reader) ([]byte, error) {
	u.lim = io.LimitedReader{R: from, N: maxUnpacked + 1}
	out := bytes.NewBuffer(to)
	n, err := out.ReadFrom(&u.lim)
	if n > maxUnpacked {
		return nil, errUnpacked
	}
	return out.Bytes(), err
}

// xerial begins what Java's producers make of snappy: blocks, each with its length before it.
var xerial = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeaderBytes = 16

var errXerial = errors.New("a block of snappy is cut off")

func unpackSnappy(to, src []byte) ([]byte, error) {
	if !bytes.HasPrefix(src, xerial) {
		return appendSnappy(to, src)
	}
	if len(src) < xerialHeaderBytes {
		return nil, errXerial
	}
	for src = src[xerialHeaderBytes:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, errXerial
		}
		n := binary.BigEndian.Uint32(src)
		src = src[4:]
		if uint64(n) > uint64(len(src)) {
			return nil, errXerial
		}
		var err error
		if to, err = appendSnappy(to, src[:n]); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return to, nil
}

// appendSnappy unpacks one block.
func appendSnappy(to, block []byte) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	if len(to)+n > maxUnpacked {
		return nil, errUnpacked
	}
	at := len(to)
	if cap(to) < at+n {
		grown := make([]byte, at, at+n+at/2)
		copy(grown, to)
		to = grown
	}
	// The capacity is what Decode may use.
	out, err := s2.Decode(to[at:at+n:at+n], block)
	if err != nil {
		return nil, err
	}
	return to[:at+len(out)], nil
}
