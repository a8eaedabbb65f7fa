package graph

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/report"
)

// DOT writes the graph for Graphviz: namespaces are clusters, and what holds for all of a namespace is a node of its own.
func (g *Graph) DOT(w io.Writer) error {
	out := bufio.NewWriter(w)
	_, _ = out.WriteString("digraph reach {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n")
	merged := g.Merged()
	groups := map[string][]string{} // by namespace: the nodes that are more than one workload
	outside := map[string]bool{}
	var order []string
	seen := map[string]bool{}
	note := func(end *reach.Group, id string) {
		if seen[id] {
			return
		}
		seen[id] = true
		switch {
		case end == nil:
			outside[id] = true
			order = append(order, id)
		case end.Whole && end.Namespace != "":
			groups[end.Namespace] = append(groups[end.Namespace], id)
		case end.Whole:
			order = append(order, id)
		}
	}
	for m := range merged {
		note(m.From, name(m.From, m.Addrs))
		note(m.To, name(m.To, m.Addrs))
	}
	for i := 0; i < len(g.Workloads); {
		namespace := g.Workloads[i].Namespace
		_, _ = fmt.Fprintf(out, "  subgraph %s {\n    label=%s;\n", quote("cluster_"+namespace), quote(namespace))
		for ; i < len(g.Workloads) && g.Workloads[i].Namespace == namespace; i++ {
			w := g.Workloads[i]
			_, _ = fmt.Fprintf(out, "    %s [label=%s];\n", quote(w.String()), quote(fmt.Sprintf("%s\n%s, %s", w.Name, w.Kind, plural(w.Pods, "pod", "pods"))))
		}
		for _, id := range groups[namespace] {
			_, _ = fmt.Fprintf(out, "    %s [style=\"rounded,dashed\"];\n", quote(id))
		}
		_, _ = out.WriteString("  }\n")
	}
	for _, id := range order {
		shape := "box"
		if outside[id] {
			shape = "ellipse"
		}
		_, _ = fmt.Fprintf(out, "  %s [shape=%s, style=dashed];\n", quote(id), shape)
	}
	for m := range merged {
		style := ""
		if m.Ports.IsEmpty() {
			style = ", style=dashed"
		}
		_, _ = fmt.Fprintf(out, "  %s -> %s [label=%s%s];\n", quote(name(m.From, m.Addrs)), quote(name(m.To, m.Addrs)), quote(flow(&m.Flow)), style)
	}
	_, _ = out.WriteString("}\n")
	return out.Flush()
}

// quote is a DOT string: "In quoted strings in DOT, the only escaped character is double-quote" (https://graphviz.org/doc/info/lang.html);
// in labels, \n is a line break, so that a backslash is doubled.
func quote(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = report.Printable(lines[i])
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.Join(lines, "\n")) + `"`
}
