package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/record"
)

// certificate makes a certificate for 127.0.0.1 that signs itself, and returns the paths of it
// and of its key.
func certificate(t *testing.T, dir, name string) (cert, key string, pair tls.Certificate) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA:        true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign |
			x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{
			x509.ExtKeyUsageServerAuth,
			x509.ExtKeyUsageClientAuth,
		},
	}
	text, err := x509.CreateCertificate(rand.Reader, of, of, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyText, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: text}, key: {Type: "EC PRIVATE KEY", Bytes: keyText},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err = tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, pair
}

// Goal: a job reaches clusters that want TLS, a certificate of the client, or each mechanism of
// SASL, with nothing but options; with a wrong secret it does not. Method: options as a job has
// them, against fake clusters.
func TestSecurity(t *testing.T) {
	dir := t.TempDir()
	cert, key, pair := certificate(t, dir, "both")
	pool := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(leaf)
	secret := filepath.Join(dir, "secret")
	wrong := filepath.Join(dir, "wrong")
	for path, text := range map[string]string{secret: "hush\n", wrong: "guess\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := &tls.Config{Certificates: []tls.Certificate{pair}}
	mutual := &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs: pool,
	}
	for _, c := range []struct {
		name    string
		cluster []kfake.Opt
		options map[string]string
		fails   bool
	}{
		{"plaintext", nil, nil, false},
		{"TLS", []kfake.Opt{kfake.TLS(server)}, map[string]string{"tls": "true", "tls.ca": cert}, false},
		{"TLS that is not trusted", []kfake.Opt{kfake.TLS(server)}, map[string]string{"tls": "true"}, true},
		{"mTLS", []kfake.Opt{kfake.TLS(mutual)}, map[string]string{
			"tls": "true", "tls.ca": cert, "tls.certificate": cert, "tls.key": key,
		}, false},
		{"mTLS without a certificate", []kfake.Opt{kfake.TLS(mutual)}, map[string]string{
			"tls":    "true",
			"tls.ca": cert,
		}, true},
		{"PLAIN", []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "hush")}, map[string]string{
			"sasl": "plain", "sasl.user": "u", "sasl.secret.file": secret,
		}, false},
		{"a wrong password", []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "hush")}, map[string]string{
			"sasl": "plain", "sasl.user": "u", "sasl.secret.file": wrong,
		}, true},
		{
			"SCRAM-SHA-256",
			[]kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "hush")},
			map[string]string{
				"sasl": "scram-sha-256", "sasl.user": "u", "sasl.secret.file": secret,
			},
			false,
		},
		{
			"SCRAM-SHA-512",
			[]kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "u", "hush")},
			map[string]string{
				"sasl": "scram-sha-512", "sasl.user": "u", "sasl.secret.file": secret,
			},
			false,
		},
		{"nobody", []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "hush")}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cluster, err := kfake.NewCluster(append(c.cluster, kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))...)
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			set := map[string]string{"brokers": strings.Join(cluster.ListenAddrs(), ","), "topic": "t", "until": "end"}
			for k, v := range c.options {
				set[k] = v
			}
			source, _ := connect.Default.Source("kafka")
			o, err := connect.NewOptions(source.Options, set)
			if err != nil {
				t.Fatal(err)
			}
			r := &connect.SourceRequest{
				Name: "s", Schema: schemaOf(t, record.Field{Name: "n", Type: record.Int64}), Options: o,
				Say: func(string) {},
			}
			if err := source.Check(r); err != nil {
				t.Fatal(err)
			}
			patience := time.Minute
			if c.fails {
				patience = 3 * time.Second // it is tried again until then
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			in, err := source.Open(ctx, r)
			if c.fails {
				if err == nil {
					t.Error("it was opened")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			rs, err := in.Readers(1)
			if err != nil {
				t.Fatal(err)
			}
			if got, _, err := rows(t, r.Schema, rs); err != nil || len(got) > 0 {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// Goal: a token of OAUTHBEARER is read anew for each authentication, and what cannot be a
// mechanism is refused.
func TestSASL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := NewSASL("oauthbearer", "", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"one", "two"} {
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, text, err := m.Authenticate(context.Background(), "h"); err != nil || !strings.Contains(string(text),
			"Bearer "+token+"\x01") {
			t.Errorf("%q, %v", text, err)
		}
	}
	for _, c := range [][3]string{
		{"plain", "", path}, {"plain", "u", ""}, {"kerberos", "u", path}, {"plain", "u", path + "x"},
	} {
		if _, err := NewSASL(c[0], c[1], c[2]); err == nil {
			t.Errorf("%v is accepted", c)
		}
	}
}

// Goal: what is wrong with the options of a job is said, with the option.
func TestOptionFaults(t *testing.T) {
	source, _ := connect.Default.Source("kafka")
	schema := schemaOf(t, record.Field{Name: "n", Type: record.Int64}, record.Field{Name: "s", Type: record.String})
	for _, c := range []struct {
		set  map[string]string
		want string
	}{
		{map[string]string{"start": "yesterday"}, `option start: "yesterday", expected earliest, latest`},
		{map[string]string{"tls.ca": "x"}, "option tls.ca: tls.ca is for connections with TLS"},
		{map[string]string{"tls": "true", "tls.certificate": "x"}, "option tls: a certificate and its key go together"},
		{map[string]string{"sasl": "plain"}, "option sasl: "},
		{map[string]string{"sasl.user": "u"}, "set sasl to a mechanism"},
		{map[string]string{"key.column": "k"}, `there is no column "k" for the key`},
		{map[string]string{"offset.column": "s"}, `column "s" is for the offset and is text, expected bigint`},
		{map[string]string{"format": "raw"}, "2 columns are for the value, and format raw has one"},
		{map[string]string{"tombstones": "row"}, `column "n" is not nullable`},
		{map[string]string{"header.columns": "s"}, "option header.columns: "},
		{map[string]string{"header.columns": "s=a,s=b"}, "option header.columns: "},
		{
			map[string]string{"key.column": "s", "header.columns": "s=a"},
			`column "s" is for the header a and for something else`,
		},
		{map[string]string{"share": "2/5"}, "option share: which columns the keys of the topic are made of is not"},
		{map[string]string{"share": "5"}, `option share: the share "5"`},
		{map[string]string{"share": "2/5", "share.key": "n,k"}, `option share.key: there is no column "k"`},
		{map[string]string{"share.key": "n"}, "option share.key: share.key says how a topic is shared"},
		{map[string]string{"time.zone": "Nowhere/At"}, "option time.zone: "},
		{map[string]string{"time.format": "%Q"}, "option time.format: "},
	} {
		set := map[string]string{"brokers": "localhost", "topic": "t"}
		for k, v := range c.set {
			set[k] = v
		}
		o, err := connect.NewOptions(source.Options, set)
		if err == nil {
			err = source.Check(&connect.SourceRequest{Name: "s", Schema: schema, Options: o})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, expected %s", c.set, err, c.want)
		}
	}
}

// Goal: the options say by which columns a topic is divided, if it is.
func TestShareParts(t *testing.T) {
	source, _ := connect.Default.Source("kafka")
	schema := schemaOf(t, record.Field{Name: "n", Type: record.Int64}, record.Field{Name: "s", Type: record.String})
	for _, c := range []struct {
		set  map[string]string
		want []string
	}{
		{nil, nil},
		{map[string]string{"share": "1/1"}, nil},
		{map[string]string{"share": "2/5"}, nil},
		{map[string]string{"share": "2/5", "key.column": "s"}, []string{"s"}},
		{map[string]string{"share": "2/5", "key.column": "s", "share.key": "n"}, []string{"n"}},
		{map[string]string{"share": "2/5", "share.key": "n, s"}, []string{"n", "s"}},
	} {
		set := map[string]string{"brokers": "localhost", "topic": "t"}
		for k, v := range c.set {
			set[k] = v
		}
		o, err := connect.NewOptions(source.Options, set)
		if err != nil {
			t.Fatal(err)
		}
		parts := source.Parts(&connect.SourceRequest{Name: "s", Schema: schema, Options: o})
		if parts == nil {
			parts = &connect.Parts{Option: "share"}
		}
		if parts.Option != "share" || !slices.Equal(parts.Columns, c.want) {
			t.Errorf("%v: %v, expected %v", c.set, parts, c.want)
		}
	}
}

// Goal: a cluster or a topic that is not there is an error soon, and says what was tried.
func TestNotThere(t *testing.T) {
	f := newFake(t, 1, "t")
	cfg := numbers(t, "nothing")
	if _, err := f.source(cfg); err == nil || !strings.Contains(err.Error(), `there is no topic "nothing"`) {
		t.Errorf("%v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cfg = numbers(t, "t")
	cfg.Client.Brokers = []string{address}
	for limit := time.Second; ; limit *= 4 { // a stall may use up the time before it is tried
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		_, err := NewSource(ctx, cfg)
		cancel()
		if err != nil && strings.Contains(err.Error(), address) {
			break
		}
		if err == nil || limit > time.Minute {
			t.Fatalf("%v", err)
		}
	}
}

// Goal: a source outlives its broker: it says so, and reads each record once. Method: the real
// broker is killed and started again on its data while records are read.
func TestBrokerRestart(t *testing.T) {
	f := newReal(t, 2, "restart")
	f.numbered("restart", 0, 0, 100)
	f.numbered("restart", 1, 0, 100)
	cfg := numbers(t, "restart")
	var s said
	cfg.UntilEnd, cfg.Say = false, s.say
	_, rs, err := f.readersOf(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := someOf(t, cfg.Schema, rs, 100)
	theBroker.Kill()
	for !s.has("it is tried again") {
		time.Sleep(10 * time.Millisecond)
	}
	if err := theBroker.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	f.numbered("restart", 0, 100, 200)
	f.numbered("restart", 1, 100, 200)
	rest, _ := someOf(t, cfg.Schema, rs, 100)
	checkNumbers(t, append(got, rest...), 2, 200)
	for !s.has("answer again") {
		time.Sleep(10 * time.Millisecond)
	}
	closeReaders(t, rs)
}
