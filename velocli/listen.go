package velocli

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// socketOptions are the options of sources that others connect to, besides the place.
var socketOptions = []connect.Option{
	{Name: "format", Values: []string{"csv", "tsv", "ndjson"}},
	{Name: "delimiter", Kind: connect.Char},
	{Name: "header", Kind: connect.Bool},
	{Name: "time.unit", Values: []string{"s", "ms", "us", "ns"}},
	{Name: "time.format"},
	{Name: "time.zone"},
	{Name: "null"},
	{Name: "decimal", Values: []string{".", ","}},
	{Name: "comment", Kind: connect.Char},
	{Name: "skip.lines", Kind: connect.Int},
	{Name: "strict", Kind: connect.Bool},
	{Name: "connections", Kind: connect.Int},
	{Name: "connections.idle", Kind: connect.Duration},
	{Name: "connections.peer", Kind: connect.Int},
	{Name: "admit.within", Kind: connect.Duration},
	{Name: "token.file", File: true},
	{Name: "certificate", File: true},
	{Name: "key", File: true},
}

// socketPlaces are the options that say where a connector listens.
var socketPlaces = map[string]string{"tcp": "address", "unix": "path"}

// listenConfig says where a source listens, and whom it lets in.
func listenConfig(r *connect.SourceRequest, network string) (at readers.ListenConfig, err error) {
	o := r.Options
	place := socketPlaces[network]
	at = readers.ListenConfig{
		Network: network, Address: o.Text(place), Connections: int(o.Int("connections")),
		Idle: o.Duration("connections.idle"), PeerConnections: int(o.Int("connections.peer")),
		AdmitWithin: o.Duration("admit.within"),
	}
	if path := o.Text("token.file"); path != "" {
		token, err := os.ReadFile(path)
		if err != nil {
			return at, o.Errorf("token.file", "%v", err)
		}
		at.Token = string(bytes.TrimSuffix(bytes.TrimSuffix(token, []byte{'\n'}), []byte{'\r'}))
		if at.Token == "" {
			return at, o.Errorf("token.file", "%s is empty, expected a line", path)
		}
	}
	switch certificate, key := o.Text("certificate"), o.Text("key"); {
	case certificate == "" && key == "":
	case certificate == "" || key == "":
		return at, o.Errorf(optionConnector, "certificate and key go together, expected both or none")
	default:
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return at, o.Errorf("certificate", "%v", err)
		}
		at.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	if err := at.Validate(); err != nil {
		return at, o.Errorf(place, "%v", err)
	}
	return at, nil
}

// openListener listens for the lines of a source, and says where.
func openListener(r *connect.SourceRequest, network string) (*feeder, error) {
	at, err := listenConfig(r, network)
	if err != nil {
		return nil, err
	}
	l, err := listenFor(r, at)
	if err != nil {
		return nil, r.Options.Errorf(socketPlaces[network], "%v", trimPackage(err))
	}
	r.Say(fmt.Sprintf("listening on %v", l))
	k := &socket{Listener: l, drained: make(chan struct{})}
	return &feeder{
		name: r.Name, endless: true, once: "a socket", socket: k,
		// the engine's Close reports what went wrong
		files:    &files{name: r.Name, sources: []string{l.String()}, remove: func() { _ = l.Close() }},
		generate: func(int) ([]record.Reader, error) { return []record.Reader{k}, nil },
	}, nil
}

// socket is a listener that a job reads. Shutdown alone would drop what connections have sent and
// has not been polled. But the listener must not simply end either: the end of a source closes its
// windows, and the windows of a job that is interrupted are not final. So the listener is drained
// first, and then the engine is shut down.
type socket struct {
	*readers.Listener
	drained chan struct{} // closed when everything that came before End has been given out
	once    sync.Once
}

// Poll polls the listener, but never returns its end.
func (k *socket) Poll(b *record.Batch) error {
	err := k.Listener.Poll(b)
	if errors.Is(err, io.EOF) {
		k.once.Do(func() { close(k.drained) })
		return nil
	}
	return err
}

// drain ends the listener. It returns when the engine has everything that the listener had
// received, or has ended itself.
func (k *socket) drain(ended <-chan struct{}) {
	k.End()
	select {
	case <-k.drained:
	case <-ended:
	}
}

// turnedAway says whether a sender was not heard, or not to the end. That is reported even if
// nobody asks.
func (k *socket) turnedAway() bool {
	s := k.Stats()
	return s.Refused+s.Evicted+s.Denied+s.Broken+s.Panicked+s.Failed > 0
}

func listenFor(r *connect.SourceRequest, at readers.ListenConfig) (*readers.Listener, error) {
	f, err := socketFiles(r)
	if err != nil {
		return nil, err
	}
	if f.format == formatNDJSON {
		return readers.ListenNDJSON(at, f.ndjson())
	}
	return readers.ListenDelimited(at, f.delimited())
}

// socketFiles says how the lines of connections are written, in the same way as for files.
func socketFiles(r *connect.SourceRequest) (*files, error) {
	o := r.Options
	f := &files{schema: r.Schema, delimiter: ',', header: o.Bool("header"), format: o.Text("format")}
	if err := inputOptions(r).lines(f); err != nil {
		return nil, o.Errorf(optionConnector, "%v", err)
	}
	switch delimiter := o.Char("delimiter"); {
	case f.format == formatNDJSON && (delimiter != 0 || f.header):
		return nil, o.Errorf("format", "JSON lines have no delimiter and no header")
	case delimiter != 0: // whatever the format, as for files
		f.delimiter = delimiter
	case f.format == "tsv":
		f.delimiter = '\t'
	}
	return f, nil
}
