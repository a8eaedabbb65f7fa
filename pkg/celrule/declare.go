package celrule

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// Every variable has a type, so that a misspelt field refuses the configuration instead of failing at every review. What is
// declared here is what docs/custom-rules.md lists.

// The names of the variables.
const (
	varObject          = "object"
	varOldObject       = "oldObject"
	varNamespaceObject = "namespaceObject"
	varRequest         = "request"
	varReach           = "reach"
	varPods            = "pods"
)

var (
	text    = apiservercel.StringType
	number  = apiservercel.IntType
	boolean = apiservercel.BoolType
)

// unlimited is the size of what has no declared limit.
const unlimited = -1

func list(of *apiservercel.DeclType) *apiservercel.DeclType {
	return apiservercel.NewListType(of, unlimited)
}

func labels() *apiservercel.DeclType { return apiservercel.NewMapType(text, text, unlimited) }

// structure declares an object type; fields that may be absent are tested with has().
func structure(name string, of members) *apiservercel.DeclType {
	declared := make(map[string]*apiservercel.DeclField, len(of))
	for field, t := range of {
		declared[field] = apiservercel.NewDeclField(field, t, false, nil, nil)
	}
	return apiservercel.NewObjectType(name, declared)
}

type members = map[string]*apiservercel.DeclType

func metadataType(name string) *apiservercel.DeclType {
	return structure(name, members{"name": text, "generateName": text, "namespace": text, "labels": labels(), "annotations": labels()})
}

func policyType() *apiservercel.DeclType {
	selector := structure("kubernetes.LabelSelector", members{
		"matchLabels": labels(),
		"matchExpressions": list(structure("kubernetes.LabelSelectorRequirement", members{
			"key": text, "operator": text, "values": list(text),
		})),
	})
	peer := structure("kubernetes.NetworkPolicyPeer", members{
		"podSelector": selector, "namespaceSelector": selector,
		"ipBlock": structure("kubernetes.IPBlock", members{"cidr": text, "except": list(text)}),
	})
	// A port is a number or a name.
	port := structure("kubernetes.NetworkPolicyPort", members{"protocol": text, "port": apiservercel.DynType, "endPort": number})
	return structure("kubernetes.NetworkPolicy", members{
		"apiVersion": text, "kind": text, "metadata": metadataType("kubernetes.NetworkPolicyMetadata"),
		"spec": structure("kubernetes.NetworkPolicySpec", members{
			"podSelector": selector, "policyTypes": list(text),
			"ingress": list(structure("kubernetes.NetworkPolicyIngressRule", members{"from": list(peer), "ports": list(port)})),
			"egress":  list(structure("kubernetes.NetworkPolicyEgressRule", members{"to": list(peer), "ports": list(port)})),
		}),
	})
}

func namespaceType() *apiservercel.DeclType {
	return structure("kubernetes.Namespace", members{
		"apiVersion": text, "kind": text, "metadata": metadataType("kubernetes.NamespaceMetadata"),
	})
}

func requestType() *apiservercel.DeclType {
	return structure("portcullis.Request", members{
		"operation": text, "name": text, "namespace": text, "dryRun": boolean,
		"userInfo": structure("portcullis.UserInfo", members{"username": text, "uid": text, "groups": list(text)}),
	})
}

func podType() *apiservercel.DeclType {
	return structure("portcullis.Pods", members{
		"name": text, "namespace": text, "labels": labels(), "count": number,
		"ports": list(structure("portcullis.ContainerPort", members{"name": text, "protocol": text, "port": number})),
	})
}

func reachType() *apiservercel.DeclType {
	direction := structure("portcullis.Direction", members{
		"isolates": boolean, "internet": boolean, "internetCIDRs": list(text), "internetPorts": list(text),
		"cidrs": list(text), "ports": list(text), "allNamespaces": boolean,
		"connections": list(structure("portcullis.Connections", members{"cidrs": list(text), "ports": list(text)})),
		"namespaces":  list(structure("portcullis.Namespace", members{"name": text, "labels": labels()})),
		"pods": list(structure("portcullis.Peers", members{
			"name": text, "namespace": text, "labels": labels(), "count": number, "open": list(text),
		})),
	})
	return structure("portcullis.Reach", members{"ingress": direction, "egress": direction})
}

// variablesOf are the names of the variables of rules about a kind of subject.
func variablesOf(kind string) []string {
	all := []string{varObject, varOldObject, varNamespaceObject, varRequest}
	if kind == finding.KindNetworkPolicy {
		all = append(all, varReach, varPods)
	}
	return all
}

// newEnvironment is the language of rules about a kind of subject: that of the API server, with its libraries, and what is
// declared here.
func newEnvironment(kind string) (*cel.Env, error) {
	namespace, request := namespaceType(), requestType()
	variables := map[string]*apiservercel.DeclType{varRequest: request}
	switch kind {
	case finding.KindNetworkPolicy:
		policy := policyType()
		variables[varObject], variables[varOldObject], variables[varNamespaceObject] = policy, policy, namespace
		variables[varReach], variables[varPods] = reachType(), list(podType())
	default:
		variables[varObject], variables[varOldObject], variables[varNamespaceObject] = namespace, namespace, namespace
	}
	options := environment.VersionedOptions{IntroducedVersion: version.MajorMinor(1, 0), EnvOptions: functions()}
	for name, t := range variables {
		options.EnvOptions = append(options.EnvOptions, cel.Variable(name, t.CelType()))
		options.DeclTypes = append(options.DeclTypes, t)
	}
	set, err := environment.MustBaseEnvSet(version.MajorMinor(1, 37)).Extend(options)
	if err != nil {
		return nil, fmt.Errorf("the environment of custom rules: %w", err)
	}
	return set.StoredExpressionsEnv(), nil
}
