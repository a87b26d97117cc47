package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/velo-engine/velo/record"
)

// Goal: whether the client or responses.go has the memory of responses, the same records come, also
// over TLS; and large responses are taken off the connection. Method: random records of three
// partitions in all codecs are read in both ways, with little buffered, so that memory is used
// again. With -race or -tags invariants memory that was given back is overwritten.
func TestResponsesTwin(t *testing.T) {
	_, _, pair := certificate(t, t.TempDir(), "both")
	for name, server := range map[string]*tls.Config{"plaintext": nil, "TLS": {Certificates: []tls.Certificate{pair}}} {
		t.Run(name, func(t *testing.T) {
			opts := []kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, "t")}
			cfg := SourceConfig{
				Topic: "t", UntilEnd: true, FetchBytes: 200_000, BufferBytes: 1, Partition: "p", Offset: "o",
			}
			if server != nil {
				opts = append(opts, kfake.TLS(server))
				cfg.Client.TLS = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // a test
			}
			cluster, err := kfake.NewCluster(opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			cfg.Client.Brokers = cluster.ListenAddrs()
			cfg.Schema = schemaOf(t, record.Field{Name: "n", Type: record.Int64},
				record.Field{Name: "s", Type: record.String}, record.Field{Name: "p", Type: record.Int64},
				record.Field{Name: "o", Type: record.Int64})
			produceRandom(t, &cfg.Client)
			read := func(own bool) []string {
				cfg.ownMemory = own
				s, err := NewSource(context.Background(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				rs, err := s.Readers(0)
				if err != nil {
					t.Fatal(err)
				}
				memory := rs[0].(*Reader).consumer.responses
				got, rejects, err := rows(t, cfg.Schema, rs)
				if err != nil || len(rejects) > 0 {
					t.Fatalf("%v, %v", rejects, err)
				}
				if (memory.token != 0) == own {
					t.Errorf("%d responses were taken off, although the client has them: %v", -memory.token, own)
				}
				slices.Sort(got)
				return got
			}
			ours, twins := read(false), read(true)
			if !slices.Equal(ours, twins) || len(ours) != 15_000 {
				t.Errorf("%d rows, and %d of the twin", len(ours), len(twins))
			}
		})
	}
}

// produceRandom writes 15,000 records in all codecs to three partitions of the topic t.
func produceRandom(t *testing.T, cfg *ClientConfig) {
	t.Helper()
	opts, err := cfg.options()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, codec := range []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(),
		kgo.ZstdCompression(),
	} {
		p, err := kgo.NewClient(append(opts[:len(opts):len(opts)], kgo.ProducerBatchCompression(codec),
			kgo.ProducerBatchMaxBytes(100_000), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 3000 {
			text := make([]byte, random.IntN(400))
			for i := range text {
				text[i] = byte('a' + random.IntN(26))
			}
			p.Produce(context.Background(), &kgo.Record{
				Topic: "t", Partition: int32(random.IntN(3)), Value: fmt.Appendf(nil, `{"n":%d,"s":"%s"}`, n, text),
			}, nil)
		}
		err = p.Flush(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
}

// frame puts the length before a request or a response.
func frame(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// fetchRequest is the head of a request to fetch.
func fetchRequest(id int32, version int16) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(kmsg.Fetch))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	return frame(binary.BigEndian.AppendUint32(b, uint32(id)))
}

// Goal: what goes over a connection reaches the client as it is, except for large fetch responses,
// which are exchanged for an empty one with a token. Method: a pipe with requests and answers made
// by hand, also such as are no responses, and answers that are cut off anywhere.
func TestFetchConn(t *testing.T) {
	large := func(id int32, version int16) []byte {
		f := kmsg.NewPtrFetchResponse()
		f.Version, f.ThrottleMillis = version, 7
		topic := kmsg.NewFetchResponseTopic()
		p := kmsg.NewFetchResponseTopicPartition()
		p.RecordBatches = bytes.Repeat([]byte{1, 2, 3, 4}, smallResponse)
		topic.Partitions = append(topic.Partitions, p)
		f.Topics = append(f.Topics, topic)
		b := binary.BigEndian.AppendUint32(nil, uint32(id))
		if version >= flexibleVersion {
			b = append(b, 0)
		}
		return frame(f.AppendTo(b))
	}
	small := frame([]byte{0, 0, 0, 5, 1, 2, 3})
	other := frame(append([]byte{0, 0, 0, 6}, make([]byte, 3*smallResponse)...))
	old := frame(append([]byte{0, 0, 0, 8}, make([]byte, 3*smallResponse)...))
	damaged := frame(append([]byte{0, 0, 0, 9}, bytes.Repeat([]byte{0x7f}, 2*smallResponse)...))
	for _, c := range []struct {
		name     string
		requests [][]byte
		answer   []byte
		want     []byte // nil if the answer is exchanged
		fault    bool
	}{
		{"a small one", [][]byte{fetchRequest(5, 16)}, small, small, false},
		{"an answer to something else", [][]byte{fetchRequest(5, 16)}, other, other, false},
		{"no session ids", [][]byte{fetchRequest(8, 6)}, old, old, false},
		{"large", [][]byte{fetchRequest(7, 11)}, large(7, 11), nil, false},
		{
			"large and flexible",
			[][]byte{slices.Concat(fetchRequest(1, 16), fetchRequest(7, 16))},
			large(7, 16), nil, false,
		},
		{"damaged", [][]byte{fetchRequest(9, 16)}, damaged, nil, true},
		{"half a request", [][]byte{fetchRequest(7, 16)[:9]}, large(7, 16), large(7, 16), false},
		{"no length", [][]byte{{1}}, []byte("HTTP/1.1 400 Bad Request"), []byte("HTTP/1.1 400 Bad Request"), false},
		{"a negative length", nil, []byte("\xff\xff\xff\xff123456"), []byte("\xff\xff\xff\xff123456"), false},
		{"a length of nothing", nil, []byte("\x00\x00\x00\x00123456"), []byte("\x00\x00\x00\x00123456"), false},
		{"cut off in the head", [][]byte{fetchRequest(7, 16)}, large(7, 16)[:6], large(7, 16)[:6], false},
		{"cut off in the middle", nil, small[:10], small[:10], false},
	} {
		t.Run(c.name, func(t *testing.T) { testFetchConn(t, c.requests, c.answer, c.want, c.fault) })
	}
}

func testFetchConn(t *testing.T, requests [][]byte, answer, want []byte, fault bool) {
	ours, broker := net.Pipe()
	r := newResponses()
	conn := &fetchConn{Conn: ours, to: r, asked: map[int32]int16{}}
	sent := slices.Concat(requests...)
	go func() {
		_, _ = io.ReadFull(broker, make([]byte, len(sent)))
		_, _ = broker.Write(answer)
		if want == nil { // what comes after it must be seen, too
			_, _ = broker.Write(frame([]byte{0, 0, 0, 99, 42}))
		}
		_ = broker.Close()
	}()
	for _, q := range requests {
		_, err := conn.Write(q)
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if want != nil {
		if !bytes.Equal(got, want) || len(r.arrived) > 0 {
			t.Errorf("the client gets %d bytes, expected %d", len(got), len(want))
		}
		return
	}
	size := int(binary.BigEndian.Uint32(got)) + lengthBytes
	if !bytes.HasSuffix(got[:size+9], frame([]byte{0, 0, 0, 99, 42})) {
		t.Errorf("after %d bytes there is no other response", size)
	}
	version := int16(11)
	body := got[responseHead:size]
	if len(requests[0]) > 12 || fault {
		version = 16
		b := kbin.Reader{Src: body}
		kmsg.SkipTags(&b)
		body = b.Src
	}
	f := &kmsg.FetchResponse{Version: version}
	err = f.ReadFrom(body)
	if err != nil || len(f.Topics) != 0 || f.SessionID >= 0 {
		t.Fatalf("the empty response is %+v, %v", f, err)
	}
	whole := r.collect(f)
	if whole == nil || r.collect(f) != nil {
		t.Fatal("the response is not there once")
	}
	bytesOf := func() int { return len(whole.fetch.Topics[0].Partitions[0].RecordBatches) }
	switch {
	case fault != (whole.err != nil):
		t.Errorf("a response that is damaged: %v", whole.err)
	case !fault && (f.ThrottleMillis != 7 || bytesOf() != 4*smallResponse):
		t.Errorf("throttled for %d ms, %d bytes", f.ThrottleMillis, bytesOf())
	}
	whole.release()
	if r.freeBytes == 0 {
		t.Error("the memory was not given back")
	}
}

// Goal: memory is used again, never by two, and what waits is bounded.
func TestResponsesMemory(t *testing.T) {
	r := newResponses()
	one := &response{buf: r.take(100_000), of: r, held: 1}
	one.hold()
	first := &one.buf[0]
	one.release()
	if other := r.take(100_000); &other[0] == first {
		t.Fatal("memory was taken that is held")
	}
	one.release()
	if small := r.take(40_000); &small[0] == first {
		t.Error("a response of 40,000 bytes holds more than twice as much")
	}
	if again := r.take(99_000); &again[0] != first {
		t.Error("the memory was not used again")
	}
	func() {
		defer func() {
			if said := fmt.Sprint(recover()); !strings.Contains(said, "released twice") {
				t.Errorf("released twice: %s", said)
			}
		}()
		one.release()
	}()
	for range 200 {
		r.give(make([]byte, 1<<20))
		r.give(make([]byte, 10))
	}
	if r.freeBytes > maxFree || len(r.free) > maxFreeBuffers {
		t.Errorf("%d bytes in %d pieces are free", r.freeBytes, len(r.free))
	}
	for range maxArrived {
		r.arrive(&response{of: r})
	}
	if token := r.arrive(&response{of: r}); token != 0 {
		t.Errorf("token %d for one more than may wait", token)
	}
	var none *response
	none.hold()
	none.release()
}

// Goal: a dialer of the user's own is kept, and its errors are.
func TestResponsesDialer(t *testing.T) {
	no := errors.New("no way out")
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, no }
	opts := []kgo.Opt{kgo.SeedBrokers("localhost:1"), kgo.Dialer(dial)}
	opts, err := newResponses().dialer(opts)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(opts, kgo.RequestRetries(0))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	err = client.Ping(context.Background())
	if !errors.Is(err, no) {
		t.Errorf("%v, expected %v", err, no)
	}
}
