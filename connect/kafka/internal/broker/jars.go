package broker

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// pom says which jars make a broker.
//
//go:embed pom.xml
var pom []byte

// toolsPom says which jar has Kafka's programs. It needs the jars of a broker, too.
//
//go:embed tools.xml
var toolsPom []byte

// Version is the version of Kafka. pom.xml has it, too.
const Version = "4.1.0"

const (
	// fetchTimeout bounds how long the jars are fetched: 43 MB, about a minute.
	fetchTimeout = 3 * time.Minute

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
	return dir, fetchJars(ctx, dir, pom)
}

// Tools returns the folder with the jar of Kafka's programs, such as the console consumer. Maven
// fetches it into the user's cache the first time.
func Tools(ctx context.Context) (string, error) {
	jars, err := Jars(ctx)
	if err != nil || hasTools(jars) {
		return jars, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "velo", "kafka-tools-"+Version)
	if hasTools(dir) {
		return dir, nil
	}
	return dir, fetchJars(ctx, dir, toolsPom)
}

// hasJars says whether a folder has all jars: it is renamed when it does.
func hasJars(dir string) bool { return has(dir, "kafka_2.13-") }

// hasTools says whether a folder has Kafka's programs.
func hasTools(dir string) bool { return has(dir, "kafka-tools-") }

func has(dir, jar string) bool {
	_, err := os.Stat(filepath.Join(dir, jar+Version+".jar"))
	return err == nil
}

// fetchJars has Maven copy the jars of a pom into a folder, which appears when it is complete.
func fetchJars(ctx context.Context, dir string, pom []byte) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("the jars of Kafka are not in %s, and fetching them needs Maven: %w", dir, err)
	}
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
	err = os.Rename(filepath.Join(tmp, "libs"), dir)
	if err != nil && !hasJars(dir) && !hasTools(dir) {
		return err
	}
	return nil
}
