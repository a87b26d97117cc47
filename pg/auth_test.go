package pg_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/velo-engine/velo/pg"
)

// certificate makes a certificate for this machine.
func certificate(t testing.TB) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "velo"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// stored is what PostgreSQL keeps of the password "pencil": the example of RFC 7677.
const stored = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

// Goal: with users, only who has the password gets in, over TLS and without, and nobody hears
// whether a user exists.
func TestPassword(t *testing.T) {
	users, err := pg.ReadUsers(strings.NewReader("# users\n\nann:open sesame\nbob:" + stored + "\n"))
	must(t, err)
	h := serve(t, 1, pg.Config{Users: users, TLS: certificate(t)})
	for _, test := range []struct{ user, password, code string }{
		{"ann", "open sesame", ""},
		{"ann", "wrong", "28P01"},
		{"ann", "", "28P01"},
		{"eve", "open sesame", "28P01"},
		{"bob", "pencil", ""},
		{"bob", "secret", "28P01"},
	} {
		for _, ssl := range []string{"disable", "require"} {
			config, err := pgx.ParseConfig("postgres://" + h.addr + "/velo?sslmode=" + ssl)
			must(t, err)
			config.User, config.Password = test.user, test.password
			c, err := pgx.ConnectConfig(t.Context(), config)
			if test.code != "" && (err == nil || !strings.Contains(err.Error(), test.code)) ||
				test.code == "" && err != nil {
				t.Errorf("%s with %q, TLS %s: %v, want %q", test.user, test.password, ssl, err, test.code)
			}
			if err != nil {
				continue
			}
			var user string
			err = c.QueryRow(t.Context(), "SELECT current_user").Scan(&user)
			if err != nil || user != test.user {
				t.Errorf("current_user is %q, want %q; %v", user, test.user, err)
			}
			must(t, c.Close(t.Context()))
		}
	}
	psql, err := exec.LookPath("psql")
	if err == nil {
		out := run(t, time.Minute, psql, "-XAt", "-c", "select current_user",
			"postgres://bob:pencil@"+h.addr+"/velo?sslmode=require")
		if strings.TrimSpace(out) != "bob" {
			t.Errorf("psql prints %q", out)
		}
	}
	if n := h.stats.Refused.Load(); n < 8 {
		t.Errorf("%d clients were refused, want 8 at least", n)
	}
}

// Goal: a function that knows the passwords is asked, over TLS from elsewhere.
func TestPlainPassword(t *testing.T) {
	h := serve(t, 1, pg.Config{TLS: certificate(t), Password: func(user, password string) bool {
		return user == "ann" && password == "open sesame"
	}})
	for password, want := range map[string]string{"open sesame": "", "wrong": "28P01"} {
		config, err := pgx.ParseConfig("postgres://ann@" + h.addr + "/velo?sslmode=require")
		must(t, err)
		config.Password = password
		c, err := pgx.ConnectConfig(t.Context(), config)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", password, err, want)
		}
		if err == nil {
			must(t, c.Close(t.Context()))
		}
	}
}

// Goal: a file of users with a fault is refused, and the error does not show a password.
func TestUsersFaults(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "no line",
		"ann":                                    "line 1",
		"ann:":                                   "line 1",
		":hidden":                                "line 1",
		"ann:hidden\nann:hidden":                 "twice",
		"ann:SCRAM-SHA-256$4096:hidden":          "SCRAM-SHA-256$",
		"ann:SCRAM-SHA-256$0:aGlkZGVu$YQ==:YQ==": "SCRAM-SHA-256$",
	} {
		_, err := pg.ReadUsers(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Goal: a listener that other machines can reach needs TLS and passwords.
func TestExposed(t *testing.T) {
	users, err := pg.ReadUsers(strings.NewReader("ann:open sesame"))
	must(t, err)
	for _, config := range []pg.Config{
		{Source: sample{}}, {Source: sample{}, Users: users}, {Source: sample{}, TLS: certificate(t)}, {},
	} {
		l, err := net.Listen("tcp", "0.0.0.0:0")
		must(t, err)
		err = pg.Serve(t.Context(), l, config)
		if err == nil || !strings.Contains(err.Error(), "pg: ") {
			t.Errorf("%+v: %v, want an error", config, err)
		}
		_, err = l.Accept()
		if err == nil {
			t.Error("the listener is still open")
		}
	}
}

// Goal: bytes that come with the request for TLS, before it, are not taken for the client's.
func TestInjected(t *testing.T) {
	h := serve(t, 1, pg.Config{TLS: certificate(t)})
	conn, err := net.Dial("tcp", h.addr)
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = conn.Write(
		[]byte("\x00\x00\x00\x08\x04\xd2\x16\x2f" + "\x00\x00\x00\x10\x00\x03\x00\x00user\x00a\x00\x00"),
	)
	must(t, err)
	var one [1]byte
	_, err = conn.Read(one[:])
	if err != nil || one[0] != 'S' {
		t.Fatalf("%q, %v", one, err)
	}
	n, err := conn.Read(make([]byte, 100))
	if err == nil && n > 7 { // an alert of TLS has 7 bytes
		t.Errorf("the server has taken bytes that came before TLS")
	}
}
