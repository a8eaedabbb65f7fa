package admission

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// Decoding costs more than judging does. So a review is decoded once, into just what is needed: the object's fields are read
// straight from the body into its spec, managed fields are kept as text until someone asks, and what nobody asks for is
// skipped. The decoder is the standard library's encoding/json/v2: names are exact, a name that is there twice is an
// error, and so is invalid UTF-8. What the API server sends is never any of these.

// request is what is needed of an admission.k8s.io/v1 AdmissionRequest. Object and OldObject are *object, *draft, or their text
// where they are not to be read.
type request[New, Old any] struct {
	UID         types.UID                   `json:"uid"`
	Resource    metav1.GroupVersionResource `json:"resource"`
	SubResource string                      `json:"subResource"`
	Name        string                      `json:"name"`
	Namespace   string                      `json:"namespace"`
	Operation   string                      `json:"operation"`
	UserInfo    authenticationv1.UserInfo   `json:"userInfo"`
	Object      New                         `json:"object"`
	OldObject   Old                         `json:"oldObject"`
	DryRun      bool                        `json:"dryRun"`

	body []byte // what was decoded
}

type envelope[New, Old any] struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Request    *request[New, Old] `json:"request"`
}

// object is what is needed of a NetworkPolicy or a Namespace.
type object struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   metadata `json:"metadata"`
	// Spec is a NetworkPolicy's; nothing of a Namespace's is needed.
	Spec   *spec `json:"spec"`
	Status struct {
		Phase corev1.NamespacePhase `json:"phase"`
	} `json:"status"`
}

type metadata struct {
	Name              string      `json:"name"`
	GenerateName      string      `json:"generateName"`
	Namespace         string      `json:"namespace"`
	CreationTimestamp time.Time   `json:"creationTimestamp"`
	DeletionTimestamp *time.Time  `json:"deletionTimestamp"`
	Finalizers        []string    `json:"finalizers"`
	Labels            labels      `json:"labels"`
	Annotations       annotations `json:"annotations"`
	OwnerReferences   []struct {
		Controller *bool `json:"controller"`
	} `json:"ownerReferences"`
	ManagedFields managedFields `json:"managedFields"`
}

// draft is an object whose spec is read only as far as it must be.
type draft struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Metadata   metadata  `json:"metadata"`
	Spec       *rawParts `json:"spec"`
}

// rawParts are the parts of a NetworkPolicySpec, most of them as they stand in the body.
type rawParts struct {
	PolicyTypes []networkingv1.PolicyType `json:"policyTypes"`
	PodSelector jsontext.Value            `json:"podSelector"`
	Ingress     jsontext.Value            `json:"ingress"`
	Egress      jsontext.Value            `json:"egress"`
}

// object is the draft as an object, whose spec holds no more than policyTypes until complete is called.
func (d *draft) object() *object {
	if d == nil {
		return nil
	}
	o := &object{APIVersion: d.APIVersion, Kind: d.Kind, Metadata: d.Metadata}
	if d.Spec != nil {
		o.Spec = &spec{PolicyTypes: d.Spec.PolicyTypes}
	}
	return o
}

// complete reads what is not read yet into the object that was made of the draft.
func (d *draft) complete(o *object) error {
	for _, part := range []struct {
		text jsontext.Value
		name string
	}{{d.Spec.PodSelector, "podSelector"}, {d.Spec.Ingress, "ingress"}, {d.Spec.Egress, "egress"}} {
		if part.text == nil {
			continue
		}
		text := slices.Concat([]byte(`{"`+part.name+`":`), part.text, []byte("}"))
		if err := json.Unmarshal(text, o.Spec); err != nil {
			return refuse("the body is not an AdmissionReview: %w", err)
		}
	}
	return nil
}

// managedFields are managed fields as they stand in the body, if there are any of server-side apply among them: see applied.
type managedFields jsontext.Value

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (m *managedFields) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	if bytes.Contains(value, []byte(`"Apply"`)) {
		*m = managedFields(value.Clone())
	}
	return err
}

// labels are labels that read themselves.
type labels map[string]string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *labels) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return readStrings(d, (*map[string]string)(l))
}

// annotations are those under portcullis.dev/, and the manifest that kubectl leaves, which is large, as it stands in the
// body. All others are skipped.
type annotations struct {
	settings    map[string]string
	lastApplied jsontext.Value
	from, to    int64 // where all of them stand in the body, with the colon before them
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (a *annotations) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	a.from = d.InputOffset()
	defer func() { a.to = d.InputOffset() }()
	return readObject(d, func(name []byte) error {
		switch {
		case string(name) == model.LastApplied:
			value, err := d.ReadValue()
			if err == nil && value.Kind() != '"' && value.Kind() != 'n' {
				err = mismatch(d, "a text")
			}
			a.lastApplied = value.Clone()
			return err
		case bytes.HasPrefix(name, []byte(model.SettingsPrefix)):
			key, value := string(name), ""
			err := readString(d, &value)
			if a.settings == nil {
				a.settings = map[string]string{}
			}
			a.settings[key] = value
			return err
		}
		return d.SkipValue()
	})
}

// all are the annotations, those included that were skipped.
func (a *annotations) all(body []byte) (map[string]string, error) {
	_, text, _ := bytes.Cut(body[a.from:a.to], []byte(":"))
	if len(text) == 0 {
		return nil, nil
	}
	var out map[string]string
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, refuse("metadata.annotations cannot be read: %w", err)
	}
	return out, nil
}

// malformed is a body that is no review: the sender's mistake.
type malformed struct{ error }

func refuse(format string, args ...any) error { return malformed{fmt.Errorf(format, args...)} }

// kind is one of the two that are judged, or any other.
type kind uint8

const (
	otherKind kind = iota
	policyKind
	namespaceKind
)

func (k kind) String() string { return [...]string{"other", "NetworkPolicy", "Namespace"}[k] }

func kindOf(resource metav1.GroupVersionResource, subResource string) kind {
	namespaces := metav1.GroupVersionResource(corev1.SchemeGroupVersion.WithResource("namespaces"))
	switch {
	case resource == namespaces && (subResource == "status" || subResource == "finalize"):
		return namespaceKind // they write labels and annotations, too
	case subResource != "":
		return otherKind
	case resource == metav1.GroupVersionResource(networkingv1.SchemeGroupVersion.WithResource("networkpolicies")):
		return policyKind
	case resource == namespaces:
		return namespaceKind
	}
	return otherKind
}

// decode reads a review for one kind of New and Old. The error is malformed.
func decode[New, Old any](body []byte) (*request[New, Old], error) {
	var e envelope[New, Old]
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, refuse("the body is not an AdmissionReview: %w", err)
	}
	switch {
	case e.Kind != "AdmissionReview" || e.APIVersion != "admission.k8s.io/v1":
		return nil, refuse("the body is %q of %q: send an AdmissionReview of admission.k8s.io/v1", clip(e.Kind), clip(e.APIVersion))
	case e.Request == nil:
		return nil, refuse("the AdmissionReview has no request")
	case e.Request.UID == "":
		return nil, refuse("the request of the AdmissionReview has no uid")
	}
	e.Request.body = body
	return e.Request, nil
}

// decodeAny is decode for reviews of any resource: what is not judged is not looked into.
func decodeAny[New, Old any](body []byte) (*request[New, Old], error) {
	r, err := decode[New, Old](body)
	if err == nil {
		return r, nil
	}
	// An object of another resource need not fit into an object of ours.
	foreign, errForeign := decode[jsontext.Value, jsontext.Value](body)
	if errForeign != nil {
		return nil, errForeign
	}
	if kindOf(foreign.Resource, foreign.SubResource) != otherKind {
		return nil, err
	}
	return &request[New, Old]{
		UID: foreign.UID, Resource: foreign.Resource, SubResource: foreign.SubResource, Name: foreign.Name,
		Namespace: foreign.Namespace, Operation: foreign.Operation, UserInfo: foreign.UserInfo, DryRun: foreign.DryRun, body: body,
	}, nil
}

// check tells whether the object is there and of the kind that the request names; an object that does not say is taken for it.
func (o *object) check(field string, want kind) error {
	if o == nil {
		return refuse("request.%s is missing", field)
	}
	version := "v1"
	if want == policyKind {
		version = "networking.k8s.io/v1"
	}
	if o.Kind != "" && o.Kind != want.String() || o.APIVersion != "" && o.APIVersion != version {
		return refuse("request.%s is %q of %q: a %s of %s was announced", field, clip(o.Kind), clip(o.APIVersion), want, version)
	}
	if want == policyKind && o.Spec == nil {
		return refuse("request.%s has no spec", field)
	}
	return nil
}

// meta is the metadata in the API's type. namespace is the request's.
func (o *object) meta(namespace string) metav1.ObjectMeta {
	m := &o.Metadata
	out := metav1.ObjectMeta{
		Name: m.Name, GenerateName: m.GenerateName, Namespace: namespace, CreationTimestamp: metav1.Time{Time: m.CreationTimestamp},
		Labels: m.Labels, Annotations: m.Annotations.settings,
	}
	if m.DeletionTimestamp != nil {
		out.DeletionTimestamp = &metav1.Time{Time: *m.DeletionTimestamp}
	}
	if len(m.OwnerReferences) > 0 {
		out.OwnerReferences = make([]metav1.OwnerReference, len(m.OwnerReferences))
		for i := range m.OwnerReferences {
			out.OwnerReferences[i].Controller = m.OwnerReferences[i].Controller
		}
	}
	return out
}

func (o *object) networkPolicy(namespace string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: o.meta(namespace), Spec: networkingv1.NetworkPolicySpec(*o.Spec)}
}

// namespaceMeta compiles the Namespace for the engine, with the object itself if the rules look at it.
func (o *object) namespaceMeta(body []byte, whole bool) (*model.NamespaceMeta, error) {
	ns := &corev1.Namespace{ObjectMeta: o.meta(""), Status: corev1.NamespaceStatus{Phase: o.Status.Phase}}
	meta := model.NewNamespaceMeta(ns)
	if !whole {
		return meta, nil
	}
	var err error
	if ns.Annotations, err = o.Metadata.Annotations.all(body); err != nil {
		return nil, err
	}
	meta.KeepObject(ns)
	return meta, nil
}
