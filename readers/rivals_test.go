package readers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/valyala/fastjson"

	"github.com/velo-engine/velo/record"
)

// BenchmarkNDJSONRivals reads the same flat lines into the same columns: what there is for JSON otherwise, in one binary. The rivals are given each line, and
// parse numbers and times too, or there would be nothing to add up.
func BenchmarkNDJSONRivals(b *testing.B) {
	s := jsonSchema(b)
	var data []byte
	for i := 0; len(data) < 16<<20; i++ {
		data = append(data, jsonTestLine(i)...)
	}
	path := write(b, data)
	batch := record.NewBatch(s, 0)
	lines := func(b *testing.B, each func(line []byte)) {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		scan := bufio.NewScanner(f)
		scan.Buffer(make([]byte, DefaultBlockBytes), DefaultBlockBytes)
		batch.Reset()
		for scan.Scan() {
			if !batch.Add(64) {
				batch.Reset()
				batch.Add(64)
			}
			each(scan.Bytes())
		}
	}
	at := func(text []byte) time.Time {
		v, err := time.Parse(time.RFC3339Nano, string(text))
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
	for _, impl := range []struct {
		name string
		read func(b *testing.B)
	}{
		{"velo", func(b *testing.B) {
			f, err := OpenNDJSON(path, NDJSONConfig{Schema: s})
			if err != nil {
				b.Fatal(err)
			}
			r := f.Readers(1)[0].(record.Poller)
			defer r.Close()
			for {
				batch.Reset()
				if r.Poll(batch) != nil {
					return
				}
			}
		}},
		{"fastjson", func(b *testing.B) {
			var p fastjson.Parser
			lines(b, func(line []byte) {
				v, err := p.ParseBytes(line)
				if err != nil {
					b.Fatal(err)
				}
				batch.SetBytes(0, v.GetStringBytes("name"))
				batch.SetInt64(1, v.GetInt64("number"))
				batch.SetFloat64(2, v.GetFloat64("x"))
				batch.SetTime(4, at(v.GetStringBytes("at")))
				batch.SetBool(5, v.GetBool("ok"))
			})
		}},
		{"encoding/json", func(b *testing.B) {
			var row struct {
				At     time.Time
				Name   string
				Number int64
				X      float64
				Ok     bool
			}
			lines(b, func(line []byte) {
				if err := json.Unmarshal(line, &row); err != nil {
					b.Fatal(err)
				}
				batch.SetString(0, row.Name)
				batch.SetInt64(1, row.Number)
				batch.SetFloat64(2, row.X)
				batch.SetTime(4, row.At)
				batch.SetBool(5, row.Ok)
			})
		}},
	} {
		b.Run("impl="+impl.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				impl.read(b)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(bytes.Count(data, []byte{'\n'})), "ns/record")
		})
	}
}
