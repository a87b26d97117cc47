// Package broker starts a real broker of Apache Kafka for tests: one node, from the jars of Maven
// Central, without Docker.
package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Version is the version of Kafka. pom.xml has it, too.
const Version = "4.1.0"

const (
	// fetchTimeout bounds how long the jars are fetched: 43 MB, about a minute.
	fetchTimeout = 3 * time.Minute

	// formatTimeout and startTimeout bound the two steps of starting: some seconds each on a quiet
	// machine.
	formatTimeout = 2 * time.Minute
	startTimeout  = 2 * time.Minute

	// Variable says where the jars are, or that a broker is wanted: tests that need one skip
	// without it. Its value is a folder with the jars, or fetch, which has Maven fetch them into
	// the user's cache the first time.
	Variable = "VELO_KAFKA"
	fetch    = "fetch"
)

// ErrNotWanted says that nobody asked for a broker.
var ErrNotWanted = errors.New("no real broker was asked for: make kafka-test, or " + Variable + "=fetch, does")

// Jars returns the folder with the jars of Kafka.
func Jars(ctx context.Context) (string, error) {
	dir := os.Getenv(Variable)
	if dir == "" {
		return "", ErrNotWanted
	}
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("a broker needs java 17 or newer: %w", err)
	}
	if dir != fetch {
		if !hasJars(dir) {
			return "", fmt.Errorf("%s=%s: there is no kafka_2.13-%s.jar", Variable, dir, Version)
		}
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(cache, "velo", "kafka-"+Version)
	if hasJars(dir) {
		return dir, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", fmt.Errorf("the jars of Kafka are not in %s, and fetching them needs Maven: %w", dir, err)
	}
	return dir, fetchJars(ctx, dir)
}

// hasJars says whether a folder has all jars: it is renamed when it does.
func hasJars(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "kafka_2.13-"+Version+".jar"))
	return err == nil
}

// fetchJars has Maven copy the jars into a folder, which appears when it is complete.
func fetchJars(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "fetching-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.WriteFile(filepath.Join(tmp, "pom.xml"), pom, 0o600); err != nil {
		return err
	}
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B",
		"org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies", "-DoutputDirectory=libs")
	mvn.Dir = tmp
	if out, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn: %w\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(tmp, "libs"), dir); err != nil && !hasJars(dir) {
		return err
	}
	return nil
}

// A Broker is one node. Its data are in a folder, so it can be killed and started again.
type Broker struct {
	// Address is where it listens: 127.0.0.1 and a port.
	Address string

	jars, dir string
	process   *exec.Cmd
	ended     chan struct{}
}

// New makes a broker and starts it. Dir is an empty folder.
func New(ctx context.Context, dir string) (*Broker, error) {
	jars, err := Jars(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	b := &Broker{Address: fmt.Sprintf("127.0.0.1:%d", ports[0]), jars: jars, dir: dir}
	config := fmt.Sprintf(properties, b.Address, fmt.Sprintf("127.0.0.1:%d", ports[1]), filepath.ToSlash(
		filepath.Join(dir, "data")))
	if err := os.WriteFile(b.config(), []byte(config), 0o600); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, formatTimeout)
	defer cancel()
	format := b.java(ctx, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", b.config())
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("formatting the folder of a broker: %w\n%s", err, out)
	}
	return b, b.Start(ctx)
}

func (b *Broker) config() string { return filepath.Join(b.dir, "server.properties") }

// java is a program of Kafka.
func (b *Broker) java(ctx context.Context, class string, args ...string) *exec.Cmd {
	all := append([]string{
		"-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(b.jars, "*"), class,
	}, args...)
	return exec.CommandContext(ctx, "java", all...)
}

// Start starts the broker and waits until it listens.
func (b *Broker) Start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(b.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	b.process = b.java(context.Background(), "kafka.Kafka", b.config())
	b.process.Stdout, b.process.Stderr = log, log
	if err := b.process.Start(); err != nil {
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

// freePorts finds ports that nobody listens on.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
