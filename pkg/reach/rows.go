package reach

import (
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// pairing is all that the flow between two classes depends on.
type pairing struct {
	egress, ingress int32 // what the sides allow: indexes into the distinct ones; -1 if not isolated
	from, to        familiesOf
}

// connector makes the rows between workloads.
type connector struct {
	*matrix
	// distinct is, by direction, all that sides allow, each once; numbers are, by side and index into its own list, where.
	distinct [2][]sidePorts
	numbers  [2][][]int32

	flows  []Flow // the first is empty
	known  map[string]int32
	pairs  map[pairing]int32
	joined map[[2]int32]int32
}

// connect makes the rows between workloads.
func (m *matrix) connect() (rows [][]int32, flows []Flow) {
	c := &connector{matrix: m, flows: []Flow{{}}, known: map[string]int32{}, pairs: map[pairing]int32{}, joined: map[[2]int32]int32{}}
	for d := range m.sides {
		c.number(d)
	}
	rows = make([][]int32, len(m.workloads))
	unique := rowSet{}
	row := make([]int32, len(m.workloads))
	for i, from := range m.workloads {
		for j, to := range m.workloads {
			row[j] = 0
			first := true
			for _, a := range from.classes {
				for _, b := range to.classes {
					row[j] = c.join(row[j], c.pair(a, b), first)
					first = false
				}
			}
		}
		rows[i] = unique.add(row)
		row = unique.spare(row, rows[i])
	}
	return rows, c.flows
}

// number finds what different sides allow alike.
func (c *connector) number(d int) {
	known := map[string][]int32{}
	c.numbers[d] = make([][]int32, len(c.sides[d]))
	for i := range c.sides[d] {
		allowed := c.sides[d][i].allowed
		numbers := make([]int32, len(allowed))
		for k := range allowed {
			key := allowed[k][0].Possible.String() + "|" + allowed[k][1].Possible.String()
			at := slices.IndexFunc(known[key], func(n int32) bool { return c.distinct[d][n].equal(&allowed[k]) })
			if at < 0 {
				at = len(known[key])
				known[key] = append(known[key], int32(len(c.distinct[d])))
				c.distinct[d] = append(c.distinct[d], allowed[k])
			}
			numbers[k] = known[key][at]
		}
		c.numbers[d][i] = numbers
	}
}

// pair is the index of the flow between two classes.
func (c *connector) pair(a, b int) int32 {
	k := pairing{egress: -1, ingress: -1, from: c.has[a], to: c.has[b]}
	if side := c.lines[model.Egress][a]; side >= 0 {
		at := c.sides[model.Egress][side].peers[b]
		if at == 0 {
			return 0
		}
		k.egress = c.numbers[model.Egress][side][at]
	}
	if side := c.lines[model.Ingress][b]; side >= 0 {
		at := c.sides[model.Ingress][side].peers[a]
		if at == 0 {
			return 0
		}
		k.ingress = c.numbers[model.Ingress][side][at]
	}
	at, there := c.pairs[k]
	if !there {
		at = c.intern(c.flow(&k))
		c.pairs[k] = at
	}
	return at
}

// join is the index of what flows where some pods have the one flow, and others the other.
func (c *connector) join(a, b int32, first bool) int32 {
	if first || a == b {
		return b
	}
	at, there := c.joined[[2]int32{a, b}]
	if !there {
		at = c.intern(c.flows[a].join(c.flows[b]))
		c.joined[[2]int32{a, b}] = at
	}
	return at
}

func (c *connector) intern(f Flow) int32 {
	if f.IsEmpty() {
		return 0
	}
	key := f.Ports.String() + "|" + f.Maybe.String() + "|" + f.Every.String()
	at, there := c.known[key]
	if !there {
		at = int32(len(c.flows))
		c.known[key] = at
		c.flows = append(c.flows, f)
	}
	return at
}

// flow is Between, for two sides that are known.
func (c *connector) flow(k *pairing) Flow {
	egress, ingress := sidePorts{allPorts(), allPorts()}, sidePorts{allPorts(), allPorts()}
	if k.egress >= 0 {
		egress = c.distinct[model.Egress][k.egress]
	}
	if k.ingress >= 0 {
		ingress = c.distinct[model.Ingress][k.ingress]
	}
	var out Ports
	for f := range families {
		x, y := k.from[f], k.to[f]
		ports := egress[f].intersect(ingress[f])
		if !x.Every || !y.Every {
			ports.Every = netset.Ports{}
		}
		if !x.Some || !y.Some {
			ports.Some = netset.Ports{}
		}
		if x.Possible && y.Possible {
			out = out.join(ports)
		}
	}
	return Flow{Ports: out.Some, Every: out.Every, Maybe: out.Possible.Minus(out.Some)}
}

// rowSet keeps one of equal rows.
type rowSet map[uint64][][]int32

var rowSeed = maphash.MakeSeed()

// add is the row that is equal to this one: itself, if there is none yet, and then the set keeps it.
func (s rowSet) add(row []int32) []int32 {
	var hash maphash.Hash
	hash.SetSeed(rowSeed)
	var bytes [4]byte
	for _, at := range row {
		binary.LittleEndian.PutUint32(bytes[:], uint32(at))
		_, _ = hash.Write(bytes[:])
	}
	sum := hash.Sum64()
	for _, other := range s[sum] {
		if slices.Equal(other, row) {
			return other
		}
	}
	s[sum] = append(s[sum], row)
	return row
}

// spare is a row to write the next one to: the added one, if another was kept for it.
func (s rowSet) spare(added, kept []int32) []int32 {
	if &added[0] == &kept[0] {
		return make([]int32, len(added))
	}
	return added
}
