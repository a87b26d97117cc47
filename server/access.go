package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// A Role says what a request may do. Each role may do what those before it may.
type Role int

// The roles.
const (
	RoleNone  Role = iota // health
	RoleRead              // views, queries, jobs, statistics
	RoleWrite             // pushing records
	RoleAdmin             // changing jobs, profiles
)

var roleNames = []string{"none", "read", "write", "admin"}

// String is the role as a word.
func (r Role) String() string { return roleNames[r] }

// MinTokenBytes is the length of a token at least.
const MinTokenBytes = 16

// Access has the tokens of the roles. It keeps their digests only.
type Access struct {
	tokens []token
}

type token struct {
	role   Role
	digest [sha256.Size]byte
}

// ReadTokens reads tokens from files, one a line; blank lines and lines that begin with # do not
// count. A path of "" is no token of that role. There is an error if there is no token at all, if
// one is too short, or if everybody may read a file.
func ReadTokens(read, write, admin string) (*Access, error) {
	a := &Access{}
	for role, path := range map[Role]string{RoleRead: read, RoleWrite: write, RoleAdmin: admin} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("server: tokens: %w", err)
		}
		if othersMayRead(info) {
			return nil, fmt.Errorf("server: tokens: everybody may read %s: chmod 600", path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("server: tokens: %w", err)
		}
		for n, line := range strings.Split(string(text), "\n") {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if err := a.Add(role, line); err != nil {
				return nil, fmt.Errorf("server: tokens: %s, line %d: %w", path, n+1, err)
			}
		}
	}
	if len(a.tokens) == 0 {
		return nil, errors.New("server: tokens: the files have none")
	}
	return a, nil
}

// Add adds a token.
func (a *Access) Add(role Role, text string) error {
	if len(text) < MinTokenBytes {
		return fmt.Errorf("a token of %d bytes, expected %d at least", len(text), MinTokenBytes)
	}
	a.tokens = append(a.tokens, token{role, sha256.Sum256([]byte(text))})
	return nil
}

// role is the highest role of a token. Every token is compared, and all in constant time.
func (a *Access) role(text string) (highest Role) {
	digest := sha256.Sum256([]byte(text))
	for _, t := range a.tokens {
		if subtle.ConstantTimeCompare(digest[:], t.digest[:]) == 1 && t.role > highest {
			highest = t.role
		}
	}
	return highest
}

// Role is the role of a request, by its header "Authorization: Bearer TOKEN". Other protocols that
// take passwords ask RoleOf.
func (a *Access) Role(r *http.Request) Role {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return RoleNone
	}
	return a.role(strings.TrimSpace(text))
}

// RoleOf is the role of a token.
func (a *Access) RoleOf(token string) Role { return a.role(token) }

// allow says whether a request may do what a role is for.
func (s *Server) allow(r *http.Request, role Role) error {
	refuse := func(status int, code, message, hint string) error {
		s.refused.Add(1)
		return &Error{Status: status, Code: code, Message: message, Hint: hint}
	}
	if s.cfg.Access == nil {
		if !localHost(r.Host) || r.Header.Get("Sec-Fetch-Site") == "cross-site" || !sameOrigin(r) {
			return refuse(http.StatusForbidden, "forbidden",
				"the request comes from another place: host "+r.Host+", origin "+r.Header.Get("Origin"),
				"without tokens, only pages and programs of this machine are answered")
		}
		return nil
	}
	if role == RoleNone {
		return nil
	}
	switch have := s.cfg.Access.Role(r); {
	case have >= role:
		return nil
	case have == RoleNone:
		return refuse(http.StatusUnauthorized, "unauthorized", "a token is needed",
			"Authorization: Bearer TOKEN, with a token for "+role.String())
	default:
		return refuse(http.StatusForbidden, "forbidden", "the token is for "+have.String()+", "+role.String()+
			" is needed", "")
	}
}

// localHost says whether the host of a request is this machine by a name that no name server can
// give to another page.
func localHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback() || host == ""
}

// sameOrigin says whether a request was made by a page of this server, or by no page.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == r.Host
}

// CheckListener says whether a listener may be opened: it is for this machine alone, or it has
// tokens and TLS.
func CheckListener(address string, access *Access, tls bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("server: listen: %w", err)
	}
	ip := net.ParseIP(host)
	if host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	if access == nil || !tls {
		return fmt.Errorf("server: %s can be reached from other machines, which needs a certificate (TLS) and tokens; "+
			"127.0.0.1 is for this machine alone", address)
	}
	return nil
}
