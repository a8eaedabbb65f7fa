package model_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// cache is a DaemonSet of one container.
func cache(meta, labels, pod, args string) string {
	return `{apiVersion: apps/v1, kind: DaemonSet, metadata: {` + meta + `}, spec: {template: {metadata: {labels: {` + labels + `}}, spec: {` + pod +
		`, containers: [{name: node-cache, args: [` + args + `]}]}}}}`
}

func TestNodeLocalDNSCacheAnswersAtTheAddressesOfItsDaemonSet(t *testing.T) {
	const (
		named = "namespace: kube-system, name: node-local-dns"
		host  = "hostNetwork: true"
	)
	for name, c := range map[string]struct{ object, want string }{
		"its own address, and the DNS Service's": {cache(named, "", host, `-localip, "169.254.20.10,10.96.0.10"`), "10.96.0.10/32, 169.254.20.10/32"},
		"blanks, and an IPv6 address":            {cache(named, "", host, `"--localip=fd00::10, 169.254.25.10"`), "169.254.25.10/32, fd00::10/128"},
		"known by the label of its pods":         {cache("namespace: kube-system, name: nodelocaldns", "k8s-app: node-local-dns", host, `-localip, 169.254.25.10`), "169.254.25.10/32"},
		"known by its own label":                 {cache("namespace: kube-system, name: dns, labels: {k8s-app: node-local-dns}", "", host, `-localip, 169.254.25.10`), "169.254.25.10/32"},
		"not filled in yet":                      {cache(named, "", host, `-localip, "__PILLAR__LOCAL__DNS__,__PILLAR__DNS__SERVER__"`), "169.254.20.10/32"},
		"without an argument":                    {cache(named, "", host, `-conf, /etc/Corefile`), "169.254.20.10/32"},
		"the flag is the last word":              {cache(named, "", host, `-localip`), "169.254.20.10/32"},
		"in another namespace":                   {cache("namespace: shop, name: node-local-dns", "", host, `-localip, 169.254.20.10`), ""},
		"another DaemonSet":                      {cache("namespace: kube-system, name: agent", "", host, `-localip, 169.254.20.10`), ""},
		"pods with addresses of their own":       {cache(named, "", "hostNetwork: false", `-localip, 169.254.20.10`), ""},
		"going":                                  {cache(named+`, deletionTimestamp: "2026-01-01T00:00:00Z"`, "", host, `-localip, 169.254.20.10`), ""},
	} {
		facts := snapshot(t, model.Facts{}, c.object).Facts()
		got := ""
		for _, server := range facts.DNS[1:] {
			assert.True(t, server.OnNode, name)
			assert.Nil(t, server.PodSelector, name)
			assert.Equal(t, []uint16{53}, server.Ports, name)
			got = server.Addrs.String()
		}
		assert.Equal(t, c.want, got, name)
		assert.Equal(t, "kube-system", facts.DNS[0].Namespace, name+": the DNS pods come first")
	}
}

func TestAConfiguredDNSIsNotJoinedByTheOneThatIsFound(t *testing.T) {
	configured := []model.DNSServer{model.NewDNSServer("dns", map[string]string{"app": "dns"}, 53)}
	facts := snapshot(t, model.Facts{DNS: configured}, cache("namespace: kube-system, name: node-local-dns", "", "hostNetwork: true", "-localip, 169.254.20.10")).Facts()
	assert.Equal(t, configured, facts.DNS)
}

func TestNodeLocalDNSCacheGoesWithItsDaemonSet(t *testing.T) {
	store := model.NewStore()
	apply(t, store, cache("namespace: kube-system, name: node-local-dns", "", "hostNetwork: true", "-localip, 169.254.20.10"))
	require.Len(t, store.Snapshot(model.Facts{}).Facts().DNS, 2)
	require.NoError(t, store.Delete("Deployment", "kube-system", "node-local-dns"))
	require.Len(t, store.Snapshot(model.Facts{}).Facts().DNS, 2, "a Deployment of the same name is another object")
	require.NoError(t, store.Delete("DaemonSet", "kube-system", "node-local-dns"))
	require.Len(t, store.Snapshot(model.Facts{}).Facts().DNS, 1)
}
