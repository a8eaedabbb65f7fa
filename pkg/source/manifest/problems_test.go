package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

func load(t *testing.T, input string) *manifest.Result {
	t.Helper()
	result, err := manifest.Load(t.Context(), []string{manifest.Stdin}, strings.NewReader(input))
	require.NoError(t, err)
	return result
}

func told(result *manifest.Result) []string {
	var out []string
	for _, p := range result.Problems {
		out = append(out, fmt.Sprintf("%d: %s", p.Line, p.Message))
	}
	return out
}

// web is the beginning of a policy; what follows it begins on line 6.
const web = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
spec:
`

const indentHint = " (check the indentation here and in the line before)"

func TestEachMistakeIsToldWithItsLineAndWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name, input string
		want        []string
		policies    int
	}{
		// what is no YAML
		{"if the file is a Helm template, then it must be rendered first",
			web + "  podSelector:\n    matchLabels: {{ .Values.labels }}\n",
			[]string{"7: is a template and no YAML yet: render it first, as in helm template CHART | portcullis check -"}, 0},
		{"if a template action is left in quotes, then it must be rendered first",
			web + "  podSelector: {matchLabels: {app: \"{{ .Values.app }}\"}}\n",
			[]string{"6: {{ .Values.app }} is left of a template: render it first, as in helm template CHART | portcullis check -"}, 1},
		{"if a line is indented with a tab, then spaces are asked for",
			web + "  podSelector: {}\n\tingress: []\n",
			[]string{"7: is not valid YAML: found character that cannot start any token (indented with a tab: use spaces)"}, 0},
		{"if a quote is not closed, then the end is reported",
			web + "  podSelector: {matchLabels: {app: \"web}}\n  ingress: []\n",
			[]string{"7: is not valid YAML: found unexpected end of stream (a quote or a bracket is not closed)"}, 0},
		{"if a line is indented too far, then it is that line",
			web + "  podSelector: {}\n   ingress: []\n", []string{"7: is not valid YAML: did not find expected key" + indentHint}, 0},
		{"if a value holds a colon, then quotes are proposed",
			web + "  podSelector: a: b\n",
			[]string{"6: is not valid YAML: mapping values are not allowed in this context (is the indentation right, and is a text that holds \": \" in quotes?)"}, 0},
		{"if a value begins with a reserved character, then quotes are proposed",
			"a: @x\n", []string{"1: is not valid YAML: found character that cannot start any token (put the text in quotes)"}, 0},
		{"if an alias has no anchor, then it is named", "a: *b\n", []string{"1: is not valid YAML: unknown anchor 'b' referenced"}, 0},
		{"if a key is a list, then it is no text", "? [a]\n: b\n", []string{"1: is not valid YAML: a key is no text"}, 0},
		{"if a key is null, then it is no text", "~: b\n", []string{"1: is not valid YAML: a key is no text"}, 0},
		{"if a number is not a number, then it cannot be stored", "a: .nan\n", []string{"1: is not valid YAML: the number NaN cannot be stored"}, 0},
		{"if bytes are no UTF-8, then the line is told", "a: 1\nb: \xff\n", []string{"2: is not UTF-8: save the file as UTF-8"}, 0},
		{"if the file is UTF-16, then UTF-8 is asked for", "\xff\xfea\x00:\x00", []string{"1: is UTF-16: save it as UTF-8"}, 0},
		{"if there is a control character, then the line is told", "a: 1\nb: \x01\n", []string{`2: holds a control character ('\x01'): remove it`}, 0},
		{"if aliases multiply, then the document is refused", bomb(), []string{"1: its aliases (*name) stand for more than a MiB, or for themselves: write it without them"}, 0},
		{"if an anchor contains itself, then the document is refused", "a: &a [*a]\n", []string{"1: its aliases (*name) stand for more than a MiB, or for themselves: write it without them"}, 0},
		{"if JSON is broken, then the line is told and what comes before is read",
			`{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"a"}}` + "\n{\"b\":\n\n x}\n",
			[]string{"4: is not JSON: invalid character 'x' looking for beginning of value"}, 1},

		// what is no object
		{"if the document is a list, then it is no object", "- a\n", []string{"1: is not a Kubernetes object, but a list"}, 0},
		{"if the document is text, then it is no object", "hello\n", []string{"1: is not a Kubernetes object, but text"}, 0},
		{"if the document is a number, then it is no object", "5\n", []string{"1: is not a Kubernetes object, but the value 5"}, 0},
		{"if apiVersion and kind are missing, then it is no object", "# values\n\nreplicas: 1\n", []string{"3: is not a Kubernetes object: apiVersion and kind are missing"}, 0},
		{"if the kind is missing, then it is told", "apiVersion: networking.k8s.io/v1\nspec: {}\n", []string{"1: kind is missing"}, 0},
		{"if the apiVersion is missing, then it is told", "kind: NetworkPolicy\n", []string{"1: apiVersion is missing"}, 0},
		{"if the kind is a number, then it must be text", "apiVersion: v1\nkind: 5\n", []string{"1: apiVersion and kind must be text"}, 0},
		{"if a list holds something else, then the item's line is told",
			"apiVersion: v1\nkind: List\nitems:\n- text\n- null\n- {}\n",
			[]string{"4: is not a Kubernetes object, but text", "6: is not a Kubernetes object: apiVersion and kind are missing"}, 0},

		// the wrong API
		{"if the policy is of extensions/v1beta1, then networking.k8s.io/v1 is named",
			strings.Replace(web, "networking.k8s.io/v1", "extensions/v1beta1", 1) + "  podSelector: {}\n",
			[]string{"1: NetworkPolicy in extensions/v1beta1 is gone since Kubernetes 1.16: write apiVersion: networking.k8s.io/v1"}, 0},
		{"if the policy is of v1, then networking.k8s.io/v1 is named",
			"apiVersion: v1\nkind: NetworkPolicy\nmetadata: {name: a}\n", []string{"1: there is no NetworkPolicy in v1: write apiVersion: networking.k8s.io/v1"}, 0},
		{"if the kind is in another case, then the right one is named",
			"apiVersion: networking.k8s.io/v1\nkind: Networkpolicy\nmetadata: {name: a}\n", []string{"1: there is no kind Networkpolicy: write kind: NetworkPolicy"}, 0},
		{"if the policy is Calico's, then it is passed over", "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {order: 5}\n", nil, 0},

		// fields
		{"if a field is misspelt, then the nearest is named", web + "  podSelecter: {}\n  egres: []\n",
			[]string{`6: unknown field "spec.podSelecter": did you mean "podSelector"?`, `7: unknown field "spec.egres": did you mean "egress"?`}, 1},
		{"if a field is deep inside, then its path tells where", web + "  ingress:\n  - from:\n    - ipBlock:\n        cdir: 10.0.0.0/8\n",
			[]string{"8: spec.ingress[0].from[0].ipBlock.cidr: an ipBlock needs a cidr",
				`9: unknown field "spec.ingress[0].from[0].ipBlock.cdir": did you mean "cidr"?`}, 1},
		{"if fields stand outside of spec, then they belong there",
			"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: a\n  policyTypes: [Ingress]\npodSelector: {}\ningress: []\n",
			[]string{`5: unknown field "metadata.policyTypes": it belongs in spec`, `6: unknown field "podSelector": it belongs in spec`, `7: unknown field "ingress": it belongs in spec`}, 1},
		{"if a peer stands in the rule, then it belongs in from", web + "  ingress:\n  - podSelector: {}\n",
			[]string{`7: unknown field "spec.ingress[0].podSelector": it belongs in spec.ingress[].from[]`}, 1},
		{"if an egress rule has from, then it belongs in an ingress rule", web + "  egress:\n  - from: []\n",
			[]string{`7: unknown field "spec.egress[0].from": it belongs in spec.ingress[]`}, 1},
		{"if nothing is near, then the known fields are listed", web + "  foo: 1\n",
			[]string{`6: unknown field "spec.foo": known here: egress, ingress, podSelector, policyTypes`}, 1},
		{"if the metadata has an unknown field, then it must go", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, whatever: 1}\n",
			[]string{`3: unknown field "metadata.whatever": remove it`}, 1},
		{"if there is a status, then it must go", web + "  podSelector: {}\nstatus: {}\n",
			[]string{`7: unknown field "status": NetworkPolicies have none since Kubernetes 1.28, so remove it`}, 1},
		{"if a key is there twice, then the last one counts", web + "  podSelector: {}\n  podSelector: {matchLabels: {app: web}}\n",
			[]string{`7: "podSelector" is there twice, and the last one counts: remove one`}, 1},
		{"if a key of a Deployment is there twice, then the last one counts", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: 1\n  replicas: 2\n",
			[]string{`6: "replicas" is there twice, and the last one counts: remove one`}, 0},

		// types
		{"if ports is a number, then it must be a list", web + "  ingress:\n  - ports: 80\n", []string{"7: spec.ingress[0].ports must be a list, not 80"}, 0},
		{"if ingress has no dash, then one is asked for", web + "  ingress:\n    from: []\n", []string{"6: spec.ingress must be a list, not a mapping: begin its items with a dash"}, 0},
		{"if spec is text, then it must be a mapping", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: x\n", []string{"4: spec must be a mapping, not x"}, 0},
		{"if a label is yes, then quotes are proposed", web + "  podSelector:\n    matchLabels:\n      live: yes\n      version: 1.10\n",
			[]string{`8: spec.podSelector.matchLabels[live] must be text: YAML reads yes as a number or a boolean, so write "yes"`,
				`9: spec.podSelector.matchLabels[version] must be text: YAML reads 1.10 as a number or a boolean, so write "1.10"`}, 0},
		{"if the name is a number, then quotes are proposed", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: 5\n",
			[]string{`4: metadata.name must be text: YAML reads 5 as a number or a boolean, so write "5"`}, 0},
		{"if a port is no whole number, then it is told", web + "  ingress:\n  - ports:\n    - port: 80.5\n    - port: true\n    - port: 99999999999\n    - port: [80]\n",
			[]string{"8: spec.ingress[0].ports[0].port must be a number or a name, not 80.5", "9: spec.ingress[0].ports[1].port must be a number or a name, not true",
				"10: spec.ingress[0].ports[2].port must be a number or a name, not 99999999999", "11: spec.ingress[0].ports[3].port must be a number or a name, not a list"}, 0},
		{"if a workload has a wrong type, then it is told, and the rest of it is read",
			"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: \"3\"\n  template:\n    spec:\n      containers:\n      - env: [{name: A, value: 5}]\n",
			[]string{"5: spec.replicas must be a whole number, not 3", `9: spec.template.spec.containers[0].env[0].value must be text: YAML reads 5 as a number or a boolean, so write "5"`}, 0},

		// names
		{"if there is no name, then it is told", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {}\n", []string{"1: NetworkPolicy has no metadata.name"}, 0},
		{"if a name is not allowed, then it is told", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: Web_1\n",
			[]string{`4: metadata.name: "Web_1": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character`}, 1},
		{"if a Namespace has a label that is not allowed, then it is told", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    team: a b\n",
			[]string{`5: metadata.labels: "a b": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`}, 0},
		{"if two objects of one name differ, then the last counts", web + "  podSelector: {}\n---\n" + web + "  policyTypes: [Egress]\n",
			[]string{"8: NetworkPolicy default/web differs from the one at stdin:1: only this one, the last, counts"}, 1},
		{"if two objects of one name are the same, then that is fine", web + "  podSelector: {}\n---\n# again\n" + web + "  podSelector: {}   # the same\n", nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			result := load(t, c.input)
			assert.Equal(t, c.want, told(result))
			assert.Len(t, result.Policies, c.policies)
			for _, p := range result.Problems {
				assert.Equal(t, manifest.StdinName, p.File)
			}
		})
	}
}

func TestWhatTheAPIServerWouldRefuseIsToldAndReadAllTheSame(t *testing.T) {
	for _, c := range []struct {
		name, input string
		want        []string
	}{
		{"if a CIDR has host bits, then the masked one is read", web + "  egress:\n  - to:\n    - ipBlock:\n        cidr: 10.0.0.1/8\n",
			[]string{`9: spec.egress[0].to[0].ipBlock.cidr: "10.0.0.1/8" must not have bits set beyond the prefix length: write 10.0.0.0/8, as it is read here`}},
		{"if a CIDR has leading zeros, then the decimal one is read", web + "  egress:\n  - to:\n    - ipBlock: {cidr: 010.0.0.0/8}\n",
			[]string{`8: spec.egress[0].to[0].ipBlock.cidr: "010.0.0.0/8" must not have leading zeros: write 10.0.0.0/8, as it is read here`}},
		{"if a CIDR maps IPv4, then IPv4 is read", web + "  egress:\n  - to:\n    - ipBlock: {cidr: \"::ffff:10.0.0.0/104\"}\n",
			[]string{`8: spec.egress[0].to[0].ipBlock.cidr: "::ffff:10.0.0.0/104" must not be an IPv4-mapped IPv6 address: write 10.0.0.0/8, as it is read here`}},
		{"if a CIDR is an address, then it is no CIDR", web + "  egress:\n  - to:\n    - ipBlock: {cidr: 10.1.2.3}\n",
			[]string{`8: spec.egress[0].to[0].ipBlock.cidr: "10.1.2.3" is not a CIDR (as in 10.0.0.0/8 or 2001:db8::/32)`}},
		{"if except lies outside of cidr, then it takes nothing away", web + "  egress:\n  - to:\n    - ipBlock:\n        cidr: 10.0.0.0/8\n        except:\n        - 10.1.0.0/16\n        - 11.0.0.0/16\n        - 10.0.0.0/8\n        - \"::/0\"\n        - \"\"\n",
			[]string{`12: spec.egress[0].to[0].ipBlock.except[1]: "11.0.0.0/16" is not a part of 10.0.0.0/8: except can only take away from the ipBlock's own cidr`,
				`13: spec.egress[0].to[0].ipBlock.except[2]: "10.0.0.0/8" is not a part of 10.0.0.0/8: except can only take away from the ipBlock's own cidr`,
				`14: spec.egress[0].to[0].ipBlock.except[3]: "::/0" is not a part of 10.0.0.0/8: except can only take away from the ipBlock's own cidr`,
				`15: spec.egress[0].to[0].ipBlock.except[4]: an item of except needs a CIDR`}},
		{"if a peer is empty, then something must be in it", web + "  ingress:\n  - from:\n    - {}\n    -\n",
			[]string{"8: spec.ingress[0].from[0]: the peer is empty: write an ipBlock, a namespaceSelector or a podSelector",
				"9: spec.ingress[0].from[1]: the peer is empty: write an ipBlock, a namespaceSelector or a podSelector"}},
		{"if a peer is an ipBlock and a selector, then it must be two", web + "  ingress:\n  - from:\n    - ipBlock: {cidr: 10.0.0.0/8}\n      podSelector: {}\n",
			[]string{"8: spec.ingress[0].from[0]: an ipBlock and a selector cannot be one peer: make two items of them"}},
		{"if a range ends before it begins, then nothing is in it", web + "  ingress:\n  - ports:\n    - port: 90\n      endPort: 80\n",
			[]string{"9: spec.ingress[0].ports[0].endPort: 80 comes before port 90: nothing is between them"}},
		{"if a range begins with a name, then it needs numbers", web + "  ingress:\n  - ports:\n    - port: web\n      endPort: 80\n",
			[]string{`9: spec.ingress[0].ports[0].endPort: a range needs numbers, and port "web" is a name`}},
		{"if a range has no port, then it needs one", web + "  ingress:\n  - ports:\n    - endPort: 80\n",
			[]string{"8: spec.ingress[0].ports[0].endPort: endPort needs a port: write the first port of the range as port"}},
		{"if a port is out of range, then the range is told", web + "  ingress:\n  - ports:\n    - port: 0\n    - port: 65536\n    - port: 1\n      endPort: 65536\n",
			[]string{"8: spec.ingress[0].ports[0].port: 0 is no port: ports are 1 to 65535", "9: spec.ingress[0].ports[1].port: 65536 is no port: ports are 1 to 65535",
				"11: spec.ingress[0].ports[2].endPort: 65536 is no port: ports are 1 to 65535"}},
		{"if a number is in quotes, then it must not be", web + "  ingress:\n  - ports:\n    - port: \"80\"\n",
			[]string{`8: spec.ingress[0].ports[0].port: "80" is no port name: write the number without quotes`}},
		{"if a protocol is unknown, then the known ones are named", web + "  ingress:\n  - ports:\n    - protocol: tcp\n",
			[]string{`8: spec.ingress[0].ports[0].protocol: "tcp" is no protocol: write TCP, UDP or SCTP`}},
		{"if a policy type is unknown, then the known ones are named", web + "  policyTypes:\n  - ingress\n",
			[]string{`7: spec.policyTypes[0]: "ingress" is no policy type: write Ingress or Egress`}},
		{"if an operator is unknown, then the known ones are named", web + "  podSelector:\n    matchExpressions:\n    - {key: a, operator: in, values: [b]}\n",
			[]string{`8: spec.podSelector.matchExpressions[0].operator: "in" is no operator: write In, NotIn, Exists or DoesNotExist`}},
		{"if an operator lacks values, then it needs them", web + "  podSelector:\n    matchExpressions:\n    - {key: a, operator: In}\n",
			[]string{"8: spec.podSelector.matchExpressions[0].values: must be specified when `operator` is 'In' or 'NotIn'"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			result := load(t, c.input)
			assert.Equal(t, c.want, told(result))
			assert.Len(t, result.Policies, 1)
		})
	}
}

func TestOddInputThatIsFine(t *testing.T) {
	policy := web + "  podSelector: {}\n"
	for name, input := range map[string]string{
		"a byte order mark":                "\ufeff" + policy,
		"carriage returns":                 strings.ReplaceAll(policy, "\n", "\r\n"),
		"carriage returns alone":           strings.ReplaceAll("a: 1\n---\n"+policy, "\n", "\r")[len("a: 1\r"):],
		"a comment before":                 "# comment\n\n" + policy,
		"separators without documents":     "---\n---\n# nothing\n---\n" + policy + "---\n---",
		"separators with comments":         "--- # first\n" + policy + "--- # none\n",
		"a document's end":                 policy + "...\n",
		"a directive":                      "%YAML 1.1\n---\n" + policy,
		"a byte order mark between":        "---\n---\n\ufeff" + policy,
		"flow style":                       "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web}}",
		"flow style after a separator":     "--- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web}}\n",
		"JSON":                             `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web"}}`,
		"JSON indented by tabs":            "{\n\t\"apiVersion\": \"networking.k8s.io/v1\",\n\t\"kind\": \"NetworkPolicy\",\n\t\"metadata\": {\"name\": \"web\"}\n}\n",
		"JSON with a comment behind":       `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web"}}` + "\n# so\n",
		"a kind that does not matter":      policy + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '{{ y }}'}\n",
		"a template in a comment":          "# {{ x }}\n" + policy,
		"a template in an annotation":      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, annotations: {a: '{{ x }}'}}\n",
		"a list without items":             policy + "---\napiVersion: v1\nkind: List\nitems: []\n",
		"null for what may be left out":    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, creationTimestamp: null, labels: null}\nspec: null\n",
		"a merge key that is overridden":   "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, labels: &l {a: b}}\nspec: {podSelector: {matchLabels: {<<: *l, a: c}}}\n",
		"an anchor used twice":             web + "  podSelector: &all {}\n  ingress:\n  - from:\n    - podSelector: *all\n    - namespaceSelector: *all\n",
		"metadata of a dump of the server": "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: web\n  uid: a\n  resourceVersion: '1'\n  generation: 1\n  managedFields: [{manager: x, fieldsV1: {f:spec: {}}}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			result := load(t, input)
			assert.Empty(t, told(result))
			require.Len(t, result.Policies, 1)
			assert.Equal(t, "web", result.Policies[0].Name)
			assert.Equal(t, "default", result.Policies[0].Namespace)
		})
	}
}

func TestIfOneDocumentIsBrokenThenTheOthersAreRead(t *testing.T) {
	result := load(t, "a: [\n---\n"+web+"  podSelector: {}\n---\nb: \"\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
	assert.Equal(t, []string{"1: is not valid YAML: did not find expected node content", "10: is not valid YAML: found unexpected end of stream (a quote or a bracket is not closed)"}, told(result))
	assert.Len(t, result.Policies, 1)
	assert.Len(t, result.Namespaces, 1)
	assert.Equal(t, 3, result.Policies[0].Source.Line)
}

func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		fmt.Fprintf(&b, "a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 9), i)
	}
	return b.String()
}
