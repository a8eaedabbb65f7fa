package fix_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
)

func add(path string, value any) finding.PatchOp {
	return finding.PatchOp{Op: "add", Path: path, Value: value}
}

func replace(path string, value any) finding.PatchOp {
	return finding.PatchOp{Op: "replace", Path: path, Value: value}
}

func remove(path string) finding.PatchOp { return finding.PatchOp{Op: "remove", Path: path} }

func move(from, path string) finding.PatchOp {
	return finding.PatchOp{Op: "move", From: from, Path: path}
}

type object = map[string]any

// unindent takes the tabs of the source away, and the first line break.
func unindent(text string) string {
	var out strings.Builder
	for line := range strings.Lines(strings.TrimPrefix(text, "\n")) {
		out.WriteString(strings.TrimPrefix(strings.TrimLeft(line, "\t"), "|"))
	}
	return out.String()
}

func TestEdits(t *testing.T) {
	rule := object{"to": []any{object{"podSelector": object{}}}, "ports": []any{object{"protocol": "UDP", "port": 53}}}
	for name, c := range map[string]struct {
		text  string
		patch []finding.PatchOp
		want  string
	}{
		"if an item of a list is removed, then its comments go and the others stay": {`
			a:
			# first
			- x # of x
			# second
			- y # of y
			  # still of y
			# third
			- z
			`, []finding.PatchOp{remove("/a/1")}, `
			a:
			# first
			- x # of x
			# third
			- z
			`},
		"if the first key of an item is removed, then the next one takes its place": {`
			- from:
			  - x
			  # of ports
			  ports: [80]
			- y
			`, []finding.PatchOp{remove("/0/from")}, `
			- # of ports
			  ports: [80]
			- y
			`},
		"if the only item is removed, then the list is written as empty": {`
			spec:
			  ingress: # see below
			  # all
			  - from: []
			  egress: []
			`, []finding.PatchOp{remove("/spec/ingress/0")}, `
			spec:
			  ingress: [] # see below
			  egress: []
			`},
		"if something is added to an empty list, then it becomes a list of lines": {`
			spec:
			  podSelector:
			    matchLabels: {a: b}
			  egress: [] # nothing
			  ingress:
			    - from: []
			`, []finding.PatchOp{add("/spec/egress/-", rule)}, `
			spec:
			  podSelector:
			    matchLabels: {a: b}
			  egress: # nothing
			    - to:
			        - podSelector: {}
			      ports:
			        - protocol: UDP
			          port: 53
			  ingress:
			    - from: []
			`},
		"if lists are not indented, then an added one is not either": {`
			spec:
			  egress:
			  - to:
			    - ipBlock:
			        cidr: 10.0.0.0/8
			    # of the block

			# of the file
			`, []finding.PatchOp{add("/spec/egress/-", rule)}, `
			spec:
			  egress:
			  - to:
			    - ipBlock:
			        cidr: 10.0.0.0/8
			    # of the block
			  - to:
			    - podSelector: {}
			    ports:
			    - protocol: UDP
			      port: 53

			# of the file
			`},
		"if a field is added, then it stands where the documentation has it": {`
			spec:
			  podSelector: {}
			  # the rules
			  ingress: []
			`, []finding.PatchOp{add("/spec/policyTypes", []string{"Ingress", "Egress"})}, `
			spec:
			  podSelector: {}
			  policyTypes:
			    - Ingress
			    - Egress
			  # the rules
			  ingress: []
			`},
		"if fields are in the order of the alphabet, then so is an added one": {`
			spec:
			  egress: []
			  podSelector: {}
			`, []finding.PatchOp{add("/spec/policyTypes", []string{"Egress"})}, `
			spec:
			  egress: []
			  podSelector: {}
			  policyTypes:
			    - Egress
			`},
		"if a field comes first in an item, then it stands after the dash": {`
			- ports:
			    - port: 80
			`, []finding.PatchOp{add("/0/from", []any{object{"podSelector": object{}}})}, `
			- from:
			    - podSelector: {}
			  ports:
			    - port: 80
			`},
		"if a list is replaced by a longer one, then only the rest is added, in the quotes of the others": {`
			except:
			- "10.0.0.0/8" # ours
			- "192.168.0.0/16"
			`, []finding.PatchOp{add("/except", []string{"10.0.0.0/8", "192.168.0.0/16", "169.254.169.254/32"})}, `
			except:
			- "10.0.0.0/8" # ours
			- "192.168.0.0/16"
			- "169.254.169.254/32"
			`},
		"if a value is replaced, then its comment and its quotes stay": {`
			- {port: 80, protocol: 'TCP'} # web
			- port: 80 # again
			`, []finding.PatchOp{replace("/0/protocol", "UDP"), replace("/1/port", "http")}, `
			- {port: 80, protocol: 'UDP'} # web
			- port: http # again
			`},
		"if a text reads as a number, then it is put in quotes": {`
			- port: 80
			- [a]
			`, []finding.PatchOp{replace("/0/port", "80"), add("/1/-", "b, c")}, `
			- port: "80"
			- [a, "b, c"]
			`},
		"if two items become one, then only the dash goes": {`
			from:
			- namespaceSelector:
			    matchLabels: {a: b}
			- podSelector: # of pods
			    matchLabels: # these
			      c: d
			`, []finding.PatchOp{move("/from/1/podSelector", "/from/0/podSelector"), remove("/from/1")}, `
			from:
			- namespaceSelector:
			    matchLabels: {a: b}
			  podSelector:
			    matchLabels: # these
			      c: d
			`},
		"if a list is between brackets, then it stays so": {`
			spec: {ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: 0.0.0.0/0}}]}], podSelector: {}}
			`, []finding.PatchOp{remove("/spec/ingress/0/from/1"), add("/spec/policyTypes", []string{"Ingress"})}, `
			spec: {ingress: [{from: [{podSelector: {}}]}], podSelector: {}, policyTypes: [Ingress]}
			`},
		"if there is no line break at the end, then none is made": {
			"a:\n- x", []finding.PatchOp{add("/a/-", "z")}, "a:\n- x\n- z",
		},
		"if lines end in CR LF, then so do added ones": {
			"a:\r\n- x # c\r\nb: [] # d\r\n", []finding.PatchOp{add("/a/-", "y"), add("/b/-", object{"c": 1, "d": 2})},
			"a:\r\n- x # c\r\n- \"y\"\r\nb: # d\r\n- c: 1\r\n  d: 2\r\n",
		},
		"if JSON has a line for each item, then so have added ones": {
			"{\n    \"spec\": {\n        \"egress\": [\n            {}\n        ],\n        \"ingress\": []\n    }\n}\n",
			[]finding.PatchOp{add("/spec/policyTypes", []string{"Egress"}), add("/spec/ingress/-", object{"from": []any{}}), remove("/spec/egress/0")},
			"{\n    \"spec\": {\n        \"egress\": [],\n        \"ingress\": [\n            {\n                \"from\": []\n            }\n        ],\n        \"policyTypes\": [\n            \"Egress\"\n        ]\n    }\n}\n",
		},
		"if JSON is in one line, then it stays so": {
			`{"spec":{"ingress":[{"from":[]}]}}`, []finding.PatchOp{add("/spec/policyTypes", []string{"Ingress"}), add("/spec/ingress/-", object{"ports": []any{object{"port": 1}}})},
			`{"spec":{"policyTypes":["Ingress"],"ingress":[{"from":[]},{"ports":[{"port":1}]}]}}`,
		},
		"if a text has many lines, then it keeps them": {`
			a: |-
			  one

			  # no comment
			b:
			- plain text
			  # a comment
			- more
			  text
			c: x
			`, []finding.PatchOp{remove("/b/0"), add("/b/-", "z")}, `
			a: |-
			  one

			  # no comment
			b:
			- more
			  text
			- z
			c: x
			`},
		"if an anchor is referred to from nowhere, then it does not matter": {`
			a: &a
			- &x x
			- y
			`, []finding.PatchOp{add("/a/-", "z")}, `
			a: &a
			- &x x
			- y
			- z
			`},
		"if a null is replaced, then the value stands in its place": {`
			a:
			b: ~
			c:
			-
			`, []finding.PatchOp{add("/a", []any{1}), replace("/b", object{"d": true}), replace("/c/0", object{"e": 1, "f": 2})}, `
			a:
			- 1
			b:
			  d: true
			c:
			- e: 1
			  f: 2
			`},
	} {
		t.Run(name, func(t *testing.T) {
			text := []byte(unindent(c.text))
			edits, err := fix.Edits(text, "", c.patch)
			require.NoError(t, err)
			assert.Equal(t, unindent(c.want), string(fix.Apply(text, edits)))
		})
	}
}

func TestEditsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		patch finding.PatchOp
		want  string
	}{
		"if the list is an alias, then its anchor is not changed":        {"a: &x [1]\nb: *x\n", remove("/b/0"), "*x, which stands for what is written elsewhere"},
		"if the list is an anchor, then its aliases are not changed":     {"a: &x [1]\nb: *x\n", remove("/a/0"), "&x, which other places refer to"},
		"if an anchor is inside, then its aliases do not lose it":        {"a: [{c: &x 1}]\nb: *x\n", remove("/a/0"), "&x, which other places refer to"},
		"if the field is merged, then the merged mapping is not changed": {"a: &x {c: [1]}\nb:\n  <<: *x\n", remove("/b/c/0"), "a merge key (<<)"},
		"if the patch does not fit, then the text is not changed":        {"a: 1\n", remove("/b"), "the patch does not fit"},
		"if the object itself is replaced, then the text is not changed": {"a: 1\n", replace("", object{}), "as a whole"},
		"if the text is no YAML, then that is said":                      {"a: [\n", remove("/a"), "did not find"},
		"if keys are written with question marks, then they stay so":     {"? a\n: 1\n? b\n: 2\n", remove("/b"), "is written in a way"},
		"if the operation is none of RFC 6902, then that is said":        {"a: 1\n", finding.PatchOp{Op: "swap", Path: "/a"}, "swap"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fix.Edits([]byte(c.text), "", []finding.PatchOp{c.patch})
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func TestRegionsCountLinesAndColumns(t *testing.T) {
	text := []byte("\ufeffä: 1\nb: [x, ü, y]\n")
	edits, err := fix.Edits(text[3:], "", []finding.PatchOp{replace("/ä", 2), remove("/b/2")})
	require.NoError(t, err)
	assert.Equal(t, []fix.Region{
		{StartLine: 1, StartColumn: 4, EndLine: 1, EndColumn: 5, Text: "2"},
		{StartLine: 2, StartColumn: 9, EndLine: 2, EndColumn: 12},
	}, fix.Regions(text, fix.Shift(edits, 3)))
}
