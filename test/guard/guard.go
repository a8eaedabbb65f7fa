// Package guard runs the real portcullis program for tests and for the demo: built from this repository, on free ports of the
// loopback address, registered with an API server.
package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portcullis-dev/portcullis/test/controlplane/process"
)

// Build builds the program of the repository at root, as bin/portcullis, and returns its path. What the build says goes to out.
func Build(ctx context.Context, root string, out io.Writer) (string, error) {
	return build(ctx, root, "portcullis", out)
}

// BuildStatic builds it as the image has it, as bin/portcullis-static: it needs nothing of the system that it runs on.
func BuildStatic(ctx context.Context, root string, out io.Writer) (string, error) {
	return build(ctx, root, "portcullis-static", out, "CGO_ENABLED=0")
}

func build(ctx context.Context, root, name string, out io.Writer, env ...string) (string, error) {
	path := filepath.Join(root, "bin", name)
	command := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/portcullis")
	command.Dir, command.Stdout, command.Stderr, command.Env = root, out, out, append(os.Environ(), env...)
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("building portcullis: %w", err)
	}
	return path, nil
}

// Options say how to run `portcullis serve`.
type Options struct {
	Binary string
	Args   []string // beside those of the addresses
	Log    string   // file of what it logs
	// Addresses are those of an earlier Guard, to take its place; free ones if it is empty.
	Addresses Addresses
}

// Addresses are those on which a Guard answers.
type Addresses struct{ Webhook, Health, Metrics string }

// Guard is a running `portcullis serve`.
type Guard struct {
	Addresses
	process *process.Process
}

// Start starts it, and does not wait. It ends at the latest when this process does.
func Start(o Options) (*Guard, error) {
	if o.Addresses == (Addresses{}) {
		var err error
		if o.Addresses, err = FreeAddresses(); err != nil {
			return nil, err
		}
	}
	args := append([]string{
		"serve", "--bind-address=" + o.Addresses.Webhook, "--health-bind-address=" + o.Addresses.Health,
		"--metrics-bind-address=" + o.Addresses.Metrics, "--metrics-secure=false",
	}, o.Args...)
	p, err := process.Start(process.Spec{Path: o.Binary, Args: args, Log: o.Log})
	if err != nil {
		return nil, err
	}
	return &Guard{Addresses: o.Addresses, process: p}, nil
}

// FreeAddresses are three free ports, below those that Linux gives to connections.
func FreeAddresses() (Addresses, error) {
	const first, count, tries = 10000, 10000, 100
	var found []string
	for range tries {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(count)))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }()
		if found = append(found, address); len(found) == 3 {
			return Addresses{Webhook: found[0], Health: found[1], Metrics: found[2]}, nil
		}
	}
	return Addresses{}, errors.New("no three free ports on 127.0.0.1")
}

// poll is the time between two looks.
const poll = 20 * time.Millisecond

// await asks until the answer is nil. The error has what was answered last, and the end of the log.
func (g *Guard) await(ctx context.Context, what string, ask func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		select {
		case <-g.process.Done():
			return false, fmt.Errorf("it ended: %w", g.process.Err())
		default:
		}
		last = ask(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("portcullis %s: %w: %w; the end of its log:\n%s", what, err, last, g.process.LogTail(15))
	}
	return nil
}

// AwaitReady waits until reviews are answered.
func (g *Guard) AwaitReady(ctx context.Context) error {
	return g.await(ctx, "is not ready", func(ctx context.Context) error {
		_, err := get(ctx, "http://"+g.Health+"/readyz")
		return err
	})
}

// AwaitAsked waits until the API server asks both webhooks: it takes a while to notice their registration. It asks by writes
// that are dry runs.
func (g *Guard) AwaitAsked(ctx context.Context, cluster *rest.Config) error {
	quiet := rest.CopyConfig(cluster)
	quiet.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(quiet)
	if err != nil {
		return err
	}
	before, err := g.Metrics(ctx)
	if err != nil {
		return err
	}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	return g.await(ctx, "is not asked by the API server", func(ctx context.Context) error {
		// Whether they are refused is of no interest here.
		_, errPolicy := client.NetworkingV1().NetworkPolicies(metav1.NamespaceDefault).Create(ctx,
			&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{GenerateName: "is-portcullis-asked-"}}, dryRun)
		_, errNamespace := client.CoreV1().Namespaces().Create(ctx,
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "is-portcullis-asked"}}, dryRun)
		now, err := g.Metrics(ctx)
		if err != nil {
			return err
		}
		for webhook, resource := range map[string]string{"validate": "networkpolicies", "mutate": "namespaces"} {
			series := fmt.Sprintf(`portcullis_admission_reviews_total{decision="*",dry_run="true",operation="CREATE",resource=%q,webhook=%q}`, resource, webhook)
			if now.Sum(series) <= before.Sum(series) {
				return fmt.Errorf("no review for %s of %s (%w)", webhook, resource, errors.Join(errPolicy, errNamespace))
			}
		}
		return nil
	})
}

// Metrics is what /metrics answers.
type Metrics string

// Metrics reads /metrics.
func (g *Guard) Metrics(ctx context.Context) (Metrics, error) {
	text, err := get(ctx, "http://"+g.Addresses.Metrics+"/metrics")
	return Metrics(text), err
}

// Sum is the sum of the series, written as /metrics writes them, with the labels in the order of their names; the value * of a
// label stands for any. It is 0 if there is none.
func (m Metrics) Sum(series string) float64 {
	total := 0.0
	for line := range strings.Lines(string(m)) {
		name, value, found := strings.Cut(strings.TrimSpace(line), "} ")
		if found && matches(name+"}", series) {
			n, _ := strconv.ParseFloat(value, 64)
			total += n
		}
	}
	return total
}

func matches(name, series string) bool {
	for {
		literal, rest, star := strings.Cut(series, `"*"`)
		if !star {
			return name == literal
		}
		after, found := strings.CutPrefix(name, literal+`"`)
		if !found {
			return false
		}
		_, after, found = strings.Cut(after, `"`)
		if !found {
			return false
		}
		name, series = after, rest
	}
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s answers %s: %s", url, response.Status, body)
	}
	return string(body), err
}

// Stop has it end as it does in a cluster, with open reviews answered and the webhooks removed, and waits for that.
func (g *Guard) Stop() { g.process.Stop(20 * time.Second) }

// Kill ends it at once. What it has registered stays.
func (g *Guard) Kill() {
	_ = syscall.Kill(g.process.PID(), syscall.SIGKILL)
	<-g.process.Done()
}

// Terminate asks it to end, and does not wait.
func (g *Guard) Terminate() { _ = syscall.Kill(g.process.PID(), syscall.SIGTERM) }

// Done is closed once it has ended.
func (g *Guard) Done() <-chan struct{} { return g.process.Done() }

// Err is how it ended: nil while it runs, and after an exit with code 0.
func (g *Guard) Err() error { return g.process.Err() }

// Root is the repository's root: the nearest folder above with a go.mod.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside the repository", start)
		}
	}
}
