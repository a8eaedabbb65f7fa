package main

import (
	"context"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/judge"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// newJudge makes a judge by the configuration. enforced replaces the enforce level of every namespace; nil for none.
func (p program) newJudge(c *config.Config, enforced *finding.Level) *judge.Judge {
	j := judge.New(c, p.now())
	j.Enforced = enforced
	return j
}

// decide judges what the input asks about: its policies, their namespaces and, unless single manifests are judged by a
// cluster, every namespace and the cluster.
func (in *input) decide(ctx context.Context, j *judge.Judge) ([]verdict.Decided, error) {
	var changes []model.Change
	if in.onlyManifests || in.onlyCluster {
		changes = append(changes, j.Cluster())
		for ns := range in.snapshot.Namespaces() {
			changes = append(changes, j.Namespace(&ns.Meta))
		}
	} else {
		for _, meta := range in.Namespaces {
			changes = append(changes, j.Namespace(meta))
		}
	}
	for _, p := range in.judged() {
		changes = append(changes, j.Policy(p))
	}
	return j.All(ctx, in.snapshot, changes)
}
