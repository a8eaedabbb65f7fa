package model

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// compile makes the immutable view of one namespace's table.
func (t *table) compile(name string, facts *Facts) *Namespace {
	ns := &Namespace{Meta: impliedMeta(name, facts)}
	if t.meta != nil {
		ns.Meta = *t.meta
		ns.Meta.Labels = impliedLabels(t.meta.Labels, name, facts)
	}
	ns.Services = slices.SortedFunc(maps.Values(t.services), func(a, b *Service) int { return cmp.Compare(a.Name, b.Name) })
	ns.Policies = slices.SortedFunc(maps.Values(t.policies), func(a, b *Policy) int { return cmp.Compare(a.Name, b.Name) })
	ns.Classes = t.podClasses()
	ns.Workloads = t.listWorkloads()
	ns.Exposers = slices.Sorted(maps.Keys(t.exposers))
	ns.Backends = t.allowedBackends(name)
	return ns
}

func impliedMeta(name string, facts *Facts) NamespaceMeta {
	return NamespaceMeta{Name: name, Labels: impliedLabels(nil, name, facts)}
}

// impliedLabels adds the label that the API server sets on every Namespace, and, to what comes from manifests, the one that
// Portcullis will set at admission.
func impliedLabels(labels map[string]string, name string, facts *Facts) map[string]string {
	key := facts.NamespaceNameLabel
	if facts.Live {
		key = ""
	}
	if labels[metav1NamespaceName] == name && (key == "" || labels[key] == name) {
		return labels
	}
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	out[metav1NamespaceName] = name
	if key != "" {
		out[key] = name
	}
	return out
}

// podClasses are the classes of the pods, and of the templates of workloads that have no pods.
func (t *table) podClasses() []*PodClass {
	byRecord := make(map[*classRecord]*PodClass, len(t.classes))
	out := make([]*PodClass, 0, len(t.classes))
	for _, record := range t.classes {
		class := record.class
		class.Pods = make([]Pod, 0, record.pods)
		byRecord[record] = &class
		out = append(out, &class)
	}
	for name, pod := range t.pods {
		class := byRecord[pod.class]
		class.Pods = append(class.Pods, Pod{Name: name, IPs: pod.ips, Owner: pod.owner})
	}
	for _, class := range out {
		slices.SortFunc(class.Pods, func(a, b Pod) int { return cmp.Compare(a.Name, b.Name) })
	}
	out = append(out, t.templateClasses(out)...)
	slices.SortFunc(out, func(a, b *PodClass) int {
		return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a.key, b.key))
	})
	return out
}

// templateClasses leaves out the templates that some pod was made from: such a pod carries all of the template's labels and
// ports, and perhaps those of containers that were injected into it. Templates that are equal are one class.
func (t *table) templateClasses(pods []*PodClass) []*PodClass {
	if len(t.workloads) == 0 {
		return nil
	}
	byLabel := map[[2]string][]*PodClass{}
	for _, class := range pods {
		for key, value := range class.Labels {
			byLabel[[2]string{key, value}] = append(byLabel[[2]string{key, value}], class)
		}
	}
	made := func(w *workloadRecord) bool {
		candidates := pods
		for key, value := range w.class.Labels {
			if c := byLabel[[2]string{key, value}]; len(c) < len(candidates) {
				candidates = c
			}
		}
		return slices.ContainsFunc(candidates, func(c *PodClass) bool {
			return madeFrom(c, &w.class)
		})
	}
	byKey := map[string]*PodClass{}
	var out []*PodClass
	for _, name := range slices.Sorted(maps.Keys(t.workloads)) {
		w := t.workloads[name]
		if len(w.class.Labels) > 0 && made(&w) {
			continue
		}
		if same := byKey[w.key]; same != nil {
			if same.Equal == nil {
				same.Equal = []Template{{same.Template, same.Replicas}}
			}
			same.Equal = append(same.Equal, Template{name, w.replicas})
			same.Replicas += w.replicas
			continue
		}
		class := w.class
		class.key, class.Template, class.Replicas = w.key, name, w.replicas
		byKey[w.key] = &class
		out = append(out, &class)
	}
	return out
}

func madeFrom(pod, template *PodClass) bool {
	if pod.HostNetwork != template.HostNetwork {
		return false
	}
	for _, port := range template.Ports {
		if !slices.Contains(pod.Ports, port) {
			return false
		}
	}
	for key, value := range template.Labels {
		if got, there := pod.Labels[key]; !there || got != value {
			return false
		}
	}
	return true
}

// allowedBackends are the backends in this namespace, less those of routes in other namespaces that no ReferenceGrant
// allows: "Cross namespace references are not valid unless a ReferenceGrant allows them" (Gateway API).
func (t *table) allowedBackends(namespace string) []Backend {
	var out []Backend
	for _, records := range t.backends {
		for _, r := range records {
			if r.fromKind == "" || r.fromNamespace == namespace || t.granted(&r) {
				out = append(out, r.Backend)
			}
		}
	}
	slices.SortFunc(out, func(a, b Backend) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.PortName, b.PortName), cmp.Compare(a.PortNumber, b.PortNumber), cmp.Compare(a.Target, b.Target),
			cmp.Compare(a.Origin.Kind, b.Origin.Kind), cmp.Compare(a.Origin.Namespace, b.Origin.Namespace), cmp.Compare(a.Origin.Name, b.Origin.Name),
			cmp.Compare(a.Origin.Gateways, b.Origin.Gateways))
	})
	return slices.Compact(out)
}

func (t *table) granted(r *backendRecord) bool {
	for _, grants := range t.grants {
		for _, g := range grants {
			if g.fromKind == r.fromKind && g.fromNamespace == r.fromNamespace && (g.service == "" || g.service == r.Service) {
				return true
			}
		}
	}
	return false
}

// classKey is a text that two classes of one cluster share exactly if they are equal.
func classKey(c *PodClass) string {
	var b strings.Builder
	b.WriteString(c.Namespace)
	for _, key := range slices.Sorted(maps.Keys(c.Labels)) {
		b.WriteByte('\n')
		b.WriteString(key)
		b.WriteByte('=')
		b.WriteString(c.Labels[key])
	}
	for _, p := range c.Ports {
		b.WriteByte('\n')
		b.WriteByte(':')
		b.WriteString(p.Name)
		b.WriteByte(':')
		b.WriteString(p.Port.String())
		if p.HostPort != 0 {
			b.WriteByte(':')
			b.WriteString(strconv.Itoa(int(p.HostPort)))
		}
		if p.Later {
			b.WriteString(":later")
		}
	}
	if c.HostNetwork {
		b.WriteString("\n:hostNetwork")
	}
	if !c.ClusterDNS {
		b.WriteString("\n:otherDNS")
	}
	return b.String()
}
