package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const routeCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: routes.route.openshift.io}
spec:
  group: route.openshift.io
  scope: Namespaced
  names: {kind: Route, plural: routes}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

const webRoute = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: $NS}
spec: {selector: {app: web}, ports: [{name: https, port: 443, targetPort: 8443}]}
---
apiVersion: route.openshift.io/v1
kind: Route
metadata: {name: web, namespace: $NS}
spec: {to: {kind: Service, name: web, weight: 100}, port: {targetPort: https}, tls: {termination: passthrough}}
`

// TestARouteOfOpenShiftExposesPodsAsSoonAsTheClusterServesRoutes begins before it does.
func TestARouteOfOpenShiftExposesPodsAsSoonAsTheClusterServesRoutes(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pod("web", 8443)
	s.refused(webOpen, apply, "internet-ingress", "-> $NS/web:8443)")

	t.Cleanup(func() {
		s.kubectl("", "delete", "customresourcedefinition", "routes.route.openshift.io", "--ignore-not-found")
	})
	s.admitted(routeCRD, apply)
	s.admitted("", []string{"wait", "--for=condition=Established", "--timeout=2m", "customresourcedefinition/routes.route.openshift.io"})
	eventually(t, "the Route is made", func(context.Context) bool { return s.kubectl(webRoute, apply...).code == 0 })

	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte(s.fill(webOpen)), 0o600))
	live := s.portcullis("", "check", file, "--live")
	assert.Zero(t, live.code, live.out+live.err)
	assert.NotContains(t, live.out, "internet-ingress")

	eventually(t, "Portcullis knows of the Route", func(context.Context) bool { return s.kubectl(webOpen, apply...).code == 0 })
	s.admitted("", []string{"delete", "networkpolicy", "web"})
	s.admitted("", []string{"delete", "routes.route.openshift.io", "web"})
	s.refused(webOpen, apply, "internet-ingress", "-> $NS/web:8443)")
}
