package pg

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/scram"
)

// Users know who may read, by SCRAM-SHA-256. They do not know the passwords themselves.
type Users struct {
	stored map[string]scram.StoredCredentials
	secret [32]byte // makes salts for users that do not exist
}

const (
	scramName       = "SCRAM-SHA-256"
	scramIterations = 4096
	maxIterations   = 1_000_000
)

// ReadUsers reads a file with a line for each user: a name, a colon, and a password or what
// PostgreSQL keeps of one in pg_authid.rolpassword (SCRAM-SHA-256$4096:salt$stored:server). Empty
// lines and those that begin with # have no meaning.
func ReadUsers(r io.Reader) (*Users, error) {
	u := &Users{stored: map[string]scram.StoredCredentials{}}
	_, err := rand.Read(u.secret[:])
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, secret, ok := strings.Cut(line, ":")
		if !ok || name == "" || secret == "" {
			// The line is not shown: it may have a password.
			return nil, fmt.Errorf("line %d of the users is not name:password", n)
		}
		if _, twice := u.stored[name]; twice {
			return nil, fmt.Errorf("line %d of the users: user %q is there twice", n, name)
		}
		c, err := credentials(name, secret)
		if err != nil {
			return nil, fmt.Errorf("line %d of the users: user %q: %w", n, name, err)
		}
		u.stored[name] = c
	}
	if lines.Err() != nil {
		return nil, lines.Err()
	}
	if len(u.stored) == 0 {
		return nil, errors.New("the users have no line with a user")
	}
	return u, nil
}

// credentials are what is kept of a password.
func credentials(name, secret string) (c scram.StoredCredentials, err error) {
	rest, ok := strings.CutPrefix(secret, scramName+"$")
	if !ok {
		client, err := scram.SHA256.NewClient(name, secret, "")
		if err != nil {
			return c, errors.New("the password is not a text that SASLprep allows")
		}
		var salt [16]byte
		_, err = rand.Read(salt[:])
		if err != nil {
			return c, err
		}
		return client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt[:]), Iters: scramIterations})
	}
	bad := errors.New("it is not SCRAM-SHA-256$iterations:salt$stored:server")
	head, keys, ok1 := strings.Cut(rest, "$")
	iterations, salt, ok2 := strings.Cut(head, ":")
	stored, server, ok3 := strings.Cut(keys, ":")
	if !ok1 || !ok2 || !ok3 {
		return c, bad
	}
	c.Iters, err = strconv.Atoi(iterations)
	if err != nil || c.Iters < 1 || c.Iters > maxIterations {
		return c, bad
	}
	raw, err1 := base64.StdEncoding.DecodeString(salt)
	c.Salt = string(raw)
	var err2, err3 error
	c.StoredKey, err2 = base64.StdEncoding.DecodeString(stored)
	c.ServerKey, err3 = base64.StdEncoding.DecodeString(server)
	if errors.Join(err1, err2, err3) != nil || len(c.StoredKey) != sha256.Size || len(c.ServerKey) != sha256.Size {
		return c, bad
	}
	return c, nil
}

// of are the credentials of a user. A user that does not exist has some that no password fits, so
// that a client cannot tell.
func (u *Users) of(name string) scram.StoredCredentials {
	c, ok := u.stored[name]
	if ok {
		return c
	}
	mac := hmac.New(sha256.New, u.secret[:])
	mac.Write([]byte(name))
	sum := mac.Sum(nil)
	c.Salt, c.Iters = string(sum[:16]), scramIterations
	c.StoredKey, c.ServerKey = make([]byte, sha256.Size), sum
	_, _ = rand.Read(c.StoredKey)
	return c
}

// ask runs SCRAM with a client.
func (u *Users) ask(c *session) error {
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
		return u.of(c.user), nil // the name in SCRAM's message is not used, as in PostgreSQL
	})
	if err != nil {
		return err
	}
	talk := server.NewConversation()
	c.out.send(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{scramName}})
	err = c.out.flush()
	if err != nil {
		return err
	}
	_ = c.backend.SetAuthType(pgproto3.AuthTypeSASL)
	m, err := c.backend.Receive()
	if err != nil {
		return err
	}
	first, ok := m.(*pgproto3.SASLInitialResponse)
	if !ok || first.AuthMechanism != scramName {
		return errors.New("the client does not speak " + scramName)
	}
	answer, err := talk.Step(string(first.Data))
	if err != nil {
		return err
	}
	c.out.send(&pgproto3.AuthenticationSASLContinue{Data: []byte(answer)})
	err = c.out.flush()
	if err != nil {
		return err
	}
	_ = c.backend.SetAuthType(pgproto3.AuthTypeSASLContinue)
	m, err = c.backend.Receive()
	if err != nil {
		return err
	}
	last, ok := m.(*pgproto3.SASLResponse)
	if !ok {
		return errors.New("the client has broken off")
	}
	answer, err = talk.Step(string(last.Data))
	if err != nil {
		return err
	}
	if !talk.Valid() {
		return errors.New("the password is wrong")
	}
	c.out.send(&pgproto3.AuthenticationSASLFinal{Data: []byte(answer)})
	return nil
}
