package manifest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

// BenchmarkLoad reads 5,000 files that hold 10,000 policies and 20,000 workloads.
func BenchmarkLoad(b *testing.B) {
	const files = 5000
	dir := b.TempDir()
	policy := strings.Replace(lined, "portcullis.dev/exempt: x", "note: x", 1)
	workload := `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web, team: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web, team: shop}
    spec:
      containers:
      - name: web
        image: registry.example/web:1.2.3
        env:
        - name: A
          value: "b"
        ports:
        - containerPort: 8080
          name: http
        resources:
          requests: {cpu: 100m, memory: 128Mi}
`
	size := 0
	for i := range files {
		var docs []string
		for j := range 6 {
			source := workload
			if j < 2 {
				source = policy
			}
			docs = append(docs, strings.Replace(source, "name: web", fmt.Sprintf("name: web-%d-%d\n  namespace: ns-%d", i, j, i%1000), 1))
		}
		content := strings.Join(docs, "---\n")
		size += len(content)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), []byte(content), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		result, err := manifest.Load(b.Context(), []string{dir}, nil)
		if err != nil || len(result.Policies) != 2*files || len(result.Problems) != 0 {
			b.Fatal(err, len(result.Policies), result.Problems[:min(3, len(result.Problems))])
		}
	}
}
