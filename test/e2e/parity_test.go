package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/admission"
	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// said is one finding, as far as both the command line and the webhook tell it.
type said struct{ rule, path, message string }

// TestTheCommandLineAndTheWebhookFindTheSameInEveryFixture has `portcullis check` judge each fixture, and the webhook each of its
// policies and Namespaces as one that is created where all the rest is there already. What the webhook tells is a denial's causes, or warnings;
// so each fixture is judged as it is configured, and again with nothing denied.
func TestTheCommandLineAndTheWebhookFindTheSameInEveryFixture(t *testing.T) {
	t.Parallel()
	fixtures, err := filepath.Glob(filepath.Join(shared.root, "pkg", "rules", "testdata", "*", "*", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, fixtures)
	objects, findings := 0, 0
	for _, path := range fixtures {
		name, err := filepath.Rel(filepath.Join(shared.root, "pkg", "rules", "testdata"), path)
		require.NoError(t, err)
		for _, mode := range []string{"", "audit"} {
			t.Run(strings.TrimSpace(name+" "+mode), func(t *testing.T) {
				f := loadFixture(t, path, mode)
				for _, w := range f.written(t) {
					inReport, inReview := f.checked(w), f.reviewed(t, w)
					assert.ElementsMatch(t, inReport, completed(inReview, inReport), "%s", w.subject())
					objects++
					findings += len(inReport)
				}
			})
		}
	}
	assert.Greater(t, findings, len(fixtures)/4, "the test is worth something")
	t.Logf("%d fixtures, %d objects judged, %d findings told by both", len(fixtures), objects, findings)
}

type fixture struct {
	text   []byte
	config *config.Config
	input  *manifest.Result
	report report.Report
}

// loadFixture reads a fixture, whose first lines may be its configuration, and has the command line check it.
func loadFixture(t *testing.T, path, mode string) *fixture {
	t.Helper()
	f := &fixture{}
	var err error
	f.text, err = os.ReadFile(path)
	require.NoError(t, err)
	var header strings.Builder
	for line := range strings.Lines(string(f.text)) {
		rest, is := strings.CutPrefix(line, "## ")
		if !is {
			break
		}
		if rest != "(offline)\n" { // as all fixtures are read here
			header.WriteString(rest)
		}
	}
	settings := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(header.String()), &settings))
	if mode != "" {
		settings["mode"] = mode
	}
	text, err := yaml.Marshal(settings)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "guard.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))

	f.config, err = config.LoadFile(file, rules.Catalogue())
	require.NoError(t, err)
	f.input, err = manifest.Load(t.Context(), []string{path}, nil)
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), shared.binary, "check", path, "--config", file, "-o", "json")
	out, err := command.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	require.NoError(t, json.Unmarshal(out, &f.report), "%s", out)
	return f
}

// written is an object as its author wrote it, and as the API server reads it.
type written struct {
	manifest []byte // JSON
	policy   *networkingv1.NetworkPolicy
	space    *corev1.Namespace // if it is no policy
}

func (w *written) subject() finding.Subject {
	if w.policy != nil {
		return finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: w.policy.Namespace, Name: w.policy.Name}
	}
	return finding.Subject{Kind: finding.KindNamespace, Name: w.space.Name}
}

// written are the policies and Namespaces of the fixture.
func (f *fixture) written(t *testing.T) []*written {
	t.Helper()
	var out []*written
	var add func(document []byte)
	add = func(document []byte) {
		var header struct {
			Kind  string            `json:"kind"`
			Items []json.RawMessage `json:"items"`
		}
		require.NoError(t, json.Unmarshal(document, &header))
		for _, item := range header.Items {
			add(item)
		}
		w := &written{manifest: document}
		switch header.Kind {
		case "NetworkPolicy":
			require.NoError(t, json.Unmarshal(document, &w.policy))
			if w.policy.Namespace == "" {
				w.policy.Namespace = metav1.NamespaceDefault
			}
			defaulted(w.policy)
		case "Namespace":
			require.NoError(t, json.Unmarshal(document, &w.space))
		default:
			return
		}
		out = append(out, w)
	}
	for _, document := range regexp.MustCompile(`(?m)^---.*$`).Split(string(f.text), -1) {
		text, err := yaml.YAMLToJSON([]byte(document))
		require.NoError(t, err)
		if string(text) != "null" {
			add(text)
		}
	}
	return out
}

// defaulted fills in what the API server does before any webhook.
func defaulted(np *networkingv1.NetworkPolicy) {
	if len(np.Spec.PolicyTypes) == 0 {
		np.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(np.Spec.Egress) > 0 {
			np.Spec.PolicyTypes = append(np.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	var ports [][]networkingv1.NetworkPolicyPort
	for i := range np.Spec.Ingress {
		ports = append(ports, np.Spec.Ingress[i].Ports)
	}
	for i := range np.Spec.Egress {
		ports = append(ports, np.Spec.Egress[i].Ports)
	}
	for _, list := range ports {
		for i := range list {
			if list[i].Protocol == nil {
				list[i].Protocol = ptr.To(corev1.ProtocolTCP)
			}
		}
	}
}

// checked is what the command line finds in the object, of what is told at admission, too.
func (f *fixture) checked(w *written) []said {
	var mine []report.Finding
	for _, found := range f.report.Findings {
		// Some rules are about what stands, and not about the writing of it.
		if found.Subject == w.subject() && found.Rule != "namespace-not-isolated" {
			mine = append(mine, found)
		}
	}
	denied := slices.ContainsFunc(mine, func(f report.Finding) bool { return f.Action == "deny" })
	var out []said
	for i := range mine {
		f := &mine[i]
		// There are no warnings beside a denial.
		if f.Action == "deny" || !denied && (f.Action == "warn" || f.Action == "provisional") {
			out = append(out, said{f.Rule, f.Path, message(f)})
		}
	}
	return out
}

// message is the finding in the words of a denial's cause.
func message(f *report.Finding) string {
	decided := verdict.Decided{Finding: finding.Finding{Rule: f.Rule, Path: f.Path, Message: f.Message, Fix: f.Fix}}
	if f.Witness != nil {
		decided.Witness = finding.Witness(*f.Witness)
	}
	_, text, _ := strings.Cut(decided.Line(), ": ")
	return withoutReference(text)
}

// withoutReference is the text without the command that explains the rule.
func withoutReference(text string) string {
	text, _, _ = strings.Cut(text, " See: portcullis rules ")
	return text
}

// completed are the findings told, with the messages that were cut short in full.
func completed(told, all []said) []said {
	out := slices.Clone(told)
	for i := range out {
		begin, cut := strings.CutSuffix(out[i].message, "…")
		for _, full := range all {
			if cut && full.rule == out[i].rule && full.path == out[i].path && strings.HasPrefix(full.message, begin) {
				out[i].message = full.message
			}
		}
	}
	return out
}

var warning = regexp.MustCompile(`^portcullis: (?:would be denied: |provisional: )?([a-z-]+)(?: at (\S+))?: (.*)$`)

// ofChanges are the rules that find something of a change alone, and nothing of an object as it stands, which is what the command line
// judges.
var ofChanges = map[string]bool{"namespace-label-grants": true}

// reviewed is what the webhook tells of the object, as kubectl apply creates it.
func (f *fixture) reviewed(t *testing.T, w *written) []said {
	t.Helper()
	response := f.review(t, w)
	var out []said
	if !response.Allowed {
		for _, cause := range response.Result.Details.Causes {
			out = append(out, said{string(cause.Type), cause.Field, cause.Message})
		}
		return out
	}
	for _, text := range response.Warnings {
		parts := warning.FindStringSubmatch(text)
		require.NotNil(t, parts, text)
		if rules.Catalogue().Find(parts[1]) != nil && !ofChanges[parts[1]] {
			out = append(out, said{parts[1], parts[2], withoutReference(parts[3])})
		}
	}
	return out
}

// without is the state of the fixture without the object.
func (f *fixture) without(t *testing.T, w *written) *model.Snapshot {
	t.Helper()
	// Where manifests do not tell which DNS a cluster has, policies that allow OpenShift's do, the one that is judged among them; a
	// cluster tells by itself.
	facts := f.config.Facts
	facts.DNS = f.input.Store.Snapshot(facts).Facts().DNS
	subject := w.subject()
	require.NoError(t, f.input.Store.Delete(subject.Kind, subject.Namespace, subject.Name))
	snapshot := f.input.Store.Snapshot(facts)
	for _, p := range f.input.Policies {
		f.input.Store.SetPolicy(p)
	}
	for _, ns := range f.input.Namespaces {
		f.input.Store.SetNamespace(ns)
	}
	return snapshot
}

// request is the API server's question about creating the object.
func (w *written) request(t *testing.T) *admissionv1.AdmissionRequest {
	t.Helper()
	request := &admissionv1.AdmissionRequest{UID: "1", Operation: admissionv1.Create, Name: w.subject().Name}
	var object metav1.Object
	if w.policy != nil {
		np := w.policy.DeepCopy()
		np.APIVersion, np.Kind = "networking.k8s.io/v1", "NetworkPolicy"
		request.Resource = metav1.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}
		request.Namespace, object = np.Namespace, np
	} else {
		ns := w.space.DeepCopy()
		ns.APIVersion, ns.Kind = "v1", "Namespace"
		request.Resource = metav1.GroupVersionResource{Version: "v1", Resource: "namespaces"}
		request.Namespace, object = ns.Name, ns
	}
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	if _, exported := annotations[model.LastApplied]; !exported {
		annotations[model.LastApplied] = string(w.manifest)
	}
	object.SetAnnotations(annotations)
	raw, err := json.Marshal(object)
	require.NoError(t, err)
	request.Object = runtime.RawExtension{Raw: raw}
	return request
}

func (f *fixture) review(t *testing.T, w *written) *admissionv1.AdmissionResponse {
	t.Helper()
	snapshot := f.without(t, w)
	handler := admission.New(admission.Options{
		State:  func() (*model.Snapshot, bool) { return snapshot, true },
		Config: func() *config.Config { return f.config },
		Authorize: func(context.Context, authenticationv1.UserInfo, string, string) (bool, error) {
			return true, nil // the command line knows no user, and honours every exemption
		},
	})
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: w.request(t),
	})
	require.NoError(t, err)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, admission.ValidatePath, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	require.Equal(t, http.StatusOK, answer.Code, answer.Body)
	var review admissionv1.AdmissionReview
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &review))
	return review.Response
}
