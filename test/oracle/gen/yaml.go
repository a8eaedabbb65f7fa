package gen

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/test/oracle"
)

// YAML is the cluster as manifests, for people to read and to apply.
func YAML(c *oracle.Cluster) string {
	var b strings.Builder
	if c.Cilium {
		b.WriteString("# with Cilium\n")
	}
	for i := range c.Namespaces {
		writeYAML(&b, &c.Namespaces[i])
	}
	for i := range c.Pods {
		writeYAML(&b, &c.Pods[i])
	}
	for i := range c.Policies {
		writeYAML(&b, &c.Policies[i])
	}
	return b.String()
}

func writeYAML(b *strings.Builder, object any) {
	text, err := yaml.Marshal(object)
	if err != nil {
		text = []byte(err.Error())
	}
	fmt.Fprintf(b, "---\n%s", text)
}
