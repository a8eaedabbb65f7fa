package graph

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/report"
)

// Kind is that of the JSON document; its version is report.APIVersion.
const Kind = "Reach"

// Workload is one workload in JSON.
type Workload struct {
	Namespace string   `json:"namespace"`
	Kind      string   `json:"kind"`
	Name      string   `json:"name"`
	Pods      int      `json:"pods"`
	Isolated  Isolated `json:"isolated"`
	// HostNetwork pods are outside of NetworkPolicies on most CNIs.
	HostNetwork bool `json:"hostNetwork,omitempty"`
}

// Isolated is in which directions policies isolate all pods.
type Isolated struct {
	Ingress bool `json:"ingress"`
	Egress  bool `json:"egress"`
}

// End is one end of a connection: a workload, addresses outside of the cluster, or pods that do not exist yet.
type End struct {
	Namespace string `json:"namespace,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Name      string `json:"name,omitempty"`
	// CIDRs are the fewest prefixes of the addresses.
	CIDRs []string `json:"cidrs,omitempty"`
	// Pods are pods that do not exist yet, in words.
	Pods string `json:"pods,omitempty"`
}

// Connection is what may flow between two ends.
type Connection struct {
	From End `json:"from"`
	To   End `json:"to"`
	// Ports are ports and ranges ("TCP/80", "UDP/1000-2000"); every port of every protocol is "all".
	Ports []string `json:"ports"`
	// Partial is whether not every pod of the one may connect to every pod of the other.
	Partial bool `json:"partial,omitempty"`
	// Maybe are further ports, for which it depends on addresses of pods that are not known.
	Maybe []string `json:"maybe,omitempty"`
}

// JSONWorkload is the workload as JSON has it.
func JSONWorkload(w *reach.Workload) Workload {
	return Workload{
		Namespace: w.Namespace, Kind: w.Kind, Name: w.Name, Pods: w.Pods, HostNetwork: w.HostNetwork,
		Isolated: Isolated{Ingress: w.Isolated[model.Ingress], Egress: w.Isolated[model.Egress]},
	}
}

// JSONConnection is the edge as JSON has it.
func JSONConnection(e *reach.Edge) Connection {
	return Connection{From: end(e.From, e.Addrs), To: end(e.To, e.Addrs), Ports: Ports(e.Ports), Partial: e.Partial(), Maybe: Ports(e.Maybe)}
}

func end(w *reach.Workload, addrs netset.Addrs) End {
	if w != nil {
		return End{Namespace: w.Namespace, Kind: w.Kind, Name: w.Name}
	}
	prefixes := addrs.Prefixes()
	out := End{CIDRs: make([]string, len(prefixes))}
	for i, p := range prefixes {
		out.CIDRs[i] = p.String()
	}
	return out
}

// Ports are ports as JSON has them.
func Ports(ports netset.Ports) []string {
	out := []string{}
	if ports.Equal(netset.AllPorts()) {
		return []string{"all"}
	}
	for r := range ports.Ranges() {
		text := fmt.Sprintf("%s/%d", r.Protocol, r.First)
		if r.Last != r.First {
			text += fmt.Sprintf("-%d", r.Last)
		}
		out = append(out, text)
	}
	return out
}

// JSON writes every workload and every connection, one a line. They may be many, and are written one by one.
func (g *Graph) JSON(w io.Writer, problems []report.Problem) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "{\n  \"apiVersion\": %q,\n  \"kind\": %q,\n", report.APIVersion, Kind)
	l := lister{out: out}
	l.begin("workloads")
	for _, w := range g.Workloads {
		l.item(JSONWorkload(w))
	}
	l.end()
	l.begin("connections")
	for e := range g.Edges() {
		l.item(JSONConnection(&e))
	}
	l.end()
	if g.Potentials != nil {
		l.begin("potential")
		for i := range g.Potentials {
			l.item(jsonPotential(&g.Potentials[i]))
		}
		l.end()
	}
	l.begin("problems")
	for _, p := range problems {
		l.item(p)
	}
	l.last()
	_, _ = out.WriteString("}\n")
	if l.err != nil {
		return l.err
	}
	return out.Flush()
}

func jsonPotential(p *reach.Potential) Connection {
	own, peer := End{Pods: p.Pods}, End{Pods: p.Peer}
	if p.Workload != nil {
		own = end(p.Workload, netset.Addrs{})
	}
	if p.Peer == "" {
		peer = end(nil, p.Addrs)
	}
	c := Connection{From: own, To: peer, Ports: Ports(p.Ports)}
	if p.Direction == model.Ingress {
		c.From, c.To = peer, own
	}
	return c
}

// lister writes fields whose values are lists.
type lister struct {
	out   *bufio.Writer
	items int
	err   error
}

func (l *lister) begin(field string) {
	l.items = 0
	fmt.Fprintf(l.out, "  %q: [", field)
}

func (l *lister) item(value any) {
	text, err := json.Marshal(value)
	if err != nil && l.err == nil {
		l.err = err
	}
	if l.items > 0 {
		_ = l.out.WriteByte(',')
	}
	l.items++
	_, _ = l.out.WriteString("\n    ")
	_, _ = l.out.Write(text)
}

func (l *lister) close(after string) {
	if l.items > 0 {
		_, _ = l.out.WriteString("\n  ")
	}
	_, _ = l.out.WriteString("]" + after + "\n")
}

func (l *lister) end()  { l.close(",") }
func (l *lister) last() { l.close("") }

// CSV writes every connection: from, to, ports, and "every", "some" or "maybe" for between which pods.
func (g *Graph) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	write := func(record ...string) {
		for i := range record {
			record[i] = csvText(record[i])
		}
		_ = out.Write(record) // the writer keeps its first error
	}
	write("from", "to", "ports", "pods")
	for e := range g.Edges() {
		from, to := csvEnd(e.From, e.Addrs), csvEnd(e.To, e.Addrs)
		for _, part := range []struct {
			ports netset.Ports
			pods  string
		}{{e.Every, "every"}, {e.Ports.Minus(e.Every), "some"}, {e.Maybe, "maybe"}} {
			if !part.ports.IsEmpty() {
				write(from, to, strings.Join(Ports(part.ports), " "), part.pods)
			}
		}
	}
	for i := range g.Potentials {
		p := &g.Potentials[i]
		from, to := potential(p)
		write(from, to, strings.Join(Ports(p.Ports), " "), "potential")
	}
	out.Flush()
	return out.Error()
}

// csvText is text that neither steers a terminal nor is a formula where a spreadsheet opens the file
// (https://owasp.org/www-community/attacks/CSV_Injection). No name that an API server accepts is changed by it.
func csvText(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		s = "'" + s
	}
	return report.Printable(s)
}

func csvEnd(w *reach.Workload, addrs netset.Addrs) string {
	if w != nil {
		return w.Namespace + "/" + w.Kind + "/" + w.Name
	}
	return strings.Join(end(nil, addrs).CIDRs, " ")
}
