package bench

import (
	"embed"
	"fmt"
)

// Operations and RuleCounts are what the recorded reviews are of.
var (
	Operations = [...]string{"create", "update", "delete"}
	RuleCounts = [...]int{1, 10, 50}
)

//go:embed testdata/*.json
var recorded embed.FS

// ReviewFile is the name of the file that holds one recorded review.
func ReviewFile(operation string, rules int) string {
	return fmt.Sprintf("%s-%d.json", operation, rules)
}

// Review is the body of a recorded AdmissionReview, as an API server sent it for kubectl: record wrote it.
func Review(operation string, rules int) ([]byte, error) {
	return recorded.ReadFile("testdata/" + ReviewFile(operation, rules))
}
