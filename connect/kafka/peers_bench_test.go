package kafka

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/velo-engine/velo/connect/kafka/internal/broker"
)

// peersRecords are the records of the topic that BenchmarkPeers reads: enough for Java's compiler to
// come to its end.
const peersRecords = 3 * benchRecords

// BenchmarkPeers reads one topic of the real broker, three million values of 100 bytes in one
// partition, by velo and by what else there is: the ordinary loop over franz-go's PollFetches,
// Java's kafka-consumer-perf-test, and kcat if it is in PATH. Nobody does anything with a value;
// velo makes a column of texts, and kcat writes a line for each into /dev/null. The figure is CPU
// time of the client for each record. Of a program of its own it is the difference between reading
// all records and reading a thousand, so its start does not count.
func BenchmarkPeers(b *testing.B) {
	f := newReal(b, 1)
	c := benchCases[0]
	f.create("peers", 1, nil)
	for range peersRecords / benchRecords {
		f.produceCase("peers", &c, kgo.NoCompression())
	}
	cfg := c.cfg
	cfg.Topic, cfg.Schema, cfg.UntilEnd = "peers", schemaOf(b, c.fields...), true
	own := func(read func()) func(b *testing.B) {
		return func(b *testing.B) {
			read()
			began := cpuTime()
			for b.Loop() {
				read()
			}
			reportPeer(b, float64((cpuTime()-began).Nanoseconds())/float64(b.N*peersRecords))
		}
	}
	b.Run("impl=velo", own(func() { readRecords(b, f, cfg, peersRecords) }))
	b.Run("impl=PollFetches", own(func() { pollTopic(b, f, "peers", c.parse, peersRecords) }))
	b.Run("impl=java", func(b *testing.B) {
		jars, err := broker.Jars(b.Context())
		tools := ""
		if err == nil {
			tools, err = broker.Tools(b.Context())
		}
		if err != nil {
			b.Skip(err)
		}
		program(b, func(n int) *exec.Cmd {
			return broker.Java(b.Context(), jars+string(filepath.ListSeparator)+tools,
				"org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", f.addresses[0], "--topic", "peers",
				"--messages", strconv.Itoa(n), "--timeout", "60000")
		})
	})
	b.Run("impl=kcat", func(b *testing.B) {
		_, err := exec.LookPath("kcat")
		if err != nil {
			b.Skip("there is no kcat in PATH (Debian: apt-get install kcat)")
		}
		program(b, func(n int) *exec.Cmd {
			return exec.Command("kcat", "-C", "-q", "-b", f.addresses[0], "-t", "peers", "-p", "0", "-o", "beginning", "-c",
				strconv.Itoa(n))
		})
	})
}

// program measures a program that reads n records.
func program(b *testing.B, command func(n int) *exec.Cmd) {
	spend := func(n int) time.Duration {
		c := command(n)
		var said bytes.Buffer
		c.Stderr = &said
		err := c.Run()
		if err != nil {
			b.Fatalf("%v: %s", err, said.Bytes())
		}
		return c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	}
	const few = 1000
	spent := 0.0
	for b.Loop() {
		spent += float64((spend(peersRecords) - spend(few)).Nanoseconds()) / (peersRecords - few)
	}
	reportPeer(b, spent/float64(b.N))
}

// reportPeer reports what a record costs.
func reportPeer(b *testing.B, nanos float64) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(nanos, "cpu-ns/record")
	b.ReportMetric(1e3/nanos, "M-records/cpu-s")
}
