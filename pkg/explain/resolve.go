package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

const (
	kindPod     = "Pod"
	kindService = "Service"
	kindAddress = "Address"
	kindNode    = "Node"
)

// internet is the word for any address of the internet, and internetAddr the one that stands for it.
const (
	internet     = "internet"
	internetAddr = "8.8.8.8"
)

// end is an End and what it stands for.
type end struct {
	End
	// ends are classes, single pods or an address.
	ends    []reach.Endpoint
	service *model.Service
}

func (e *end) outside() bool { return len(e.ends) == 1 && e.ends[0].Outside() }

// kindNamed is the kind of a name as kubectl takes it: singular, plural or short, perhaps with the API group.
func kindNamed(word string) string {
	word, _, _ = strings.Cut(strings.ToLower(word), ".")
	switch word {
	case "pod", "pods", "po":
		return kindPod
	case "service", "services", "svc":
		return kindService
	case "deployment", "deployments", "deploy":
		return "Deployment"
	case "statefulset", "statefulsets", "sts":
		return "StatefulSet"
	case "daemonset", "daemonsets", "ds":
		return "DaemonSet"
	case "replicaset", "replicasets", "rs":
		return "ReplicaSet"
	case "replicationcontroller", "replicationcontrollers", "rc":
		return "ReplicationController"
	case "job", "jobs":
		return "Job"
	case "cronjob", "cronjobs", "cj":
		return "CronJob"
	}
	return ""
}

// shortKind is the word by which messages name the kind.
func shortKind(kind string) string {
	switch kind {
	case kindService:
		return "svc"
	case "Deployment":
		return "deploy"
	case "StatefulSet":
		return "sts"
	case "DaemonSet":
		return "ds"
	case "ReplicaSet":
		return "rs"
	case "ReplicationController":
		return "rc"
	}
	return strings.ToLower(kind)
}

// resolver finds what names stand for.
type resolver struct {
	world     *model.Snapshot
	namespace string // of names that tell none
	notes     []string
}

func (r *resolver) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

// forms is what a name may look like.
const forms = "write NAMESPACE/NAME, KIND/NAME as in deploy/web or svc/db, NAMESPACE/KIND/NAME, an address, or internet"

// resolve finds what the text of --from or --to stands for; flag is its name, for messages.
func (r *resolver) resolve(flag, text string) (*end, error) {
	switch {
	case text == "":
		return nil, fmt.Errorf("%s is empty: %s", flag, forms)
	case text == internet:
		r.note("%s stands for %s here, an address of the internet.", internet, internetAddr)
		return r.address(netip.MustParseAddr(internetAddr)), nil
	}
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")); err == nil {
		if addr.Zone() != "" {
			return nil, fmt.Errorf("%s %s: an address with a zone is of one node only, and no NetworkPolicy knows it", flag, text)
		}
		return r.address(addr.Unmap()), nil
	}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return nil, fmt.Errorf("%s %s is a range: name one address of it, as in %s", flag, text, prefix.Addr())
	}
	if at, err := netip.ParseAddrPort(text); err == nil {
		return nil, fmt.Errorf("%s %s: write the address alone, %s, and the port as --port %d", flag, text, at.Addr(), at.Port())
	}
	parts := strings.Split(text, "/")
	if slices.Contains(parts, "") || len(parts) > 3 {
		return nil, fmt.Errorf("%s %q is no name: %s", flag, text, forms)
	}
	namespace, kind, name := r.namespace, "", parts[len(parts)-1]
	switch len(parts) {
	case 2:
		if kind = kindNamed(parts[0]); kind == "" {
			namespace = parts[0]
		}
	case 3:
		namespace = parts[0]
		if kind = kindNamed(parts[1]); kind == "" {
			return nil, fmt.Errorf("%s %s: %q is no kind that has pods: use pod, deploy, sts, ds, job, cronjob, rs, rc or svc", flag, text, parts[1])
		}
	}
	found, err := r.find(namespace, kind, name)
	if err != nil && len(parts) == 1 && strings.Trim(text, "0123456789.:[]") == "" {
		return nil, fmt.Errorf("%s %s is no IP address, nor the name of anything here", flag, text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, text, err)
	}
	return found, nil
}

// find looks the name up. Without a kind, a Service is what is meant only if there is nothing else of the name.
func (r *resolver) find(namespace, kind, name string) (*end, error) {
	ns := r.world.Namespace(namespace)
	if ns == nil {
		return nil, r.noNamespace(namespace, kind, name)
	}
	found := findIn(ns, name)
	if kind == "" && len(found) > 1 {
		found = slices.DeleteFunc(found, func(e *end) bool { return e.Kind == kindService })
	}
	if kind != "" {
		found = slices.DeleteFunc(found, func(e *end) bool { return e.Kind != kind })
	}
	switch len(found) {
	case 0:
		return nil, r.notFound(ns, kind, name)
	case 1:
		return found[0], r.usable(found[0])
	}
	var names []string
	for _, e := range found {
		names = append(names, namespace+"/"+shortKind(e.Kind)+"/"+name)
	}
	return nil, fmt.Errorf("several are named so: write %s", strings.Join(names, " or "))
}

// findIn is everything of the name in the namespace.
func findIn(ns *model.Namespace, name string) []*end {
	var out []*end
	at := ns.Meta.Name
	for _, c := range ns.Classes {
		for i := range c.Pods {
			if c.Pods[i].Name == name {
				out = append(out, &end{End: End{kindPod, at, name}, ends: []reach.Endpoint{{Class: c, Pod: &c.Pods[i]}}})
			}
		}
	}
	for i := range ns.Workloads {
		if w := &ns.Workloads[i]; w.Name == name {
			out = append(out, &end{End: End{w.Kind, at, name}, ends: endsOf(ns.PodsOf(w))})
		}
	}
	for _, svc := range ns.Services {
		if svc.Name == name {
			out = append(out, serviceEnd(ns, svc))
		}
	}
	return out
}

func endsOf(classes []*model.PodClass) []reach.Endpoint {
	out := make([]reach.Endpoint, len(classes))
	for i, c := range classes {
		out[i].Class = c
	}
	return out
}

func serviceEnd(ns *model.Namespace, svc *model.Service) *end {
	e := &end{End: End{kindService, svc.Namespace, svc.Name}, service: svc}
	for _, c := range ns.Classes {
		if svc.Selects(c.Labels) {
			e.ends = append(e.ends, reach.Endpoint{Class: c})
		}
	}
	return e
}

// usable says what is wrong with an end that stands for no pods.
func (r *resolver) usable(e *end) error {
	switch {
	case len(e.ends) > 0:
		return nil
	case e.service == nil:
		return fmt.Errorf("%s has no pods", e)
	case len(e.service.Selector) == 0:
		return fmt.Errorf("%s has no selector, so where it leads is not known here: name the address that it forwards to", e)
	}
	return fmt.Errorf("%s selects no pods: none in namespace %s has %s", e, e.Namespace, model.FormatLabels(e.service.Selector))
}

// address is what an address is of: a pod, a Service, a node, or nothing in the cluster.
func (r *resolver) address(addr netip.Addr) *end {
	facts := r.world.Facts()
	var onHost *end
	for ns := range r.world.Namespaces() {
		for _, c := range ns.Classes {
			for i := range c.Pods {
				if !slices.Contains(c.Pods[i].IPs, addr) {
					continue
				}
				e := &end{End: End{kindPod, c.Namespace, c.Pods[i].Name}, ends: []reach.Endpoint{{Class: c, Pod: &c.Pods[i], Family: familyOf(addr)}}}
				if !c.HostNetwork {
					r.note("%s is the address of %s.", addr, e)
					return e
				}
				onHost = e
			}
		}
	}
	if onHost != nil || facts.Nodes.Contains(addr) {
		r.note("%s is the address of a node: it stands for what runs on the host's network there. The pods of that node itself always let it in.", addr)
		host := &model.PodClass{HostNetwork: true, Pods: []model.Pod{{Name: addr.String(), IPs: []netip.Addr{addr}}}}
		return &end{End: End{Kind: kindNode, Name: addr.String()}, ends: []reach.Endpoint{{Class: host, Pod: &host.Pods[0]}}}
	}
	for ns := range r.world.Namespaces() {
		for _, svc := range ns.Services {
			if !svc.ClusterIPs.Contains(addr) {
				continue
			}
			if e := serviceEnd(ns, svc); r.usable(e) == nil {
				r.note("%s is the address of %s. Policies see the pods behind it and never this address with most CNIs, so the pods are what is explained.", addr, e)
				return e
			}
		}
	}
	switch {
	case facts.ServiceCIDRs.Contains(addr):
		r.note("%s is within the cluster's range for Services, but no Service here has it: it is taken as an address outside of the cluster.", addr)
	case facts.PodCIDRs.Contains(addr):
		r.note("%s is within the cluster's range for pods, but no pod here has it: it is taken as an address outside of the cluster.", addr)
	}
	return &end{End: End{Kind: kindAddress, Name: addr.String()}, ends: []reach.Endpoint{{Addr: addr}}}
}

// familyOf is the one address family that is asked about where an address is named.
func familyOf(addr netip.Addr) netset.Family {
	if addr.Is4() {
		return netset.IPv4
	}
	return netset.IPv6
}

func (r *resolver) noNamespace(namespace, kind, name string) error {
	var all []string
	for ns := range r.world.Namespaces() {
		all = append(all, ns.Meta.Name)
	}
	if elsewhere := r.elsewhere(kind, name); elsewhere != "" {
		return fmt.Errorf("there is no namespace %s, but %s", namespace, elsewhere)
	}
	if near, ok := model.Nearest(namespace, all); ok {
		return fmt.Errorf("there is no namespace %s: did you mean %s?", namespace, near)
	}
	if len(all) == 0 {
		return fmt.Errorf("there is no namespace %s, nor any other: give the manifests of its workloads, too", namespace)
	}
	if len(all) == 1 {
		return fmt.Errorf("there is no namespace %s; there is %s", namespace, all[0])
	}
	return fmt.Errorf("there is no namespace %s; there are %s", namespace, few(all))
}

func (r *resolver) notFound(ns *model.Namespace, kind, name string) error {
	what := name
	if kind != "" {
		what = kind + " " + name
	}
	lacks := fmt.Sprintf("namespace %s has no %s", ns.Meta.Name, what)
	if kind == "" {
		lacks = fmt.Sprintf("namespace %s has no pod, workload or Service named %s", ns.Meta.Name, name)
	}
	if others := findIn(ns, name); len(others) > 0 {
		return fmt.Errorf("%s, but %s: write %s", lacks, others[0], others[0].text())
	}
	if elsewhere := r.elsewhere(kind, name); elsewhere != "" {
		return fmt.Errorf("%s, but %s", lacks, elsewhere)
	}
	var names, texts []string
	for _, e := range allOf(ns) {
		names, texts = append(names, e.Name), append(texts, e.text())
	}
	if near, ok := model.Nearest(name, names); ok {
		return fmt.Errorf("%s: did you mean %s?", lacks, texts[slices.Index(names, near)])
	}
	if len(texts) == 0 {
		return fmt.Errorf("%s: it has no pods at all", lacks)
	}
	return fmt.Errorf("%s; it has %s", lacks, few(texts))
}

// text is the end as it can be asked for.
func (e *end) text() string {
	if e.Kind == kindPod {
		return e.Namespace + "/" + e.Name
	}
	return e.Namespace + "/" + shortKind(e.Kind) + "/" + e.Name
}

// elsewhere is where else there is something of the name; "" if nowhere.
func (r *resolver) elsewhere(kind, name string) string {
	var texts []string
	for ns := range r.world.Namespaces() {
		for _, e := range findIn(ns, name) {
			if kind == "" || e.Kind == kind {
				texts = append(texts, e.text())
			}
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return "there is " + few(texts)
}

// allOf is everything in the namespace that can be named: workloads, Services, and the pods.
func allOf(ns *model.Namespace) []*end {
	var out []*end
	for i := range ns.Workloads {
		out = append(out, &end{End: End{ns.Workloads[i].Kind, ns.Meta.Name, ns.Workloads[i].Name}})
	}
	for _, svc := range ns.Services {
		out = append(out, &end{End: End{kindService, svc.Namespace, svc.Name}})
	}
	for _, c := range ns.Classes {
		for i := range c.Pods {
			out = append(out, &end{End: End{kindPod, ns.Meta.Name, c.Pods[i].Name}})
		}
	}
	return out
}

// few is a list for a sentence: the first of many.
func few(items []string) string {
	const most = 8
	if len(items) <= most {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
}
