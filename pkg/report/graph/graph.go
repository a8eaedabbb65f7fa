// Package graph renders who may connect to whom: as text, JSON, CSV and for Graphviz. The same input gives the same bytes.
package graph

import (
	"bufio"
	"fmt"
	"io"
	"strconv"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
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
	out := bufio.NewWriter(w)
	lines := table(out, "", newLines(g.Connectivity, nil).rows)
	if len(g.Potentials) > 0 {
		_ = out.WriteByte('\n')
		lines = table(out, "Pods that do not exist yet could, as far as this side allows it", func(yield func(row) bool) {
			for i := range g.Potentials {
				from, to := potential(&g.Potentials[i])
				if !yield(row{newField(from), newField(to), newField(g.Potentials[i].Ports.String())}) {
					return
				}
			}
		})
	}
	if lines > 0 {
		_ = out.WriteByte('\n')
	}
	g.summary(out)
	return out.Flush()
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

func (g *Graph) summary(out io.Writer) {
	n := len(g.Workloads)
	if n == 0 {
		_, _ = io.WriteString(out, "There is no workload and no pod in the input.\n")
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
	_, _ = fmt.Fprintf(out, "%s: %s isolated for ingress, %s for egress.\n", plural(n, "workload", "workloads"), share(n, n-open[model.Ingress]), share(n, n-open[model.Egress]))
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
