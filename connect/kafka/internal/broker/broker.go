// Package broker starts real brokers of Apache Kafka for tests, from the jars of Maven Central,
// without Docker: one node, or a cluster.
package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// formatTimeout and startTimeout bound the two steps of starting: some seconds each on a quiet
// machine.
const (
	formatTimeout = 2 * time.Minute
	startTimeout  = 2 * time.Minute
)

// A Listener is one more way to reach the nodes of a cluster, besides the plain one.
type Listener struct {
	Name     string // such as SCRAM
	Protocol string // PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
	// Advertised is, for each node, the address that clients are told, such as the address of a
	// proxy. Nil is where the node listens.
	Advertised []string
}

// Config says what nodes are made of. The zero value is one node with a plain listener.
type Config struct {
	Nodes      int // 0 is 1
	Listeners  []Listener
	Properties string // more lines of server.properties
}

// A Broker is one node. Its data are in a folder, so it can be killed and started again.
type Broker struct {
	// ID is the number of the node, from 1 on.
	ID int32
	// Address is where it listens: 127.0.0.1 and a port.
	Address string
	// Listeners are where it listens besides that, by name.
	Listeners map[string]string

	jars, dir string
	process   *exec.Cmd
	ended     chan struct{}
}

// New makes a broker and starts it. Dir is an empty folder.
func New(ctx context.Context, dir string, cfg Config) (*Broker, error) {
	cfg.Nodes = 1
	all, err := NewCluster(ctx, dir, cfg)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// NewCluster makes the brokers of a cluster and starts them. Each is a controller, too, so the
// cluster goes on as long as more than half of them run. Dir is an empty folder.
func NewCluster(ctx context.Context, dir string, cfg Config) (all []*Broker, err error) {
	jars, err := Jars(ctx)
	if err != nil {
		return nil, err
	}
	nodes := max(cfg.Nodes, 1)
	each := 2 + len(cfg.Listeners)
	ports, err := freePorts(nodes * each)
	if err != nil {
		return nil, err
	}
	var controllers []string
	for i := range nodes {
		controllers = append(controllers, fmt.Sprintf("%d@%s", i+1, ports[i*each+1]))
	}
	for i := range nodes {
		b := &Broker{ID: int32(i + 1), jars: jars, dir: filepath.Join(dir, fmt.Sprint(i+1))}
		own := ports[i*each : (i+1)*each]
		err := os.MkdirAll(b.dir, 0o755)
		if err == nil {
			err = os.WriteFile(b.config(), []byte(b.properties(cfg, own, controllers)), 0o600)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	// All of them at once: a node listens only when more than half of the controllers run.
	started := make(chan error, nodes)
	for _, b := range all {
		go func() {
			err := b.format(ctx)
			if err == nil {
				err = b.Start(ctx)
			}
			started <- err
		}()
	}
	var faults []error
	for range all {
		faults = append(faults, <-started)
	}
	err = errors.Join(faults...)
	if err != nil {
		for _, b := range all {
			b.Kill()
		}
		return nil, err
	}
	return all, nil
}

// properties is the configuration of a node. Addresses are where it listens: as broker, as
// controller, and for each more listener.
func (b *Broker) properties(cfg Config, addresses, controllers []string) string {
	b.Address, b.Listeners = addresses[0], map[string]string{}
	listeners := []string{"PLAINTEXT://" + addresses[0], "CONTROLLER://" + addresses[1]}
	advertised := listeners[:1:1]
	protocols := []string{"PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"}
	for i, l := range cfg.Listeners {
		at := addresses[2+i]
		b.Listeners[l.Name] = at
		listeners, protocols = append(listeners, l.Name+"://"+at), append(protocols, l.Name+":"+l.Protocol)
		if l.Advertised != nil {
			at = l.Advertised[b.ID-1]
		}
		advertised = append(advertised, l.Name+"://"+at)
	}
	replicas := min(len(controllers), 3)
	return fmt.Sprintf(properties, b.ID, strings.Join(controllers, ","), strings.Join(listeners, ","),
		strings.Join(advertised, ","), strings.Join(protocols, ","), filepath.ToSlash(filepath.Join(b.dir, "data")),
		replicas, max(replicas-1, 1)) + cfg.Properties
}

func (b *Broker) config() string { return filepath.Join(b.dir, "server.properties") }

// format prepares the folder of the node's data.
func (b *Broker) format(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, formatTimeout)
	defer cancel()
	format := Java(ctx, b.jars, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", b.config())
	out, err := format.CombinedOutput()
	if err != nil {
		return fmt.Errorf("formatting the folder of a broker: %w\n%s", err, out)
	}
	return nil
}

// Java is a program of Kafka. Jars are folders, with the separator of lists of paths between them.
func Java(ctx context.Context, jars, class string, args ...string) *exec.Cmd {
	var path []string
	for _, dir := range filepath.SplitList(jars) {
		path = append(path, filepath.Join(dir, "*"))
	}
	all := slices.Concat([]string{
		"-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
		strings.Join(path, string(filepath.ListSeparator)), class,
	}, args)
	return exec.CommandContext(ctx, "java", all...)
}

// Start starts the broker and waits until it listens.
func (b *Broker) Start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(b.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	b.process = Java(context.Background(), b.jars, "kafka.Kafka", b.config())
	b.process.Stdout, b.process.Stderr = log, log
	err = b.process.Start()
	if err != nil {
		b.process = nil
		return err
	}
	b.ended = make(chan struct{})
	go func(ended chan struct{}, p *exec.Cmd) {
		_ = p.Wait()
		close(ended)
	}(b.ended, b.process)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", b.Address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-b.ended:
			text, _ := os.ReadFile(filepath.Join(b.dir, "log"))
			return fmt.Errorf("the broker has ended: %s", tail(string(text)))
		case <-ctx.Done():
			b.Kill()
			return fmt.Errorf("the broker does not listen after %v", startTimeout)
		}
	}
}

// tail is the end of a log.
func tail(text string) string {
	const most = 2000
	return strings.TrimSpace(text[max(0, len(text)-most):])
}

// Kill ends the broker at once, as kill -9 does, and waits for that.
func (b *Broker) Kill() {
	if b.process != nil {
		_ = b.process.Process.Kill()
		<-b.ended
	}
}

// PID is the id of the broker's process.
func (b *Broker) PID() int { return b.process.Process.Pid }

// freePorts finds addresses that nobody listens on.
func freePorts(n int) (addresses []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}
