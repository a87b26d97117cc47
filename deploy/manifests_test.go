package deploy

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

// manifest is what kubernetes.yml has.
type manifest struct {
	accounts []corev1.ServiceAccount
	services []corev1.Service
	sets     []appsv1.StatefulSet
	policies []networkingv1.NetworkPolicy
}

// kubernetes reads kubernetes.yml with the types of Kubernetes. A field that they do not have is a
// fault.
func kubernetes(t *testing.T) (m manifest) {
	t.Helper()
	text, err := os.ReadFile("kubernetes.yml")
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq("\n"+string(text), "\n---\n") {
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(part), &kind); err != nil {
			t.Fatal(err)
		}
		strict := func(to any) {
			if err := yaml.UnmarshalStrict([]byte(part), to); err != nil {
				t.Errorf("%s: %v", kind.Kind, err)
			}
		}
		switch kind.APIVersion + " " + kind.Kind {
		case "v1 ServiceAccount":
			strict(grow(&m.accounts))
		case "v1 Service":
			strict(grow(&m.services))
		case "apps/v1 StatefulSet":
			strict(grow(&m.sets))
		case "networking.k8s.io/v1 NetworkPolicy":
			strict(grow(&m.policies))
		default:
			t.Errorf("there is a %s %s, which this test does not know", kind.APIVersion, kind.Kind)
		}
	}
	return m
}

// grow adds an element.
func grow[T any](all *[]T) *T {
	*all = append(*all, *new(T))
	return &(*all)[len(*all)-1]
}

// Goal: the manifest is what Kubernetes takes, its parts fit together, and the pod is closed: no
// root, no writable root file system, no privilege. Method: the types of Kubernetes, read strictly.
func TestKubernetes(t *testing.T) {
	m := kubernetes(t)
	if len(m.sets) != 1 || len(m.services) != 1 || len(m.accounts) != 1 || len(m.policies) != 1 {
		t.Fatalf("%+v", m)
	}
	set := m.sets[0].Spec
	pod := set.Template.Spec
	c := pod.Containers[0]
	labels := set.Template.Labels
	for key, value := range set.Selector.MatchLabels {
		if labels[key] != value || m.services[0].Spec.Selector[key] != value ||
			m.policies[0].Spec.PodSelector.MatchLabels[key] != value {
			t.Errorf("a selector does not select the pod: %s=%s", key, value)
		}
	}
	if *set.Replicas != 1 || set.ServiceName != m.services[0].Name || pod.ServiceAccountName != m.accounts[0].Name {
		t.Errorf("%d replicas, service %s, account %s", *set.Replicas, set.ServiceName, pod.ServiceAccountName)
	}
	s := c.SecurityContext
	if !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser == 0 || !*s.ReadOnlyRootFilesystem ||
		*s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) ||
		pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
		*pod.AutomountServiceAccountToken {
		t.Errorf("the pod is not closed: %+v, %+v", pod.SecurityContext, s)
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, claim := range set.VolumeClaimTemplates {
		volumes[claim.Name] = true
	}
	for _, v := range c.VolumeMounts {
		if !volumes[v.Name] {
			t.Errorf("there is no volume %s", v.Name)
		}
		delete(volumes, v.Name)
	}
	if len(volumes) > 0 {
		t.Errorf("these volumes are not mounted: %v", volumes)
	}
	for _, arg := range c.Args {
		_, path, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(arg, "/") {
			path = arg
		}
		if strings.HasPrefix(path, "/") && !slices.ContainsFunc(c.VolumeMounts, func(v corev1.VolumeMount) bool {
			return strings.HasPrefix(path, v.MountPath+"/")
		}) {
			t.Errorf("%s is in no volume", arg)
		}
	}
	for name, p := range map[string]*corev1.Probe{
		"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe,
	} {
		if p == nil || p.HTTPGet.Port.String() != c.Ports[0].Name || p.HTTPGet.Scheme != corev1.URISchemeHTTPS {
			t.Errorf("the %s probe is %+v", name, p)
		}
	}
	if !c.Resources.Requests.Memory().Equal(*c.Resources.Limits.Memory()) ||
		!c.Resources.Requests.Cpu().Equal(*c.Resources.Limits.Cpu()) {
		t.Errorf("requests and limits differ, so the pod gets no CPUs of its own: %+v", c.Resources)
	}
}

// program builds velo.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "velo")
	if out, err := exec.Command("go", "-C", "..", "build", "-o", path, "./cmd/velo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// secrets makes what the manifests expect in /etc/velo: a certificate, its key, and tokens.
func secrets(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{
		"tls/tls.crt": certificate, "tls/tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"tokens/read": []byte("read-0123456789abcdef\n"), "tokens/write": []byte("write-0123456789abcdef\n"),
		"tokens/admin": []byte("admin-0123456789abcdef\n"),
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return pool
}

// Goal: the commands of the manifest and the unit start a server, the probes and Prometheus reach
// what they ask for, and who has no token does not. Method: the program itself, with folders of
// this test instead of the folders that the manifests name.
func TestCommands(t *testing.T) {
	unit, err := os.ReadFile("velo.service")
	if err != nil {
		t.Fatal(err)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/velo (.*)$`).FindStringSubmatch(string(unit))
	if start == nil {
		t.Fatal("velo.service starts nothing")
	}
	c := kubernetes(t).sets[0].Spec.Template.Spec.Containers[0]
	velo := program(t)
	for of, args := range map[string][]string{"velo.service": strings.Fields(start[1]), "kubernetes.yml": c.Args} {
		t.Run(of, func(t *testing.T) {
			dir := t.TempDir()
			pool := secrets(t, dir)
			here := strings.NewReplacer("/var/lib/velo", filepath.Join(dir, "state"), "/etc/velo", dir,
				"127.0.0.1:8123", "127.0.0.1:0", "0.0.0.0:8123", "0.0.0.0:0")
			var words []string
			for _, a := range args {
				words = append(words, here.Replace(a))
			}
			cmd := exec.Command(velo, words...)
			said, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Signal(os.Interrupt)
				_, _ = io.Copy(io.Discard, said)
				if err := cmd.Wait(); err != nil {
					t.Errorf("after an interrupt: %v", err)
				}
			}()
			url, text := "", ""
			for lines := bufio.NewScanner(said); url == "" && lines.Scan(); {
				text += lines.Text() + "\n"
				m := regexp.MustCompile(`(https?)://\S+:(\d+) answers`).FindStringSubmatch(lines.Text())
				if m != nil {
					url = m[1] + "://127.0.0.1:" + m[2]
				}
			}
			if url == "" {
				t.Fatalf("velo %q does not answer: %s", words, text)
			}
			client := &http.Client{
				Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
			}
			defer client.CloseIdleConnections()
			status := func(path, token string) int {
				r, err := http.NewRequest(http.MethodGet, url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if token != "" {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				answer, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				return answer.StatusCode
			}
			paths := []string{"/healthz", "/readyz", "/"}
			for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
				paths = append(paths, p.HTTPGet.Path)
			}
			for _, path := range paths {
				if is := status(path, ""); is != http.StatusOK {
					t.Errorf("%s: %d", path, is)
				}
			}
			secured := strings.HasPrefix(url, "https")
			if is := status("/metrics", ""); secured != (is == http.StatusUnauthorized) {
				t.Errorf("/metrics without a token: %d", is)
			}
			if is := status("/metrics", "read-0123456789abcdef"); is != http.StatusOK {
				t.Errorf("/metrics with a token: %d", is)
			}
		})
	}
}

// Goal: systemd understands the unit, and what it leaves open is little. Method: systemd-analyze.
func TestUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze to look at the unit")
	}
	out, _ := exec.Command(analyze, "verify", "./velo.service").CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "velo.service") && !strings.Contains(line, "is not executable") {
			t.Errorf("verify: %s", line)
		}
	}
	out, err = exec.Command(analyze, "security", "--offline=true", "--threshold=20", "./velo.service").CombinedOutput()
	if err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}

// instruction is a line of the Dockerfile.
type instruction struct{ name, rest string }

func dockerfile(t *testing.T) (all []instruction) {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line != "" && !strings.HasPrefix(line, "#") {
			name, rest, _ := strings.Cut(line, " ")
			all = append(all, instruction{name, rest})
		}
	}
	return all
}

// Goal: the image is made from a base of a fixed version, ends in a stage without a shell, runs as a
// user that is not root, copies only what earlier stages made, and its commands are in exec form.
func TestDockerfile(t *testing.T) {
	version := goVersion(t)
	stages := 0
	last := map[string]string{}
	made := ""
	for _, i := range dockerfile(t) {
		switch i.name {
		case "FROM":
			stages++
			last = map[string]string{"FROM": i.rest}
			if i.rest != "scratch" && !regexp.MustCompile(`^[a-z/]+:\d+\.\d+\.\d+-[a-z]+ AS [a-z]+$`).MatchString(
				i.rest) {
				t.Errorf("FROM %s: expected a version", i.rest)
			}
			if strings.HasPrefix(i.rest, "golang:") && !strings.HasPrefix(i.rest, "golang:"+version) {
				t.Errorf("FROM %s, and the module needs Go %s", i.rest, version)
			}
		case "RUN":
			if last["FROM"] == "scratch" {
				t.Errorf("RUN %s: there is no shell in scratch", i.rest)
			}
			made += i.rest + "\n"
		case "COPY":
			from := strings.Fields(i.rest)
			source := from[len(from)-2]
			if last["FROM"] == "scratch" && (!strings.HasPrefix(i.rest, "--from=build ") ||
				strings.HasPrefix(source, "/out") && !strings.Contains(made, source)) {
				t.Errorf("COPY %s: no stage makes it", i.rest)
			}
		case "ENTRYPOINT", "CMD", "VOLUME":
			var words []string
			if json.Unmarshal([]byte(i.rest), &words) != nil {
				t.Errorf("%s %s: expected the exec form, there is no shell", i.name, i.rest)
			}
		case "ADD":
			t.Errorf("ADD %s: expected COPY", i.rest)
		case "USER", "WORKDIR", "ENV", "LABEL", "STOPSIGNAL", "EXPOSE":
		default:
			t.Errorf("the instruction %s is not known", i.name)
		}
		last[i.name] = i.rest
	}
	if stages < 2 || last["FROM"] != "scratch" || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(last["USER"]) {
		t.Errorf("%d stages, the last is from %s with user %q", stages, last["FROM"], last["USER"])
	}
}

// goVersion is the version of Go that the root module asks for, without the patch.
func goVersion(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(text))
	return m[1]
}

// Goal: the commands of the build stage work, and make a program that needs no shared library.
// Method: they run here, with /src and /out elsewhere.
func TestDockerfileRuns(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	env := os.Environ()
	for _, i := range dockerfile(t) {
		if i.name == "ENV" {
			env = append(env, strings.Fields(i.rest)...)
		}
		if i.name != "RUN" {
			continue
		}
		run := exec.Command("sh", "-ec", strings.ReplaceAll(i.rest, "/out", out))
		run.Dir, run.Env = root, env
		if text, err := run.CombinedOutput(); err != nil {
			t.Fatalf("RUN %s: %v: %s", i.rest, err, text)
		}
	}
	said, err := exec.Command(filepath.Join(out, "velo"), "--version").Output()
	if err != nil || !strings.HasPrefix(string(said), "velo ") {
		t.Errorf("%v: %s", err, said)
	}
	if ldd, err := exec.LookPath("ldd"); err == nil {
		text, _ := exec.Command(ldd, filepath.Join(out, "velo")).CombinedOutput()
		if !strings.Contains(string(text), "not a dynamic executable") &&
			!strings.Contains(string(text), "statically linked") {
			t.Errorf("scratch has no libraries, and it needs some: %s", text)
		}
	}
}
