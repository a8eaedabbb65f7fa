package model

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// originKinds are the kinds that forward to a Service from outside of the cluster's pods, and what a Backend's Origin calls
// them.
var originKinds = map[string]string{
	"Ingress":   "ingress",
	"HTTPRoute": "route", "GRPCRoute": "route", "TLSRoute": "route", "TCPRoute": "route", "UDPRoute": "route",
	openshiftRoute:                   "route",
	"ValidatingWebhookConfiguration": "webhook", "MutatingWebhookConfiguration": "webhook",
	"APIService": "apiservice", "CustomResourceDefinition": "crd",
}

const webhookPort = 443 // "If specified, the port on the service that hosting webhook. Default to 443 for backward compatibility."

// Apply stores an object of any kind that matters; others are passed over, and known is false. The kinds outside of
// k8s.io/api (Gateway API, OpenShift's Route, APIService, CustomResourceDefinition) are given as *unstructured.Unstructured.
func (s *Store) Apply(obj runtime.Object) (known bool, err error) {
	switch o := obj.(type) {
	case *corev1.Namespace:
		meta := NewNamespaceMeta(o)
		if s.objects {
			meta.KeepObject(o)
		}
		s.SetNamespace(meta)
	case *corev1.Pod:
		s.SetPod(o)
	case *corev1.Service:
		s.SetService(o)
	case *corev1.Node:
		s.SetNode(o)
	case *networkingv1.NetworkPolicy:
		p := CompilePolicy(o, AuthoredBy(o))
		if s.objects {
			p.KeepObject(o)
		}
		s.SetPolicy(p)
	case *networkingv1.Ingress:
		s.setIngress(o)
	case *networkingv1.ServiceCIDR:
		s.setServiceCIDR(o)
	case *admissionv1.ValidatingWebhookConfiguration:
		var configs []admissionv1.WebhookClientConfig
		for i := range o.Webhooks {
			configs = append(configs, o.Webhooks[i].ClientConfig)
		}
		s.setWebhooks("ValidatingWebhookConfiguration", o, configs)
	case *admissionv1.MutatingWebhookConfiguration:
		var configs []admissionv1.WebhookClientConfig
		for i := range o.Webhooks {
			configs = append(configs, o.Webhooks[i].ClientConfig)
		}
		s.setWebhooks("MutatingWebhookConfiguration", o, configs)
	case *unstructured.Unstructured:
		return s.applyUnstructured(o)
	default:
		return s.applyWorkload(obj), nil
	}
	return true, nil
}

func (s *Store) expose(kind string, o metav1.Object, backends map[string][]backendRecord) {
	namespace, origin := o.GetNamespace(), originKinds[kind]
	if origin == "ingress" || origin == "route" {
		namespace = namespaceOf(o)
	}
	from := keyOfOrigin(kind, origin, namespace, o.GetName())
	if o.GetDeletionTimestamp() != nil {
		backends = nil
	}
	s.setBackends(kind, from, backends)
}

// keyOfOrigin tells apart routes, and webhook configurations, of one name and different kinds.
func keyOfOrigin(kind, origin, namespace, name string) originKey {
	return originKey{origin, namespace, kind + "/" + name}
}

func (s *Store) setIngress(ing *networkingv1.Ingress) {
	namespace := namespaceOf(ing)
	records, internal := []backendRecord{}, isInternalIngress(ing)
	add := func(b *networkingv1.IngressBackend) {
		if b != nil && b.Service != nil && !internal {
			records = append(records, backendRecord{Backend: Backend{
				Origin:  Origin{Kind: "ingress", Namespace: namespace, Name: ing.Name},
				Service: b.Service.Name, PortName: b.Service.Port.Name, PortNumber: portNumber(b.Service.Port.Number),
			}})
		}
	}
	add(ing.Spec.DefaultBackend)
	for _, rule := range ing.Spec.Rules {
		if rule.HTTP != nil {
			for i := range rule.HTTP.Paths {
				add(&rule.HTTP.Paths[i].Backend)
			}
		}
	}
	s.expose("Ingress", ing, map[string][]backendRecord{namespace: records})
	t := s.space(namespace)
	if ing.DeletionTimestamp == nil {
		t.exposers["ingress/"+ing.Name] = true
	} else {
		delete(t.exposers, "ingress/"+ing.Name)
	}
}

func (s *Store) setServiceCIDR(c *networkingv1.ServiceCIDR) {
	out := netset.Addrs{}
	for _, cidr := range c.Spec.CIDRs {
		if prefix, err := netip.ParsePrefix(cidr); err == nil {
			out = out.Union(netset.AddrsOf(prefix))
		}
	}
	put(s, "ServiceCIDR", s.cidrs, c.Name, out, c.DeletionTimestamp == nil)
	s.ranges = nil
}

func (s *Store) setWebhooks(kind string, o metav1.Object, configs []admissionv1.WebhookClientConfig) {
	backends := map[string][]backendRecord{}
	for _, c := range configs {
		if c.Service != nil {
			addCallback(backends, Origin{Kind: "webhook", Name: o.GetName()}, serviceRef{c.Service.Namespace, c.Service.Name, c.Service.Port})
		}
	}
	s.expose(kind, o, backends)
}

type serviceRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Port      *int32 `json:"port"`
}

func addCallback(backends map[string][]backendRecord, origin Origin, ref serviceRef) {
	port := uint16(webhookPort)
	if ref.Port != nil {
		port = portNumber(*ref.Port)
	}
	backends[ref.Namespace] = append(backends[ref.Namespace], backendRecord{Backend: Backend{Origin: origin, Service: ref.Name, PortNumber: port}})
}

// foreign is what is read of the kinds that are not in k8s.io/api.
type foreign struct {
	Spec struct {
		// APIService
		Service *serviceRef `json:"service"`
		// CustomResourceDefinition
		Conversion struct {
			Webhook struct {
				ClientConfig struct {
					Service *serviceRef `json:"service"`
				} `json:"clientConfig"`
			} `json:"webhook"`
		} `json:"conversion"`
		// routes
		ParentRefs []struct {
			Group     *string `json:"group"`
			Kind      *string `json:"kind"`
			Namespace *string `json:"namespace"`
			Name      string  `json:"name"`
		} `json:"parentRefs"`
		Rules []struct {
			Filters     []routeFilter `json:"filters"`
			BackendRefs []struct {
				backendRef
				Filters []routeFilter `json:"filters"`
			} `json:"backendRefs"`
		} `json:"rules"`
		// ReferenceGrant
		From []struct {
			Kind      string `json:"kind"`
			Namespace string `json:"namespace"`
		} `json:"from"`
		To []struct {
			Group string  `json:"group"`
			Kind  string  `json:"kind"`
			Name  *string `json:"name"`
		} `json:"to"`
	} `json:"spec"`
}

type backendRef struct {
	Group     *string `json:"group"`
	Kind      *string `json:"kind"`
	Namespace *string `json:"namespace"`
	Name      string  `json:"name"`
	Port      *int32  `json:"port"`
}

// routeFilter is a filter that sends a copy of each request to one more backend
// (https://gateway-api.sigs.k8s.io/guides/http-request-mirroring/); the other filters name none.
type routeFilter struct {
	RequestMirror *struct {
		BackendRef backendRef `json:"backendRef"`
	} `json:"requestMirror"`
}

func (s *Store) applyUnstructured(o *unstructured.Unstructured) (bool, error) {
	kind := o.GetKind()
	_, isOrigin := originKinds[kind]
	if !isOrigin && kind != "ReferenceGrant" && kind != "Gateway" || kind == "Ingress" {
		return false, nil
	}
	if kind == "Gateway" {
		put(s, kind, s.space(namespaceOf(o)).exposers, "gateway/"+o.GetName(), true, o.GetDeletionTimestamp() == nil)
		return true, nil
	}
	if kind == openshiftRoute {
		return true, s.setRoute(o)
	}
	var f foreign
	text, err := json.Marshal(o.Object)
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		return true, fmt.Errorf("%s %s/%s cannot be read: %w", kind, o.GetNamespace(), o.GetName(), err)
	}
	switch kind {
	case "APIService", "CustomResourceDefinition":
		backends := map[string][]backendRecord{}
		for _, ref := range []*serviceRef{f.Spec.Service, f.Spec.Conversion.Webhook.ClientConfig.Service} {
			if ref != nil {
				addCallback(backends, Origin{Kind: originKinds[kind], Name: o.GetName()}, *ref)
			}
		}
		s.expose(kind, o, backends)
	case "ReferenceGrant":
		put(s, kind, s.space(namespaceOf(o)).grants, o.GetName(), f.grants(), o.GetDeletionTimestamp() == nil)
	default:
		s.expose(kind, o, f.routes(kind, o))
	}
	return true, nil
}

func (f *foreign) grants() []grant {
	var out []grant
	for _, from := range f.Spec.From {
		for _, to := range f.Spec.To {
			if to.Group == "" && to.Kind == "Service" {
				g := grant{fromKind: from.Kind, fromNamespace: from.Namespace}
				if to.Name != nil {
					g.service = *to.Name
				}
				out = append(out, g)
			}
		}
	}
	return out
}

// routes are the backends of a route. One whose parents are all Services is of a mesh, for traffic between pods, and gives
// none (https://gateway-api.sigs.k8s.io/mesh/gamma/).
func (f *foreign) routes(kind string, o metav1.Object) map[string][]backendRecord {
	own := namespaceOf(o)
	var gateways []string
	services := 0
	for _, p := range f.Spec.ParentRefs {
		switch {
		case or(p.Kind, "Gateway") == "Gateway":
			gateways = append(gateways, or(p.Namespace, own)+"/"+p.Name)
		case *p.Kind == "Service" && or(p.Group, "") == "":
			services++
		}
	}
	if services > 0 && services == len(f.Spec.ParentRefs) {
		return map[string][]backendRecord{}
	}
	slices.Sort(gateways)
	origin := Origin{Kind: "route", Namespace: own, Name: o.GetName(), Gateways: strings.Join(gateways, ",")}
	out := map[string][]backendRecord{}
	add := func(ref *backendRef) {
		if or(ref.Group, "") != "" || or(ref.Kind, "Service") != "Service" {
			return
		}
		namespace := or(ref.Namespace, own)
		record := backendRecord{Backend: Backend{Origin: origin, Service: ref.Name}, fromKind: kind, fromNamespace: own}
		if ref.Port != nil {
			record.PortNumber = portNumber(*ref.Port)
		}
		out[namespace] = append(out[namespace], record)
	}
	mirrored := func(filters []routeFilter) {
		for i := range filters {
			if mirror := filters[i].RequestMirror; mirror != nil {
				add(&mirror.BackendRef)
			}
		}
	}
	for i := range f.Spec.Rules {
		rule := &f.Spec.Rules[i]
		for j := range rule.BackendRefs {
			add(&rule.BackendRefs[j].backendRef)
			mirrored(rule.BackendRefs[j].Filters)
		}
		mirrored(rule.Filters)
	}
	return out
}

func or(s *string, otherwise string) string {
	if s == nil {
		return otherwise
	}
	return *s
}
