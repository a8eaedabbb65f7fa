// Package rules is the catalogue: one file per rule, which opens with the rule's specification, and fixtures under
// testdata/<id>/{bad,good}.
package rules

import (
	"fmt"

	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// Catalogue is all rules. It panics if one of them is not documented in full, which the package's tests rule out.
func Catalogue() *rule.Catalogue {
	c, err := rule.NewCatalogue(all()...)
	if err != nil {
		panic(fmt.Sprintf("the catalogue of rules: %v", err))
	}
	return c
}
