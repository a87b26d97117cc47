package compressed

import (
	"bytes"
	stdgzip "compress/gzip"
	"io"
	"runtime"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/internal/filegen"
)

// The inflaters alone, on trades as CSV, and copying the same bytes.
func BenchmarkInflaters(b *testing.B) {
	var plain bytes.Buffer
	if err := (filegen.Trades{Rows: 200_000, Symbols: 5000, QuotedPercent: 10}).Write(&plain, 1); err != nil {
		b.Fatal(err)
	}
	size := float64(plain.Len())
	gz, zs := pack(b, "gzip", plain.Bytes()), pack(b, "zstd", plain.Bytes())
	out := make([]byte, 128<<10)
	for _, c := range []struct {
		name string
		open func() io.Reader
	}{
		{"memcpy", func() io.Reader { return bytes.NewReader(plain.Bytes()) }},
		{"gzip/standard", func() io.Reader {
			z, err := stdgzip.NewReader(bytes.NewReader(gz))
			if err != nil {
				b.Fatal(err)
			}
			return z
		}},
		{"gzip/velo", func() io.Reader {
			z, err := newGunzip(bytes.NewReader(gz), 0)
			if err != nil {
				b.Fatal(err)
			}
			return z
		}},
		{"gzip/klauspost", func() io.Reader {
			z, err := gzip.NewReader(bytes.NewReader(gz))
			if err != nil {
				b.Fatal(err)
			}
			return z
		}},
		{"zstd/klauspost", func() io.Reader {
			z, err := zstd.NewReader(bytes.NewReader(zs), zstd.WithDecoderConcurrency(1))
			if err != nil {
				b.Fatal(err)
			}
			return z
		}},
	} {
		b.Run("inflater="+c.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			begun, _ := affinity.ThreadCPUTime()
			for b.Loop() {
				in := c.open()
				var err error
				for n := 0; err == nil; {
					n, err = in.Read(out)
					_ = n
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
			took, _ := affinity.ThreadCPUTime() // 0 on a system that does not tell
			b.ReportMetric(size*float64(b.N)/float64((took-begun).Nanoseconds()), "GB/cpu-s")
		})
	}
}
