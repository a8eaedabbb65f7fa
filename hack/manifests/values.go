package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// schema is a JSON schema, or a part of one.
type schema = map[string]any

func readSchema(path string) (schema, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out schema
	return out, json.Unmarshal(text, &out)
}

// valuesSchema is the schema of the values as it stands, with that of the configuration as it is in docs.
func valuesSchema(root string) ([]byte, error) {
	values, err := readSchema(filepath.Join(root, chart, "values.schema.json"))
	if err != nil {
		return nil, err
	}
	configuration, err := readSchema(filepath.Join(root, "docs", "configuration.schema.json"))
	if err != nil {
		return nil, err
	}
	delete(configuration, "$schema")
	delete(configuration, "title")
	configuration["description"] = "The configuration of Portcullis: see docs/configuration.md."
	values["properties"].(schema)["config"] = configuration
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err = encoder.Encode(values)
	return out.Bytes(), err
}

const readmeHeader = `# The chart of Portcullis

` + "```sh" + `
helm install portcullis deploy/chart --namespace portcullis-system --create-namespace
` + "```" + `

[docs/install.md](../../docs/install.md) tells how to install it on a cluster that is in use, and [docs/operations.md](../../docs/operations.md)
what comes after that. Helm refuses values that it does not know.

| value | default | meaning |
|---|---|---|
`

// readme lists all values.
func readme(root string) ([]byte, error) {
	described, err := readSchema(filepath.Join(root, chart, "values.schema.json"))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, chart, "values.yaml"))
	if err != nil {
		return nil, err
	}
	var defaults map[string]any
	if err := yaml.Unmarshal(text, &defaults); err != nil {
		return nil, err
	}
	out := bytes.NewBufferString(readmeHeader)
	rows(out, "", described, defaults)
	return out.Bytes(), nil
}

// rows are those of the properties of one object. The configuration has a page of its own.
func rows(out *bytes.Buffer, prefix string, object schema, defaults map[string]any) {
	properties, _ := object["properties"].(schema)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property, path := properties[name].(schema), prefix+name
		inner, _ := defaults[name].(map[string]any)
		if _, nested := property["properties"]; nested && path != "config" {
			rows(out, path+".", property, inner)
			continue
		}
		value, isSet := defaults[name]
		shown := ""
		if isSet {
			encoded, _ := json.Marshal(value)
			shown = "`" + string(encoded) + "`"
		}
		description, _ := property["description"].(string)
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", path, shown, strings.ReplaceAll(description, "|", `\|`))
	}
}
