package isolate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	netv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	networkingv1 "k8s.io/client-go/kubernetes/typed/networking/v1"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/isolate"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

// cluster is an API server for NetworkPolicies as far as a Keeper asks it, and a keeper.
type cluster struct {
	t       *testing.T
	stored  map[string]*netv1.NetworkPolicy
	version int
	refused string // a policy that may not be written
	before  func() // called before anything is deleted
	done    []string
	round   int
	tries   int // to write something that is refused
	log     bytes.Buffer
	keeper  isolate.Keeper
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, stored: map[string]*netv1.NetworkPolicy{}, before: func() {}}
	c.keeper = isolate.Keeper{Client: c, Log: slog.New(slog.NewTextHandler(&c.log, nil))}
	return c
}

func (c *cluster) NetworkPolicies(namespace string) networkingv1.NetworkPolicyInterface {
	return policies{cluster: c, namespace: namespace}
}

type policies struct {
	networkingv1.NetworkPolicyInterface
	*cluster
	namespace string
}

var resource = schema.GroupResource{Group: "networking.k8s.io", Resource: "networkpolicies"}

// put stores a policy that the manager has written. One that is there keeps its UID.
func (c *cluster) put(np *netv1.NetworkPolicy, manager string) {
	c.version++
	key := np.Namespace + "/" + np.Name
	np.ResourceVersion, np.UID = strconv.Itoa(c.version), types.UID("uid-"+strconv.Itoa(c.version))
	np.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: manager, Operation: metav1.ManagedFieldsOperationApply}}
	if old := c.stored[key]; old != nil {
		np.UID = old.UID
	}
	c.stored[key] = np
}

// putText stores a policy that a user has written.
func (c *cluster) putText(text string) {
	result, err := manifest.Load(c.t.Context(), []string{manifest.Stdin}, strings.NewReader(text))
	require.NoError(c.t, err)
	for _, p := range result.Policies {
		np := &netv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, Labels: p.Labels}}
		np.Spec.PolicyTypes = []netv1.PolicyType{netv1.PolicyTypeIngress}
		c.put(np, "kubectl")
	}
}

func (p policies) Patch(_ context.Context, name string, _ types.PatchType, data []byte, o metav1.PatchOptions, _ ...string) (*netv1.NetworkPolicy, error) {
	key := p.namespace + "/" + name
	if key == p.refused {
		p.tries++
		return nil, apierrors.NewForbidden(resource, name, nil)
	}
	np := &netv1.NetworkPolicy{}
	require.NoError(p.t, json.Unmarshal(data, np))
	require.True(p.t, *o.Force)
	p.put(np, o.FieldManager)
	p.done = append(p.done, "write "+key)
	return np, nil
}

func (p policies) Get(_ context.Context, name string, _ metav1.GetOptions) (*netv1.NetworkPolicy, error) {
	if np := p.stored[p.namespace+"/"+name]; np != nil {
		return np.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(resource, name)
}

// Delete has the API's sentences for preconditions: "If ... not fulfilled, a 409 Conflict status will be returned."
func (p policies) Delete(_ context.Context, name string, o metav1.DeleteOptions) error {
	p.before()
	key := p.namespace + "/" + name
	np := p.stored[key]
	switch {
	case key == p.refused:
		return apierrors.NewForbidden(resource, name, nil)
	case np == nil:
		return apierrors.NewNotFound(resource, name)
	case o.Preconditions != nil && (o.Preconditions.UID != nil && *o.Preconditions.UID != np.UID ||
		o.Preconditions.ResourceVersion != nil && *o.Preconditions.ResourceVersion != np.ResourceVersion):
		return apierrors.NewConflict(resource, name, fmt.Errorf("a precondition failed"))
	}
	delete(p.stored, key)
	p.done = append(p.done, "remove "+key)
	return nil
}

// snapshot is the namespaces with the policies that are stored now.
func (c *cluster) snapshot(namespaces string, guard *config.Config) *model.Snapshot {
	result, err := manifest.Load(c.t.Context(), []string{manifest.Stdin}, strings.NewReader(namespaces))
	require.NoError(c.t, err)
	for _, np := range c.stored {
		result.Store.SetPolicy(model.CompilePolicy(np, model.Authored{}))
	}
	return result.Store.Snapshot(guard.Facts)
}

func (c *cluster) guard(configuration string) *config.Config {
	guard, err := config.Load([]byte(configuration), "guard.yaml", rules.Catalogue())
	require.NoError(c.t, err)
	return guard
}

// keep has the keeper look at the cluster after a full pass, and yields what it has done.
func (c *cluster) keep(namespaces string) []string {
	c.done = nil
	c.round++
	guard := c.guard("")
	c.keeper.Keep(c.t.Context(), c.snapshot(namespaces, guard), guard, c.round)
	return c.done
}

func TestIfSomethingCannotBeDoneThenNoPodIsCutOffFromDNS(t *testing.T) {
	const dns, deny = "a/portcullis-allow-dns", "a/portcullis-default-deny"
	c := newCluster(t)
	c.refused = dns
	assert.Equal(t, []string{"write b/portcullis-allow-dns", "write b/portcullis-default-deny"}, c.keep(namespace("a", "all")+namespace("b", "all")),
		"egress is not isolated before the way to DNS is open, and other namespaces are not held up")
	c.refused = ""
	assert.Equal(t, []string{"write " + dns, "write " + deny}, c.keep(namespace("a", "all")+namespace("b", "all")))

	c.refused = deny
	assert.Empty(t, c.keep(namespace("a", "ingress")+namespace("b", "all")), "the way to DNS stays while egress is isolated")
	assert.Empty(t, c.keep(namespace("a", "")+namespace("b", "all")), "also if the default deny cannot be removed")
	c.refused = ""
	assert.Equal(t, []string{"remove " + deny, "remove " + dns}, c.keep(namespace("a", "")+namespace("b", "all")))
}

func TestWhatIsRefusedIsTriedAgainWhenSomethingIsAnother(t *testing.T) {
	c := newCluster(t)
	c.refused = "a/portcullis-default-deny"
	guard, result := c.guard(""), namespace("a", "ingress")
	before, after := c.snapshot(result, guard), c.snapshot(result, guard)
	tried := func(s *model.Snapshot, guard *config.Config, round int) bool {
		c.tries = 0
		c.keeper.Keep(t.Context(), s, guard, round)
		return c.tries > 0
	}
	assert.True(t, tried(before, guard, 1))
	assert.False(t, tried(before, guard, 1), "nothing is another")
	assert.True(t, tried(after, guard, 1), "the namespace is another")
	assert.False(t, tried(after, guard, 1))
	assert.True(t, tried(after, guard, 2), "it is another full pass")
	assert.False(t, tried(after, guard, 2))
	assert.True(t, tried(after, c.guard(""), 2), "the configuration is another")
}

func TestOnlyWhatPortcullisHasWrittenIsRemoved(t *testing.T) {
	const key = "shop/portcullis-default-deny"
	for name, s := range map[string]struct {
		between func(*cluster) // what happens between the look and the deletion
		want    []string
	}{
		"if nothing happens, then it is removed": {func(*cluster) {}, []string{"remove " + key}},
		"if somebody edits it meanwhile, then it stays for the next look": {
			func(c *cluster) { c.put(c.stored[key].DeepCopy(), "kubectl") }, nil},
		"if somebody puts another policy in its place meanwhile, then that stays": {
			func(c *cluster) { delete(c.stored, key); c.putText(deny("shop", "", right)) }, nil},
		"if it is gone, then that is well": {func(c *cluster) { delete(c.stored, key) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			require.NotEmpty(t, c.keep(namespace("shop", "ingress")))
			c.before = func() { s.between(c) }
			assert.Equal(t, s.want, c.keep(namespace("shop", "")))
			assert.NotContains(t, c.log.String(), "ERROR")
		})
	}
}

func TestIfTheWatchHasNotToldOfAnotherPolicyInItsPlaceThenThatStays(t *testing.T) {
	c := newCluster(t)
	c.keep(namespace("shop", "ingress"))
	guard := c.guard("")
	behind := c.snapshot(namespace("shop", ""), guard)
	own := c.stored["shop/portcullis-default-deny"].DeepCopy()
	delete(c.stored, "shop/portcullis-default-deny")
	c.put(own, isolate.FieldManager) // with everything that is to prove whose it is, but another UID
	c.done = nil
	c.keeper.Keep(t.Context(), behind, guard, 2)
	assert.Empty(t, c.done)
}

func TestACopyOfADefaultDenyStaysWhereNobodyAsksForIt(t *testing.T) {
	c := newCluster(t)
	c.putText(deny("shop", ours, right))
	assert.Empty(t, c.keep(namespace("shop", "")))
	assert.Empty(t, c.keep(namespace("shop", "")))
	assert.Equal(t, 1, strings.Count(c.log.String(), "the policy stays, as Portcullis has not written it"), c.log.String())
}

func TestWhoeverMayWritePoliciesDoesNotGetRidOfADefaultDeny(t *testing.T) {
	const key = "shop/portcullis-default-deny"
	for name, attack := range map[string]func(*cluster){
		"deleting it":              func(c *cluster) { delete(c.stored, key) },
		"opening it":               func(c *cluster) { c.stored[key].Spec.Ingress = []netv1.NetworkPolicyIngressRule{{}} },
		"taking its label off":     func(c *cluster) { c.stored[key].Labels = nil },
		"putting another label on": func(c *cluster) { c.stored[key].Labels[model.LabelManagedBy] = "me" },
		"putting one in its place": func(c *cluster) { delete(c.stored, key); c.putText(deny("shop", "", right)) },
		"opening it while it is deleted and a finalizer holds it": func(c *cluster) {
			c.stored[key].DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
			c.stored[key].Spec.Ingress = []netv1.NetworkPolicyIngressRule{{}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.keep(namespace("shop", "ingress"))
			attack(c)
			assert.Equal(t, []string{"write " + key}, c.keep(namespace("shop", "ingress")))
			assert.Equal(t, model.ManagedByPortcullis, c.stored[key].Labels[model.LabelManagedBy])
			assert.Empty(t, c.stored[key].Spec.Ingress)
			assert.Empty(t, c.keep(namespace("shop", "ingress")), "and then there is nothing more to do")
		})
	}
}

func TestTheLogSaysExactlyWhatIsDone(t *testing.T) {
	c := newCluster(t)
	said := func(want string) {
		t.Helper()
		assert.Equal(t, 1, strings.Count(c.log.String(), "\n"), c.log.String())
		assert.Contains(t, c.log.String(), want)
		assert.Contains(t, c.log.String(), "namespace=shop policy=portcullis-default-deny")
		c.log.Reset()
	}
	asked, not := namespace("shop", "ingress"), namespace("shop", "")
	c.keep(asked)
	said(`level=INFO msg="the policy is written, as the namespace is to be isolated"`)
	c.stored["shop/portcullis-default-deny"].Spec.PolicyTypes = []netv1.PolicyType{netv1.PolicyTypeEgress}
	c.keep(asked)
	said(`level=INFO msg="the policy is written again, as it was not what the namespace is to have"`)
	c.stored["shop/portcullis-default-deny"].Labels = nil
	c.keep(asked)
	said(`level=WARN msg="the policy is overwritten, as it was not marked as Portcullis's own: give policies of your own another name"`)
	c.refused = "shop/portcullis-default-deny"
	c.keep(not)
	said(`level=ERROR msg="the policy cannot be removed"`)
	c.refused = ""
	c.keep(not)
	said(`level=INFO msg="the policy is removed, as nothing asks for it any more"`)
	c.refused = "shop/portcullis-default-deny"
	c.keep(asked)
	said(`level=ERROR msg="the policy cannot be written"`)
}

func TestInAuditModeItIsOnlySaidWhatWouldBeDone(t *testing.T) {
	c := newCluster(t)
	guard := c.guard("mode: audit")
	c.putText(deny("b", ours, right))
	for range 2 {
		c.keeper.Keep(t.Context(), c.snapshot(namespace("a", "ingress")+namespace("b", ""), guard), guard, 1)
	}
	assert.Empty(t, c.done)
	assert.Equal(t, 2, strings.Count(c.log.String(), "\n"), c.log.String())
	assert.Contains(t, c.log.String(), `msg="the policy would be written, but for mode: audit" namespace=a policy=portcullis-default-deny`)
	assert.Contains(t, c.log.String(), `msg="the policy would be removed, but for mode: audit" namespace=b policy=portcullis-default-deny`)
}
