package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/connect/kafka/internal/broker"
	"github.com/velo-engine/velo/record"
)

// The listeners of the real broker besides the plain one.
const (
	listenTLS     = "ENCRYPTED"
	listenMutual  = "MUTUAL"
	listenSASL    = "ASKING"
	listenSASLTLS = "BOTH"
)

// secured are the properties of these listeners. The first text is the folder with the
// certificates.
const secured = `ssl.keystore.type=PEM
ssl.keystore.location=%[1]s/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=%[1]s/ca.crt
listener.name.mutual.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
`

// modules are the login modules of a listener with SASL.
const modules = `listener.name.%[1]s.plain.sasl.jaas.config=%[2]s.plain.PlainLoginModule required user_u="hush";
listener.name.%[1]s.scram-sha-256.sasl.jaas.config=%[2]s.scram.ScramLoginModule required;
listener.name.%[1]s.scram-sha-512.sasl.jaas.config=%[2]s.scram.ScramLoginModule required;
listener.name.%[1]s.oauthbearer.sasl.jaas.config=%[2]s.oauthbearer.OAuthBearerLoginModule required \
  unsecuredLoginStringClaim_sub="b";
`

func modulesOf(listener string) string {
	return fmt.Sprintf(modules, strings.ToLower(listener), "org.apache.kafka.common.security")
}

// newSecured starts a broker with these listeners.
func newSecured(dir string) (*broker.Broker, error) {
	certificates := filepath.Join(dir, "certificates")
	err := os.Mkdir(certificates, 0o755)
	if err == nil {
		err = makeCertificates(certificates)
	}
	if err != nil {
		return nil, err
	}
	return broker.New(context.Background(), dir, broker.Config{
		Listeners: []broker.Listener{
			{Name: listenTLS, Protocol: "SSL"},
			{Name: listenMutual, Protocol: "SSL"},
			{Name: listenSASL, Protocol: "SASL_PLAINTEXT"},
			{Name: listenSASLTLS, Protocol: "SASL_SSL"},
		},
		Properties: fmt.Sprintf(secured, filepath.ToSlash(certificates)) +
			modulesOf(listenSASL) + modulesOf(listenSASLTLS),
	})
}

// makeCertificates makes two authorities, ca and other, and certificates: those of the server and
// of a client by ca, and one of another client by other. NAME.pem has a key and its certificate.
func makeCertificates(dir string) error {
	signers := map[string]*x509.Certificate{}
	keys := map[string]*ecdsa.PrivateKey{}
	for i, c := range []struct{ name, by string }{
		{"ca", "ca"}, {"other", "other"}, {"server", "ca"}, {"client", "ca"}, {"stranger", "other"},
	} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		of := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: c.name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			IsCA: c.name == c.by, BasicConstraintsValid: true,
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		if of.IsCA {
			of.KeyUsage, of.ExtKeyUsage, of.IPAddresses = x509.KeyUsageCertSign, nil, nil
			signers[c.name], keys[c.name] = of, key
		}
		text, err := x509.CreateCertificate(rand.Reader, of, signers[c.by], &key.PublicKey, keys[c.by])
		if err != nil {
			return err
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: text})
		keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
		for end, text := range map[string][]byte{
			".crt": certificate, ".key": keyText, ".pem": append(append([]byte{}, keyText...), certificate...),
		} {
			err := os.WriteFile(filepath.Join(dir, c.name+end), text, 0o600)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// unsigned is a token of OAUTHBEARER as the broker's unsecured login takes it.
func unsigned(subject string, until time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(fmt.Appendf(nil, `{"sub":%q,"iat":%d,"exp":%d}`, subject,
		time.Now().Add(-time.Hour).Unix(), until.Unix())) + "."
}

// Goal: with nothing but options a source and a sink reach a real broker that wants TLS, a
// certificate, or each mechanism of SASL; a wrong password, a wrong authority and a missing
// certificate are errors that name the cause, soon. Method: options as a job has them; each case
// writes a row and reads it.
func TestSecurityReal(t *testing.T) {
	f := newReal(t, 1, "secured")
	ctx := context.Background()
	for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		done, err := f.adm.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{
			{User: "u", Mechanism: mechanism, Iterations: 4096, Password: "hush"},
		})
		if err == nil {
			err = done.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	secrets := map[string]string{
		"right": "hush", "wrong": "guess", "token": unsigned("u", time.Now().Add(time.Hour)),
		"expired": unsigned("u", time.Now().Add(-time.Minute)),
	}
	for name, text := range secrets {
		err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(theBroker.dir, "certificates", name) }
	with := func(mechanism, secret string, more ...string) map[string]string {
		set := map[string]string{"sasl": mechanism, "sasl.secret.file": filepath.Join(dir, secret)}
		if mechanism != saslOAuth {
			set["sasl.user"] = "u"
		}
		for i := 0; i < len(more); i += 2 {
			set[more[i]] = more[i+1]
		}
		return set
	}
	encrypted := func(ca string, more ...string) map[string]string {
		set := map[string]string{"tls": "true", "tls.ca": at(ca)}
		for i := 0; i < len(more); i += 2 {
			set[more[i]] = more[i+1]
		}
		return set
	}
	for _, c := range []struct {
		name, listener string
		set            map[string]string
		fault          string // "" if it works
	}{
		{"TLS", listenTLS, encrypted("ca.crt"), ""},
		{"TLS of another authority", listenTLS, encrypted("other.crt"), "certificate signed by unknown authority (tls.ca has to"},
		{"TLS with another name", listenTLS, encrypted("ca.crt", "tls.server.name", "db"), "wanted to match db (tls.server.name"},
		{"no TLS where it is wanted", listenTLS, nil, "plaintext connection speaking to a tls endpoint"},
		{"TLS where there is none", "", encrypted("ca.crt"), "using TLS when the broker is not expecting it"},
		{
			"mTLS", listenMutual,
			encrypted("ca.crt", "tls.certificate", at("client.crt"), "tls.key", at("client.key")), "",
		},
		{
			"mTLS without a certificate", listenMutual, encrypted("ca.crt"),
			"tls: bad certificate (the broker refuses",
		},
		{
			"mTLS of a stranger", listenMutual,
			encrypted("ca.crt", "tls.certificate", at("stranger.crt"), "tls.key", at("stranger.key")),
			"tls: bad certificate (the broker refuses",
		},
		{"PLAIN", listenSASL, with(saslPlain, "right"), ""},
		{"PLAIN, wrong", listenSASL, with(saslPlain, "wrong"), "(sasl.user and sasl.secret.file are not what"},
		{"PLAIN over TLS", listenSASLTLS, with(saslPlain, "right", "tls", "true", "tls.ca", at("ca.crt")), ""},
		{"SCRAM-SHA-256", listenSASL, with(saslScram256, "right"), ""},
		{"SCRAM-SHA-256, wrong", listenSASL, with(saslScram256, "wrong"), "(sasl.user and sasl.secret.file are not what"},
		{"SCRAM-SHA-512", listenSASL, with(saslScram512, "right"), ""},
		{"SCRAM-SHA-512, wrong", listenSASL, with(saslScram512, "wrong"), "(sasl.user and sasl.secret.file are not what"},
		{
			"SCRAM-SHA-512 over TLS", listenSASLTLS,
			with(saslScram512, "right", "tls", "true", "tls.ca", at("ca.crt")), "",
		},
		{"OAUTHBEARER", listenSASL, with(saslOAuth, "token"), ""},
		{"OAUTHBEARER, expired", listenSASL, with(saslOAuth, "expired"), "invalid_token"},
		{"no SASL where it is wanted", listenSASL, nil, "is SASL missing"},
		{"SASL where there is none", "", with(saslPlain, "right"), "does not offer this mechanism"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := map[string]string{"brokers": theBroker.Address, "topic": "secured"}
			if c.listener != "" {
				set["brokers"] = theBroker.Listeners[c.listener]
			}
			for k, v := range c.set {
				set[k] = v
			}
			began := time.Now()
			err := writeSecured(t, set)
			if c.fault == "" {
				if err == nil {
					err = readSecured(t, set)
				}
				if err != nil {
					t.Error(err)
				}
				return
			}
			read := readSecured(t, set)
			for what, err := range map[string]error{"sink": err, "source": read} {
				t.Logf("%s: %v", what, err)
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Errorf("%s: %v, expected %q", what, err, c.fault)
				}
				if err != nil && strings.Contains(err.Error(), "hush") {
					t.Errorf("%s: the error has the password", what)
				}
			}
			if d := time.Since(began); d > 2*time.Minute {
				t.Errorf("the errors took %v", d)
			}
		})
	}
}

// writeSecured writes a row by a sink with the options of a job.
func writeSecured(t *testing.T, set map[string]string) error {
	t.Helper()
	sink, _ := connect.Default.Sink("kafka")
	o, err := connect.NewOptions(sink.Options, set)
	if err != nil {
		t.Fatal(err)
	}
	schema := schemaOf(t, record.Field{Name: "n", Type: record.Int64})
	w, err := sink.Open(t.Context(), &connect.SinkRequest{Name: "out", Schema: schema, Options: o, Say: func(string) {}})
	if err != nil {
		return err
	}
	b := record.NewBatch(schema, 0)
	b.Add(0)
	b.SetInt64(0, 7)
	err = w.Write(t.Context(), b)
	if err != nil {
		return err
	}
	return w.(*Sink).Close()
}

// readSecured reads the topic by a source with the options of a job.
func readSecured(t *testing.T, set map[string]string) error {
	t.Helper()
	source, _ := connect.Default.Source("kafka")
	all := map[string]string{"until": "end"}
	for k, v := range set {
		all[k] = v
	}
	o, err := connect.NewOptions(source.Options, all)
	if err != nil {
		t.Fatal(err)
	}
	r := &connect.SourceRequest{
		Name: "s", Schema: schemaOf(t, record.Field{Name: "n", Type: record.Int64}), Options: o, Say: func(string) {},
	}
	in, err := source.Open(t.Context(), r)
	if err != nil {
		return err
	}
	rs, err := in.Readers(1)
	if err != nil {
		return err
	}
	got, _, err := rows(t, r.Schema, rs)
	if err == nil && len(got) == 0 {
		err = fmt.Errorf("nothing was read")
	}
	return err
}
