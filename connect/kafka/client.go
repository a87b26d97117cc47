package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// ClientConfig says how to reach a cluster.
type ClientConfig struct {
	// Brokers are addresses, host:port, of some brokers of the cluster.
	Brokers []string

	// ClientID is what the brokers' logs and quotas call the client; "" is velo.
	ClientID string

	// TLS encrypts the connections; nil does not. With a certificate in it the broker can tell who
	// connects (mTLS).
	TLS *tls.Config

	// SASL says who connects; nil does not.
	SASL sasl.Mechanism

	// Options are further options of the client. They come last.
	Options []kgo.Opt
}

// defaultPort is the port of a broker whose address has none.
const defaultPort = "9092"

// options are the client's options.
func (c *ClientConfig) options() ([]kgo.Opt, error) {
	if len(c.Brokers) == 0 {
		return nil, errors.New("kafka: no brokers, expected host:port of at least one")
	}
	var seeds []string
	for _, b := range c.Brokers {
		b = strings.TrimSpace(b)
		if _, _, err := net.SplitHostPort(b); err != nil {
			b = net.JoinHostPort(b, defaultPort)
		}
		seeds = append(seeds, b)
	}
	id := c.ClientID
	if id == "" {
		id = "velo"
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(seeds...), kgo.ClientID(id), kgo.SoftwareNameAndVersion("velo", "0"),
		kgo.DisableClientMetrics(),
	}
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	}
	if c.SASL != nil {
		opts = append(opts, kgo.SASL(c.SASL))
	}
	return append(opts, c.Options...), nil
}

// startTries bounds how often a start connects again to a broker that closes each connection at
// once, or asks again for a topic that is not known. The pauses between the tries are a second and
// a half together: TLS or SASL on one side only looks like the first, and a wrong name like the
// second, and that has to be said soon. A broker that has just started does not know its topics
// yet.
const startTries = 6

// patiently tries something again until ctx is done if it has failed because a connection broke, or
// because the brokers are about to change. A job that runs goes on in any case; this is for its
// start.
func patiently(ctx context.Context, try func() error) error {
	delay := backoffMin
	for n := 1; ; n++ {
		err := try()
		doubtful := errors.As(err, new(*kgo.ErrFirstReadEOF)) || errors.Is(err, errNoTopic)
		if err == nil || doubtful && n >= startTries || !doubtful && !passes(err) {
			return err
		}
		select {
		case <-time.After(delay):
			delay = min(2*delay, backoffMax)
		case <-ctx.Done():
			return err
		}
	}
}

// passes says whether an error may be gone a moment later.
func passes(err error) bool {
	var network *net.OpError
	if errors.As(err, &network) {
		return network.Op != "remote error" // an alert of TLS
	}
	return kerr.IsRetriable(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed)
}

// advised adds to an error what it may come from: an option, a right, a setting of the topic. The
// options of a job are fields of ClientConfig: TLS and SASL.
func advised(err error) error {
	var advice string
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		advice = "tls.ca has to name a file with the certificate that signs the broker's"
	case errors.As(err, new(x509.HostnameError)):
		advice = "tls.server.name says which name the broker's certificate is for, if it is not the address"
	case err != nil && strings.Contains(err.Error(), "remote error: tls: "):
		advice = "the broker refuses the client's certificate, or wants one and got none: tls.certificate and tls.key"
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		advice = "sasl.user and sasl.secret.file are not what the broker knows, or sasl is another mechanism"
	case errors.Is(err, kerr.IllegalSaslState), errors.Is(err, kerr.UnsupportedSaslMechanism):
		advice = "the broker does not offer this mechanism at this address: sasl, brokers"
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		advice = "the user needs the right to DESCRIBE the topic, and to READ or to WRITE it"
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		advice = "the user needs the rights to DESCRIBE and to WRITE the transactional id"
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		advice = "brokers before 3.0 want the right IDEMPOTENT_WRITE on the cluster"
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		advice = "a row is larger than max.message.bytes of the topic allows"
	case errors.Is(err, kerr.NotEnoughReplicas), errors.Is(err, kerr.NotEnoughReplicasAfterAppend):
		advice = "brokers are down: fewer replicas are in sync than min.insync.replicas of the topic"
	case errors.Is(err, kerr.PolicyViolation), errors.Is(err, kerr.InvalidRecord):
		advice = "a setting of the topic or the brokers refuses the record, such as cleanup.policy = compact without a key"
	default:
		return err
	}
	if strings.Contains(err.Error(), advice) {
		return err // it has the advice already
	}
	return fmt.Errorf("%w (%s)", err, advice)
}

// LoadTLS makes the configuration of connections that use TLS. Ca is a file with the certificates
// that sign the brokers' certificates; "" takes the system's. Certificate and key are files with
// the client's own, for brokers that ask for it; "" has none. ServerName is what the brokers'
// certificates are for, if it is not their addresses.
func LoadTLS(ca, certificate, key, serverName string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no certificate in PEM", ca)
		}
	}
	switch {
	case certificate == "" && key == "":
	case certificate == "" || key == "":
		return nil, errors.New("a certificate and its key go together, expected both or none")
	default:
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// The mechanisms of SASL.
const (
	saslPlain    = "plain"
	saslScram256 = "scram-sha-256"
	saslScram512 = "scram-sha-512"
	saslOAuth    = "oauthbearer"
)

// NewSASL makes a mechanism: plain, scram-sha-256 or scram-sha-512 with a user, or oauthbearer.
// Secret is the file that has the password or the token. It is read at each authentication, so what
// renews a token writes it there.
func NewSASL(mechanism, user, secret string) (sasl.Mechanism, error) {
	if secret == "" {
		return nil, errors.New("expected a file with the password or the token")
	}
	if mechanism != saslOAuth && user == "" {
		return nil, errors.New("expected a user")
	}
	if _, err := readSecret(secret); err != nil {
		return nil, err
	}
	switch mechanism {
	case saslPlain:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			pass, err := readSecret(secret)
			return plain.Auth{User: user, Pass: pass}, err
		}), nil
	case saslScram256, saslScram512:
		auth := func(context.Context) (scram.Auth, error) {
			pass, err := readSecret(secret)
			return scram.Auth{User: user, Pass: pass}, err
		}
		if mechanism == saslScram256 {
			return scram.Sha256(auth), nil
		}
		return scram.Sha512(auth), nil
	case saslOAuth:
		return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := readSecret(secret)
			return oauth.Auth{Token: token}, err
		}), nil
	}
	return nil, fmt.Errorf("mechanism %q, expected %s, %s, %s or %s", mechanism, saslPlain, saslScram256, saslScram512,
		saslOAuth)
}

// readSecret reads the one line of a file.
func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 || bytes.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("%s: expected one line", path)
	}
	return string(text), nil
}
