package kafka

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// clientOptions are the options of sources and sinks that say how to reach the cluster.
var clientOptions = []connect.Option{
	{Name: "brokers", Required: true},
	{Name: "topic", Required: true},
	{Name: "client.id"},
	{Name: "tls", Kind: connect.Bool},
	{Name: "tls.ca", File: true},
	{Name: "tls.certificate", File: true},
	{Name: "tls.key", File: true},
	{Name: "tls.server.name"},
	{Name: "sasl", Values: []string{saslPlain, saslScram256, saslScram512, saslOAuth}},
	{Name: "sasl.user"},
	{Name: "sasl.secret.file", File: true},
}

func init() {
	connect.RegisterSource("kafka", connect.Source{
		Options: append(clientOptions[:len(clientOptions):len(clientOptions)],
			connect.Option{Name: "format", Values: []string{
				string(JSON), string(CSV), string(Raw), string(Avro), string(Protobuf),
			}},
			connect.Option{Name: "schema.registry"},
			connect.Option{Name: "schema.registry.user"},
			connect.Option{Name: "schema.registry.secret.file", File: true},
			connect.Option{Name: "schema.registry.ca", File: true},
			connect.Option{Name: "key.column"},
			connect.Option{Name: "partition.column"},
			connect.Option{Name: "offset.column"},
			connect.Option{Name: "timestamp.column"},
			connect.Option{Name: "header.columns"},
			connect.Option{Name: "start"},
			connect.Option{Name: "share"},
			connect.Option{Name: "share.key"},
			connect.Option{Name: "until", Values: []string{"end"}},
			connect.Option{Name: "isolation", Values: []string{"read_committed", "read_uncommitted"}},
			connect.Option{
				Name: "tombstones", Values: []string{
					string(SkipTombstones), string(TombstoneRows),
					string(RejectTombstones),
				},
			},
			connect.Option{Name: "group"},
			connect.Option{Name: "idle", Kind: connect.Duration, OrZero: true},
			connect.Option{Name: "delimiter", Kind: connect.Char},
			connect.Option{Name: "quote", Kind: connect.Char},
			connect.Option{Name: "time.unit", Values: []string{"s", "ms", "us", "ns"}},
			connect.Option{Name: "time.format"},
			connect.Option{Name: "time.zone"},
			connect.Option{Name: "null"},
			connect.Option{Name: "decimal", Values: []string{".", ","}},
			connect.Option{Name: "strict", Kind: connect.Bool},
			connect.Option{Name: "readers", Kind: connect.Int},
			connect.Option{Name: "fetch.bytes", Kind: connect.Bytes},
			connect.Option{Name: "fetch.wait", Kind: connect.Duration},
			connect.Option{Name: "buffer.bytes", Kind: connect.Bytes},
			connect.Option{Name: "record.bytes", Kind: connect.Bytes},
			connect.Option{Name: "metadata.every", Kind: connect.Duration},
		),
		Check: func(r *connect.SourceRequest) error {
			cfg, err := sourceConfig(r)
			if err != nil {
				return err
			}
			return cfg.Validate()
		},
		Endless:  func(o *connect.Options) bool { return !o.Has("until") },
		Parts:    shareParts,
		Describe: describePosition,
		Open: func(ctx context.Context, r *connect.SourceRequest) (connect.Input, error) {
			cfg, err := sourceConfig(r)
			if err != nil {
				return nil, err
			}
			s, err := NewSource(ctx, cfg)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
	})
}

func init() {
	connect.RegisterSink("kafka", connect.Sink{
		Options: append(clientOptions[:len(clientOptions):len(clientOptions)],
			connect.Option{Name: "mode", Values: []string{string(Append), string(Upsert)}},
			connect.Option{Name: "key.columns"},
			connect.Option{Name: "key.format", Values: []string{string(KeyJSON), string(KeyText)}},
			connect.Option{Name: "compression", Values: []string{"none", "gzip", "snappy", "lz4", "zstd"}},
			connect.Option{Name: "cursor.topic"},
			connect.Option{Name: "transaction.timeout", Kind: connect.Duration},
			connect.Option{Name: "window.bytes", Kind: connect.Bytes},
		),
		Check: func(r *connect.SinkRequest) error {
			cfg, err := sinkConfig(r)
			if err != nil {
				return err
			}
			return cfg.Validate()
		},
		Open: func(ctx context.Context, r *connect.SinkRequest) (record.Writer, error) {
			cfg, err := sinkConfig(r)
			if err != nil {
				return nil, err
			}
			s, err := NewSink(ctx, cfg)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
	})
}

// compressions are the codecs of a sink.
var compressions = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// sinkConfig is the configuration of a sink of a job.
func sinkConfig(r *connect.SinkRequest) (cfg SinkConfig, err error) {
	o := r.Options
	cfg = SinkConfig{
		Topic: o.Text("topic"), Name: r.Name, Schema: r.Schema, Changes: r.Changes,
		Mode: cmp.Or(Mode(o.Text("mode")), Append), KeyFormat: KeyFormat(o.Text("key.format")),
		CursorTopic: o.Text("cursor.topic"), TransactionTimeout: o.Duration("transaction.timeout"),
		WindowBytes: int(o.Int("window.bytes")),
	}
	if name := o.Text("compression"); name != "" {
		cfg.Compression = []kgo.CompressionCodec{compressions[name]}
	}
	cfg.Keys, err = r.KeyColumns("key.columns", cfg.Mode == Upsert)
	if err != nil {
		return cfg, err
	}
	cfg.Client, err = clientConfig(o)
	return cfg, err
}

// clientConfig says how to reach the cluster.
func clientConfig(o *connect.Options) (c ClientConfig, err error) {
	c = ClientConfig{Brokers: strings.Split(o.Text("brokers"), ","), ClientID: o.Text("client.id")}
	for _, name := range []string{"tls.ca", "tls.certificate", "tls.key", "tls.server.name"} {
		if o.Has(name) && !o.Bool("tls") {
			return c, o.Errorf(name, "%s is for connections with TLS: set tls = true", name)
		}
	}
	if o.Bool("tls") {
		c.TLS, err = LoadTLS(o.Text("tls.ca"), o.Text("tls.certificate"), o.Text("tls.key"), o.Text("tls.server.name"))
		if err != nil {
			return c, o.Errorf("tls", "%v", err)
		}
	}
	switch {
	case o.Has("sasl"):
		c.SASL, err = NewSASL(o.Text("sasl"), o.Text("sasl.user"), o.Text("sasl.secret.file"))
		if err != nil {
			return c, o.Errorf("sasl", "sasl with sasl.user and sasl.secret.file: %v", err)
		}
	case o.Has("sasl.user") || o.Has("sasl.secret.file"):
		return c, o.Errorf("", "sasl.user and sasl.secret.file are for SASL: set sasl to a mechanism")
	}
	return c, nil
}

// timeUnits are the units of whole numbers that are times.
var timeUnits = map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": 1}

// sourceConfig is the configuration of a source of a job.
func sourceConfig(r *connect.SourceRequest) (cfg SourceConfig, err error) {
	o := r.Options
	cfg = SourceConfig{
		Topic: o.Text("topic"), Schema: r.Schema, Format: Format(cmp.Or(o.Text("format"), string(JSON))),
		Delimiter: o.Char("delimiter"), Quote: o.Char("quote"),
		Key: o.Text("key.column"), Partition: o.Text("partition.column"), Offset: o.Text("offset.column"),
		Timestamp: o.Text("timestamp.column"), UntilEnd: o.Has("until"),
		ReadUncommitted: o.Text("isolation") == "read_uncommitted", Tombstones: Tombstone(o.Text("tombstones")),
		Group: o.Text("group"), SkipGaps: r.SkipGaps, Readers: int(o.Int("readers")),
		FetchBytes: int(o.Int("fetch.bytes")), BufferBytes: int(o.Int("buffer.bytes")),
		MaxRecordBytes: int(o.Int("record.bytes")), FetchWait: o.Duration("fetch.wait"),
		MetadataEvery: o.Duration("metadata.every"), Say: r.Say,
	}
	cfg.Values = readers.ValueOptions{
		TimeUnit: timeUnits[o.Text("time.unit")], Strict: o.Bool("strict"),
		DecimalComma: o.Text("decimal") == ",",
	}
	if zone := o.Text("time.zone"); zone != "" {
		if cfg.Values.TimeZone, err = time.LoadLocation(zone); err != nil {
			return cfg, o.Errorf("time.zone", "%v", err)
		}
	}
	if format := o.Text("time.format"); format != "" {
		if cfg.Values.TimeFormat, err = record.CompileTimeFormat(format, cfg.Values.TimeZone); err != nil {
			return cfg, o.Errorf("time.format", "%v", err)
		}
	}
	if words := o.Text("null"); words != "" {
		cfg.Values.Nulls = strings.Split(words, ",")
	}
	if cfg.Format == CSV && cfg.Quote == 0 {
		cfg.Quote = '"'
	}
	if cfg.Headers, err = headerColumns(o); err != nil {
		return cfg, err
	}
	switch start := o.Text("start"); start {
	case "", "earliest":
	case "latest":
		cfg.Start = Latest
	default:
		at, err := time.Parse(time.RFC3339, start)
		if err != nil {
			return cfg, o.Errorf("start", "%q, expected earliest, latest, or a time such as 2026-03-02T09:30:00Z",
				start)
		}
		cfg.Start = StartAt(at)
	}
	cfg.Share, _, err = shareOf(r)
	if err != nil {
		return cfg, err
	}
	err = registryOptions(o, &cfg)
	if err != nil {
		return cfg, err
	}
	cfg.Client, err = clientConfig(o)
	return cfg, err
}

// shareOf reads the options of a share. Columns are those that the keys of the topic are made of.
func shareOf(r *connect.SourceRequest) (share Share, columns []string, err error) {
	o := r.Options
	if !o.Has("share") {
		if o.Has("share.key") {
			err = o.Errorf("share.key", "share.key says how a topic is shared: set share, such as '2/5'")
		}
		return Share{}, nil, err
	}
	share, err = ParseShare(o.Text("share"))
	if err != nil {
		return Share{}, nil, o.Errorf("share", "%v", err)
	}
	if share.Of == 1 {
		return share, nil, nil
	}
	text := cmp.Or(o.Text("share.key"), o.Text("key.column"))
	if text == "" {
		return Share{}, nil, o.Errorf("share", "which columns the keys of the topic are made of is not known, so a "+
			"group could be in several processes: set key.column to a column for the key, or share.key = 'a, b' to "+
			"the columns of the value that its producers make keys of; then GROUP BY them")
	}
	for _, name := range strings.Split(text, ",") {
		name = strings.TrimSpace(name)
		if _, ok := r.Schema.Index(name); !ok {
			return Share{}, nil, o.Errorf("share.key", "there is no column %q", name)
		}
		columns = append(columns, name)
	}
	return share, columns, nil
}

// shareParts is connect.Source.Parts.
func shareParts(r *connect.SourceRequest) *connect.Parts {
	_, columns, err := shareOf(r)
	if err != nil || len(columns) == 0 {
		return nil
	}
	return &connect.Parts{Option: "share", Columns: columns}
}

// registryOptions are those of the schema registry.
func registryOptions(o *connect.Options, cfg *SourceConfig) (err error) {
	cfg.Registry = RegistryConfig{
		URL: o.Text("schema.registry"), User: o.Text("schema.registry.user"),
		Secret: o.Text("schema.registry.secret.file"),
	}
	switch {
	case cfg.Format.hasSchemas() && !o.Has("schema.registry"):
		return o.Errorf("format", "format %s needs the address of a schema registry: schema.registry = "+
			"'http://host:8081'", cfg.Format)
	case !cfg.Format.hasSchemas() && (o.Has("schema.registry") || cfg.Registry.User != "" ||
		cfg.Registry.Secret != "" || o.Has("schema.registry.ca")):
		return o.Errorf("format", "options of a schema registry are for formats avro and protobuf")
	case o.Has("schema.registry.ca"):
		cfg.Registry.TLS, err = LoadTLS(o.Text("schema.registry.ca"), "", "", "")
		if err != nil {
			return o.Errorf("schema.registry.ca", "%v", err)
		}
	}
	return nil
}

// headerColumns reads column=header,column=header.
func headerColumns(o *connect.Options) (map[string]string, error) {
	if !o.Has("header.columns") {
		return nil, nil
	}
	all := map[string]string{}
	for _, pair := range strings.Split(o.Text("header.columns"), ",") {
		column, header, ok := strings.Cut(pair, "=")
		column, header = strings.TrimSpace(column), strings.TrimSpace(header)
		if _, twice := all[column]; twice || !ok || column == "" || header == "" {
			return nil, o.Errorf("header.columns", "%q, expected column=header, with commas between them",
				fmt.Sprint(o.Text("header.columns")))
		}
		all[column] = header
	}
	return all, nil
}
