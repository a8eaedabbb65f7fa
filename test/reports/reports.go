// Package reports names the module whose CustomResourceDefinitions the tests install, so that go.mod keeps it.
package reports

import _ "github.com/openreports/reports-api/apis/openreports.io/v1alpha1" // beside the types are the definitions
