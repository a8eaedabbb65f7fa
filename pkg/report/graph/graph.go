// Package graph renders who may connect to whom: as text, JSON, CSV and for Graphviz. The same input gives the same bytes.
package graph

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/report"
)

// Graph is what is rendered.
type Graph struct {
	*reach.Connectivity
	// Potentials are what pods that do not exist yet could do; nil if nobody asked.
	Potentials []reach.Potential
}

// mostPrefixes is how many address ranges a line for people names.
const mostPrefixes = 6

// Text writes the connections for people, one line each: workloads of equal connections are one.
func (g *Graph) Text(w io.Writer) error {
	var rows [][3]string
	for _, m := range g.Merged() {
		rows = append(rows, [3]string{name(m.From, m.Addrs), name(m.To, m.Addrs), flow(&m.Flow)})
	}
	var out strings.Builder
	table(&out, rows, "→")
	if len(g.Potentials) > 0 {
		out.WriteString("\nPods that do not exist yet could, as far as this side allows it:\n")
		rows = rows[:0]
		for i := range g.Potentials {
			from, to := potential(&g.Potentials[i])
			rows = append(rows, [3]string{from, to, g.Potentials[i].Ports.String()})
		}
		table(&out, rows, "→")
	}
	if len(rows) > 0 {
		out.WriteByte('\n')
	}
	g.summary(&out)
	_, err := io.WriteString(w, out.String())
	return err
}

// potential is both ends of a connection of pods that do not exist yet.
func potential(p *reach.Potential) (from, to string) {
	own, peer := p.Pods, p.Peer
	if p.Workload != nil {
		own = p.Workload.String()
	}
	if peer == "" {
		peer = p.Addrs.Short(mostPrefixes)
	}
	if p.Direction == model.Ingress {
		return peer, own
	}
	return own, peer
}

func name(g *reach.Group, addrs netset.Addrs) string {
	if g == nil {
		return addrs.Short(mostPrefixes)
	}
	return g.String()
}

// flow is "TCP/80", with what is not certain of it.
func flow(f *reach.Flow) string {
	var parts []string
	if !f.Ports.IsEmpty() {
		text := f.Ports.String()
		if f.Partial {
			text += " (not between all pods)"
		}
		parts = append(parts, text)
	}
	if !f.Maybe.IsEmpty() {
		parts = append(parts, f.Maybe.String()+" (perhaps: it depends on pods' addresses)")
	}
	return strings.Join(parts, ", ")
}

// widest is how far columns are aligned.
const widest = 44

// table writes rows of two aligned columns and a third.
func table(out *strings.Builder, rows [][3]string, arrow string) {
	var width [2]int
	for r := range rows {
		row := &rows[r]
		for i := range row {
			row[i] = report.Printable(row[i])
		}
		for i := range width {
			if n := len([]rune(row[i])); n <= widest {
				width[i] = max(width[i], n)
			}
		}
	}
	pad := func(text string, n int) string {
		return text + strings.Repeat(" ", max(0, n-len([]rune(text))))
	}
	for _, row := range rows {
		fmt.Fprintf(out, "%s %s %s  %s\n", pad(row[0], width[0]), arrow, pad(row[1], width[1]), row[2])
	}
}

func (g *Graph) summary(out *strings.Builder) {
	n := len(g.Workloads)
	if n == 0 {
		out.WriteString("There is no workload and no pod in the input.\n")
		return
	}
	open := [2]int{}
	for _, w := range g.Workloads {
		for _, d := range model.Directions {
			if !w.Isolated[d] {
				open[d]++
			}
		}
	}
	fmt.Fprintf(out, "%s: %s isolated for ingress, %s for egress.\n", plural(n, "workload", "workloads"), share(n, n-open[model.Ingress]), share(n, n-open[model.Egress]))
}

func share(all, n int) string {
	switch {
	case n == 0:
		return "none"
	case n == all && all > 1:
		return "all"
	}
	return strconv.Itoa(n)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
