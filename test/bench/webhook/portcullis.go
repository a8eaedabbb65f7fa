package main

import (
	"github.com/portcullis-dev/portcullis/pkg/admission"
	"github.com/portcullis-dev/portcullis/pkg/server"
	"github.com/portcullis-dev/portcullis/test/bench"
)

// portcullis is the handler with all rules and the default configuration, on a generated cluster of 10,000 pods.
func portcullis() (*admission.Handler, error) {
	server.TuneGC() // as portcullis serve does
	return bench.Handler(bench.Size{Namespaces: 1_000, Pods: 10_000, Policies: 10_000})
}
