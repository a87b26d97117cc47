//go:build unix

package postgres

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Goal: with sslmode=verify-full the connection is encrypted and the server is who it says; a
// certificate that somebody else has signed, or for another name, is refused. Method: a server with a
// certificate of its own for localhost.
func TestTLS(t *testing.T) {
	s := newServer(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	secret, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	data := filepath.Join(s.Dir, "data")
	ca := filepath.Join(t.TempDir(), "ca.crt")
	for path, block := range map[string]*pem.Block{
		ca:                                {Type: "CERTIFICATE", Bytes: certificate},
		filepath.Join(data, "server.crt"): {Type: "CERTIFICATE", Bytes: certificate},
		filepath.Join(data, "server.key"): {Type: "EC PRIVATE KEY", Bytes: secret},
	} {
		must(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
		if path != ca {
			s.Own(path)
		}
	}
	s.exec("ALTER SYSTEM SET ssl = on")
	s.Stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, s.Port, _ = net.SplitHostPort(l.Addr().String())
	must(t, l.Close())
	s.Start()
	url := func(host, more string) string {
		return fmt.Sprintf("postgres://velo@%s:%s/velo?%s", host, s.Port, more)
	}
	var sink *Sink
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		sink, err = s.open(SinkConfig{URL: url("localhost", "sslmode=verify-full&sslrootcert="+ca), Create: true})
		if err == nil || time.Since(began) > time.Minute {
			break
		}
	}
	must(t, err)
	must(t, sink.Write(t.Context(), rowsOf(t, 1, 2)))
	rows, err := sink.query(t.Context(), "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
	if err != nil || string(rows[0][0]) != "true" {
		t.Errorf("%v: ssl is %q", err, rows)
	}
	for more, want := range map[string]string{
		url("127.0.0.1", "sslmode=verify-full&sslrootcert="+ca): "127.0.0.1",
		url("localhost", "sslmode=verify-full"):                 "certificate",
	} {
		if _, err := s.open(SinkConfig{URL: more}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", more, err, want)
		}
	}
}
