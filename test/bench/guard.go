package bench

import (
	"github.com/portcullis-dev/portcullis/pkg/admission"
	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
)

// Handler is the webhook with all rules and the default configuration, on the generated cluster of that size.
func Handler(size Size) (*admission.Handler, error) {
	cfg, err := config.Load(nil, "", rules.Catalogue())
	if err != nil {
		return nil, err
	}
	store := model.NewStore()
	if err := Fill(store, size); err != nil {
		return nil, err
	}
	facts := cfg.Facts
	facts.Live = true
	snapshot := store.Snapshot(facts)
	return admission.New(admission.Options{
		State:  func() (*model.Snapshot, bool) { return snapshot, true },
		Config: func() *config.Config { return cfg },
	}), nil
}
