package oracle_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/explain"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// explained is what an explanation said, counted.
type explained struct{ allowed, changed, patched, created, unchanged int }

// What explain says is the oracle's verdict; the change it tells allows the connection by the oracle, closes nothing, and
// opens exactly what it says.
func TestExplanationsAgreeWithOracle(t *testing.T) {
	const clusters = 200
	setChecks(t, clusters)
	var x explained
	rapid.Check(t, func(t *rapid.T) {
		c := gen.Cluster(t)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		facts := model.Facts{CNI: "calico"}
		if c.Cilium {
			facts.CNI = model.CNICilium
		}
		world := snapshot(c, facts, atOnce)
		for _, conn := range gen.Connections(c, random, 6) {
			x.one(t, c, world, conn)
		}
	})
	t.Logf("%+v", x)
	for name, n := range map[string]int{"allowed": x.allowed, "patched": x.patched, "created": x.created} {
		assert.Greater(t, n, clusters/4, "explanations with %s", name)
	}
	assert.Greater(t, x.changed, x.unchanged*4, "blocked connections with a change")
}

func (x *explained) one(t *rapid.T, c *oracle.Cluster, world *model.Snapshot, conn gen.Connection) {
	q := explain.Question{From: asked(conn.From), To: asked(conn.To), Port: conn.Port.String()}
	answer, err := explain.Explain(world, q)
	if err != nil {
		t.Fatalf("%s: %v\n%s", conn, err, gen.YAML(c))
	}
	want := overAnyFamily(c, conn)
	if answer.Verdict == explain.Allowed != want || len(answer.Cases) != 1 {
		t.Fatalf("%s: explained as %s in %d cases, oracle %v\n%s", conn, answer.Verdict, len(answer.Cases), want, gen.YAML(c))
	}
	checkRules(t, c, conn, answer)
	switch {
	case want:
		x.allowed++
		return
	case answer.Change == nil:
		x.unchanged++
		if !unhelpable(c, conn) {
			t.Fatalf("%s: no change: %s\n%s", conn, answer.NoChange, gen.YAML(c))
		}
		return
	}
	x.changed++
	after := *c
	after.Policies = slices.Clone(c.Policies)
	for _, s := range answer.Change.Steps {
		if s.Policy != nil {
			x.created++
			after.Policies = append(after.Policies, *s.Policy)
			continue
		}
		x.patched++
		i := slices.IndexFunc(after.Policies, func(p networkingv1.NetworkPolicy) bool { return p.Namespace == s.Namespace && p.Name == s.Name })
		now, err := mutate.Apply(&after.Policies[i], s.Patch)
		require.NoError(t, err)
		after.Policies[i] = *now
	}
	if !overAnyFamily(&after, conn) {
		t.Fatalf("%s: the change does not allow it: %+v\n%s", conn, answer.Change.Steps, gen.YAML(c))
	}
	checkOpened(t, c, &after, conn, answer.Change)
}

// asked is the end as a question names it.
func asked(e oracle.Endpoint) string {
	if e.Pod == nil {
		return e.IP.String()
	}
	return e.Pod.Namespace + "/pod/" + e.Pod.Name
}

// unhelpable says whether no policy can allow the connection: the ends share no address family, or one is on the host's
// network where Cilium finds it by no policy.
func unhelpable(c *oracle.Cluster, conn gen.Connection) bool {
	if conn.From.Pod == nil || conn.To.Pod == nil {
		return false
	}
	common := false
	for _, a := range gen.EndpointsOf(conn.From.Pod) {
		for _, b := range gen.EndpointsOf(conn.To.Pod) {
			common = common || a.IP.Is4() == b.IP.Is4()
		}
	}
	return !common || c.Cilium && (conn.From.Pod.Spec.HostNetwork || conn.To.Pod.Spec.HostNetwork)
}

// checkRules compares the verdict of each side with those of its policies and rules: it is allowed by no policy, or by one,
// by one of its rules, and never by a rule of a policy that blocks.
func checkRules(t *rapid.T, c *oracle.Cluster, conn gen.Connection, answer *explain.Explanation) {
	for _, side := range []*explain.Side{answer.Cases[0].Egress, answer.Cases[0].Ingress} {
		if side == nil {
			continue
		}
		allowed := len(side.Policies) == 0
		for _, p := range side.Policies {
			byRule := slices.ContainsFunc(p.Rules, func(r explain.Rule) bool { return r.Verdict == explain.Allowed })
			if byRule != (p.Verdict == explain.Allowed) {
				t.Fatalf("%s: %s/%s is said to be %s\n%s", conn, p.Namespace, p.Name, p.Verdict, gen.YAML(c))
			}
			allowed = allowed || byRule
			for _, r := range p.Rules {
				if len(r.Reasons) == 0 {
					t.Fatalf("%s: %s of %s/%s is %s for no reason\n%s", conn, r.Path, p.Namespace, p.Name, r.Verdict, gen.YAML(c))
				}
			}
		}
		if allowed != (side.Verdict == explain.Allowed) {
			t.Fatalf("%s: a side is %s, and its policies say otherwise\n%s", conn, side.Verdict, gen.YAML(c))
		}
	}
}

// checkOpened compares what a change says that it opens with every connection there is, before and after it.
func checkOpened(t *rapid.T, c, after *oracle.Cluster, asked gen.Connection, change *explain.Change) {
	for _, conn := range append(gen.AllConnections(c), asked) {
		if samePod(conn.From.Pod, conn.To.Pod) {
			continue
		}
		was, is := overAnyFamily(c, conn), overAnyFamily(after, conn)
		if said := saidToOpen(change, conn); was && !is || !was && is != said {
			t.Fatalf("asked for %s\n%s: before %v, after %v, said to open: %v\n%+v\n%s", asked, conn, was, is, said, change, gen.YAML(c))
		}
	}
}

func saidToOpen(change *explain.Change, conn gen.Connection) bool {
	port := portOf(conn.Port)
	return slices.ContainsFunc(change.Opens, func(o explain.Opened) bool {
		switch {
		case conn.From.Pod == nil:
			return slices.Contains(o.To, podName(conn.To.Pod)) && o.Conns.Contains(conn.From.IP, port)
		case conn.To.Pod == nil:
			return slices.Contains(o.From, podName(conn.From.Pod)) && o.Conns.Contains(conn.To.IP, port)
		}
		return slices.Contains(o.From, podName(conn.From.Pod)) && slices.Contains(o.To, podName(conn.To.Pod)) && o.PortSet.Contains(port)
	})
}

func podName(pod *corev1.Pod) string { return fmt.Sprintf("%s/%s", pod.Namespace, pod.Name) }
