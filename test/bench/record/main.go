// Command record writes the AdmissionReviews that test/bench replays: a real API server sends them while kubectl applies,
// applies again with a change, and deletes NetworkPolicies of 1, 10 and 50 rules. It needs what make control-plane builds.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/test/bench"
	"github.com/portcullis-dev/portcullis/test/controlplane"
)

func main() {
	dir := "test/bench/testdata"
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := record(ctx, dir); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	plane, err := controlplane.Start(ctx, controlplane.Options{})
	if err != nil {
		return err
	}
	defer plane.Stop()
	if _, err := plane.CreateNamespace(ctx, bench.SubjectNamespace, nil); err != nil {
		return err
	}
	bodies := make(chan []byte, 100)
	hook := httptest.NewTLSServer(allow(bodies))
	defer hook.Close()
	if err := register(ctx, plane, hook); err != nil {
		return err
	}
	kubectl := func(stdin []byte, args ...string) error {
		cmd := plane.Kubectl(ctx, append([]string{"--namespace", bench.SubjectNamespace}, args...)...)
		cmd.Stdin = bytes.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	// The webhook is asked some time after it is registered.
	for len(bodies) == 0 {
		probe, err := manifest("probe", 1, 0)
		if err != nil {
			return err
		}
		if err := kubectl(probe, "apply", "--dry-run=server", "-f", "-"); err != nil {
			return err
		}
	}
	<-bodies
	for _, rules := range bench.RuleCounts {
		name := fmt.Sprintf("web-%d", rules)
		for _, step := range []struct {
			operation string
			seed      int
		}{{"create", 5}, {"update", 6}} {
			m, err := manifest(name, rules, step.seed)
			if err != nil {
				return err
			}
			if err := kubectl(m, "apply", "-f", "-"); err != nil {
				return err
			}
			if err := save(ctx, dir, step.operation, rules, bodies); err != nil {
				return err
			}
		}
		if err := kubectl(nil, "delete", "networkpolicy", name); err != nil {
			return err
		}
		if err := save(ctx, dir, "delete", rules, bodies); err != nil {
			return err
		}
	}
	return nil
}

func manifest(name string, rules, seed int) ([]byte, error) {
	return json.Marshal(&networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app.kubernetes.io/part-of": "web"}},
		Spec:       bench.Spec(&metav1.LabelSelector{MatchLabels: map[string]string{"app": "app-5"}}, seed, rules, 1_000),
	})
}

// allow admits everything and passes on what was asked.
func allow(bodies chan<- []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var review admissionv1.AdmissionReview
		if err == nil {
			err = json.Unmarshal(body, &review)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		bodies <- body
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		review.Request = nil
		json.NewEncoder(w).Encode(review)
	}
}

func register(ctx context.Context, plane *controlplane.ControlPlane, hook *httptest.Server) error {
	none := admissionregistrationv1.SideEffectClassNone
	url := hook.URL
	_, err := plane.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "record"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "record.example.org", SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw}),
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"networking.k8s.io"}, APIVersions: []string{"v1"}, Resources: []string{"networkpolicies"}},
			}},
		}},
	}, metav1.CreateOptions{})
	return err
}

// save writes the next review that is about no dry run.
func save(ctx context.Context, dir, operation string, rules int, bodies <-chan []byte) error {
	for {
		select {
		case body := <-bodies:
			if bytes.Contains(body, []byte(`"dryRun":true`)) {
				continue
			}
			return os.WriteFile(filepath.Join(dir, bench.ReviewFile(operation, rules)), body, 0o644)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
