package main

import (
	"runtime/debug"

	"github.com/portcullis-dev/portcullis/pkg/admission"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
	"github.com/portcullis-dev/portcullis/test/bench"
)

// portcullis is the handler with all rules and the default configuration, on a generated cluster of 10,000 pods.
func portcullis() (*admission.Handler, error) {
	debug.SetGCPercent(300)
	store := model.NewStore()
	if err := bench.Fill(store, bench.Size{Namespaces: 1_000, Pods: 10_000, Policies: 10_000}); err != nil {
		return nil, err
	}
	snapshot := store.Snapshot(model.Facts{Live: true})
	guard := &admission.Guard{
		Engine:    engine.New(nil),
		Defaults:  verdict.Levels{Enforce: finding.Baseline, Warn: finding.Restricted, Audit: finding.Restricted},
		Mode:      verdict.ModeEnforce,
		Ratchet:   true,
		Mutations: mutate.Config{PolicyTypes: true, NamespaceNameLabel: "networking/namespace"},
	}
	return admission.New(admission.Options{
		State: func() (*model.Snapshot, bool) { return snapshot, true },
		Guard: func() *admission.Guard { return guard },
	}), nil
}
