package main

import "time"

// pollInterval is the time between two looks at something that is waited for.
const pollInterval = 50 * time.Millisecond

const (
	files            = "test/demo/story/"
	awaitDefaultDeny = "wait --for=create networkpolicy/portcullis-default-deny -n shop --timeout=60s"

	showTypes = "get networkpolicy db -n shop -o custom-columns=NAME:.metadata.name,POLICYTYPES:.spec.policyTypes"
)

// story is what is shown, in the order in which it is shown.
func story() []chapter {
	return []chapter{
		{"A Namespace gets a label with its name, by which NetworkPolicies can select it.", []step{
			kubectl("create namespace shop", "Warning: portcullis: set the label networking/namespace=shop", "namespace/shop created"),
			kubectl("get namespace shop --show-labels", "networking/namespace=shop"),
		}},
		{"A policy that lets everyone in is refused, with one connection as proof, and what to do.", []step{
			serviceAccount("shop"),
			kubectl("apply -f "+files+"api.yaml", "pod/api created"),
			refused("apply -f "+files+"open-to-everyone.yaml",
				`denied the request: NetworkPolicy shop/api violates 1 rule of level "baseline":`,
				"internet-ingress at spec.ingress[0]", "(8.8.8.8 -> shop/api:9090)", "Fix: "),
		}},
		{"The same policy is admitted once a LoadBalancer Service exposes that port on purpose.", []step{
			kubectl("apply -f "+files+"load-balancer.yaml", "service/api created"),
			kubectl("apply -f "+files+"open-to-everyone.yaml", "networkpolicy.networking.k8s.io/api created"),
		}},
		{"Two halves make a whole: 0.0.0.0/1 and 128.0.0.0/1 are the internet, too.", []step{
			kubectl("apply -f "+files+"db.yaml", "pod/db created"),
			refused("apply -f "+files+"two-halves.yaml", "internet-ingress at ", "(8.8.8.8 -> shop/db:5432)"),
		}},
		{"Egress without DNS is refused, as the pods could no longer look up where to connect to.", []step{
			refused("apply -f "+files+"egress-to-db.yaml", "dns-blocked"),
		}},
		{"With a policy beside it that allows DNS, the same egress is admitted.", []step{
			kubectl("apply -f "+files+"allow-dns.yaml", "networkpolicy.networking.k8s.io/allow-dns created"),
			kubectl("apply -f "+files+"egress-to-db.yaml", "networkpolicy.networking.k8s.io/api-to-db created"),
		}},
		{"May they connect, and which policy says so?", []step{
			portcullis("explain --live --from shop/api --to shop/db --port 5432", 0, "shop/api → shop/db TCP/5432: ALLOWED", "✓ shop/api-to-db"),
		}},
		{"A trap: a policy without policyTypes gets an egress section later. Kubernetes alone would ignore the section; here it is repaired.", []step{
			kubectl("apply -f "+files+"trap-1.yaml", "networkpolicy.networking.k8s.io/db created"),
			kubectl(showTypes, "[Ingress]"),
			kubectl("apply -f "+files+"trap-2.yaml", "Warning: portcullis: added Egress to spec.policyTypes", "networkpolicy.networking.k8s.io/db configured"),
			kubectl(showTypes, "[Ingress Egress]"),
		}},
		{"Deleting the last policy that isolates a pod is allowed, with a warning.", []step{
			kubectl("delete networkpolicy db -n shop", "Warning: portcullis: unisolates-pods", "deleted"),
		}},
		{"A dry run of the whole cluster: what would be refused is admitted, told and counted.", []step{
			switchMode("audit"),
			kubectl("apply -f "+files+"two-halves.yaml", "Warning: portcullis: would be denied: internet-ingress", "networkpolicy.networking.k8s.io/db created"),
			switchMode("enforce"),
		}},
		{"A Service is no load balancer any more: no policy changes, and nobody is asked. The audit sees what its policy now opens.", []step{
			kubectl("apply -f "+files+"no-load-balancer.yaml", "service/api configured"),
			portcullis("audit -n shop", 1, "DENY internet-ingress", "8.8.8.8 -> shop/api:9090"),
		}},
		{"A label, and Portcullis keeps a default deny in the namespace: what is deleted comes back.", []step{
			kubectl("label namespace shop portcullis.dev/isolate=ingress", "namespace/shop labeled"),
			kubectl(awaitDefaultDeny, "condition met"),
			kubectl("delete networkpolicy portcullis-default-deny -n shop", "deleted"),
			kubectl(awaitDefaultDeny, "condition met"),
		}},
		{"And all of it is counted.", []step{
			scrape("portcullis_denials_total|portcullis_mutations_total|portcullis_findings_total",
				`portcullis_denials_total{mode="enforce",namespace="shop",rule="internet-ingress"} 2`,
				`portcullis_denials_total{mode="audit",namespace="shop",rule="internet-ingress"} 1`,
				`portcullis_denials_total{mode="enforce",namespace="shop",rule="dns-blocked"} 1`,
				`portcullis_mutations_total{mutation="namespaceNameLabel"} 1`,
				`portcullis_mutations_total{mutation="policyTypes"} 1`),
		}},
	}
}
