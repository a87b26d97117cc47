package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/twmb/avro"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// maxSchemas bounds how many schemas a source keeps. If there are more, some are forgotten, and
	// asked for again when values of them come.
	maxSchemas = 1000

	// maxSchemaBytes bounds the answer of a registry.
	maxSchemaBytes = 4 << 20

	// maxReferences bounds how many other schemas a schema refers to, directly or not.
	maxReferences = 100

	// askAgain is after how long a schema is asked for again that could not be used.
	askAgain = time.Minute

	// registryTimeout bounds one request.
	registryTimeout = 10 * time.Second
)

// RegistryConfig says where the schemas of values are: a schema registry with the HTTP interface of
// Confluent's, which Redpanda, Karapace and Apicurio have, too.
type RegistryConfig struct {
	URL string // http://localhost:8081
	// User and Secret are for basic authentication. Secret is a file with the password, one line;
	// it is read at each request. "" has no authentication.
	User, Secret string
	// TLS is for https; nil trusts the system's certificates.
	TLS *tls.Config
}

// fault says what is wrong with it.
func (c *RegistryConfig) fault() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return errors.New("schema registry: the URL cannot be read") // it may have a password
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("schema registry: expected http://host:port or https://host:port")
	case u.User != nil:
		return errors.New("schema registry: a user and a password in the URL would be seen in messages: name the " +
			"user, and a file with the password")
	case (c.User == "") != (c.Secret == ""):
		return errors.New("schema registry: a user and a file with the password go together, expected both or none")
	}
	return nil
}

// registry has the schemas that values were written with. Readers ask it on the engine's threads
// and never wait: what is not there is fetched by a goroutine, and the readers are woken.
type registry struct {
	cfg      RegistryConfig
	consumer *consumer
	client   http.Client

	mu      sync.Mutex
	schemas map[uint32]*registered
}

// registered is a schema, or the reason why there is none.
type registered struct {
	schema  *writtenSchema
	err     error
	at      time.Time // when it was fetched
	loading bool
}

// writtenSchema is what values were written with: a type of Avro or a file of Protobuf.
type writtenSchema struct {
	avro  *avroType
	proto protoreflect.FileDescriptor
}

// isOld says whether a schema that could not be used shall be asked for again: it may be there now.
func (s *registered) isOld() bool {
	return !s.loading && s.err != nil && time.Since(s.at) > askAgain
}

// errRegistry says that the registry does not let the source ask. It ends the source.
var errRegistry = errors.New("the schema registry refuses to answer")

// errNoSchema says that a schema cannot be used. The records that were written with it are set
// aside.
var errNoSchema = errors.New("the schema cannot be used")

func newRegistry(cfg RegistryConfig, c *consumer) *registry {
	r := &registry{cfg: cfg, consumer: c, schemas: map[uint32]*registered{}}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = cfg.TLS
	r.client = http.Client{Transport: transport, Timeout: registryTimeout}
	return r
}

// get returns a schema, or false if it is being fetched. The error says that there is none that can
// be used; if it is an errRegistry, there will be none at all.
func (r *registry) get(id uint32) (t *writtenSchema, there bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.schemas[id]
	if s != nil && !s.isOld() {
		return s.schema, !s.loading, s.err
	}
	if len(r.schemas) >= maxSchemas {
		for old, s := range r.schemas {
			if !s.loading {
				delete(r.schemas, old)
				break
			}
		}
	}
	r.schemas[id] = &registered{loading: true}
	r.consumer.work.Add(1)
	go r.load(id)
	return nil, false, nil
}

// load fetches a schema, and tries again as long as the registry does not answer.
func (r *registry) load(id uint32) {
	c := r.consumer
	defer c.work.Done()
	began, said := time.Now(), false
	for delay := backoffMin; ; delay = min(2*delay, backoffMax) {
		t, err := r.fetch(c.ctx, id)
		if c.ctx.Err() != nil {
			return
		}
		if err == nil || errors.Is(err, errRegistry) || errors.Is(err, errNoSchema) {
			if said {
				c.cfg.say("the schema registry answers again")
			}
			r.mu.Lock()
			r.schemas[id] = &registered{schema: t, err: err, at: time.Now()}
			r.mu.Unlock()
			break
		}
		if !said && time.Since(began) > sayAfter {
			said = true
			c.cfg.say(fmt.Sprintf("schema %d: %v; it is tried again", id, err))
		}
		c.pause(delay)
	}
	c.mu.Lock()
	readers := slices.Clone(c.readers)
	c.mu.Unlock()
	for _, reader := range readers {
		reader.wake()
	}
}

// schemaAnswer is what a registry says of a schema.
type schemaAnswer struct {
	Schema     string
	SchemaType string // "" is AVRO
	References []struct {
		Name, Subject string
		Version       int
	}
}

// fetch fetches a schema and those that it refers to.
func (r *registry) fetch(ctx context.Context, id uint32) (*writtenSchema, error) {
	var answer schemaAnswer
	err := r.ask(ctx, fmt.Sprintf("/schemas/ids/%d", id), &answer)
	if err != nil {
		return nil, err
	}
	is, want := cmp.Or(answer.SchemaType, "AVRO"), strings.ToUpper(string(r.consumer.cfg.Format))
	if is != want {
		return nil, fmt.Errorf("%w: it is of type %s, expected %s", errNoSchema, is, want)
	}
	l := &schemaLoad{
		registry: r, types: avroTypes{named: map[string]*avroType{}}, seen: map[string]bool{},
		files: map[string]string{},
	}
	err = l.references(ctx, &answer)
	if err != nil {
		return nil, err
	}
	if want == "PROTOBUF" {
		file, err := l.compile(ctx, answer.Schema)
		return &writtenSchema{proto: file}, err
	}
	t, err := l.parse(answer.Schema)
	return &writtenSchema{avro: t}, err
}

// schemaLoad fetches one schema with the others that it refers to.
type schemaLoad struct {
	registry *registry
	cache    avro.SchemaCache
	types    avroTypes
	seen     map[string]bool
	// files are the texts of the files of Protobuf that others import, by the names that they do
	// it with.
	files map[string]string
}

// references fetches what a schema refers to, those first that others refer to.
func (l *schemaLoad) references(ctx context.Context, of *schemaAnswer) error {
	for _, ref := range of.References {
		path := fmt.Sprintf("/subjects/%s/versions/%d", url.PathEscape(ref.Subject), ref.Version)
		if l.seen[path] {
			continue
		}
		l.seen[path] = true
		if len(l.seen) > maxReferences {
			return fmt.Errorf("%w: it refers to more than %d others", errNoSchema, maxReferences)
		}
		var answer schemaAnswer
		err := l.registry.ask(ctx, path, &answer)
		if err == nil {
			err = l.references(ctx, &answer)
		}
		switch {
		case err != nil:
		case l.registry.consumer.cfg.Format == Protobuf:
			l.files[ref.Name] = answer.Schema
		default:
			_, err = l.parse(answer.Schema)
		}
		if err != nil {
			return fmt.Errorf("%s, which it refers to: %w", ref.Name, err)
		}
	}
	return nil
}

func (l *schemaLoad) parse(text string) (*avroType, error) {
	s, err := l.cache.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoSchema, err)
	}
	t, err := l.types.of(s.Root(), "")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoSchema, err)
	}
	return t, nil
}

// compile compiles a file of Protobuf with those that it imports. What the language has, such as
// google/protobuf/timestamp.proto, need not be among them.
func (l *schemaLoad) compile(ctx context.Context, text string) (protoreflect.FileDescriptor, error) {
	name := "schema"
	for l.files[name] != "" {
		name += "_"
	}
	l.files[name] = text
	c := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: protocompile.SourceAccessorFromMap(l.files),
		}),
		MaxParallelism: 1,
	}
	files, err := c.Compile(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoSchema, err)
	}
	return files[0], nil
}

// ask asks the registry.
func (r *registry) ask(ctx context.Context, path string, to any) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(r.cfg.URL, "/")+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("%w: %w", errRegistry, err)
	}
	q.Header.Set("Accept", "application/vnd.schemaregistry.v1+json, application/json")
	if r.cfg.User != "" {
		secret, err := readSecret(r.cfg.Secret)
		if err != nil {
			return fmt.Errorf("%w: %w", errRegistry, err)
		}
		q.SetBasicAuth(r.cfg.User, secret)
	}
	answer, err := r.client.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxSchemaBytes+1))
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: the registry does not have it (%s)", errNoSchema, path)
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %s: %s", errRegistry, path, answer.Status)
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("the schema registry: %s: %s", path, answer.Status)
	case err != nil:
		return err
	case len(text) > maxSchemaBytes:
		return fmt.Errorf("%w: it has more than %d bytes", errNoSchema, maxSchemaBytes)
	}
	err = json.Unmarshal(text, to)
	if err != nil {
		return fmt.Errorf("the schema registry: %s: the answer is no JSON: %w", path, err)
	}
	return nil
}
