package page

import (
	"cmp"
	"maps"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// outlook says what would be denied if a level were enforced in every namespace. What is exempt, provisional or undetermined
// never denies.
type outlook struct {
	Rows                 []outlookRow
	Baseline, Restricted int
	// BaselineIn and RestrictedIn are in how many namespaces.
	BaselineIn, RestrictedIn int
}

type outlookRow struct {
	Namespace                   string
	Today, Baseline, Restricted int
}

func newOutlook(findings []report.Finding) outlook {
	rows := map[string]*outlookRow{}
	for i := range findings {
		f := &findings[i]
		if !slices.Contains([]verdict.Action{verdict.ActionDeny, verdict.ActionWarn, verdict.ActionAudit}, f.Action) {
			continue
		}
		name := namespaceOf(f.Subject)
		row := rows[name]
		if row == nil {
			row = &outlookRow{Namespace: name}
			rows[name] = row
		}
		if f.Action == verdict.ActionDeny {
			row.Today++
		}
		if finding.Baseline.Includes(f.Level) {
			row.Baseline++
		}
		if finding.Restricted.Includes(f.Level) {
			row.Restricted++
		}
	}
	var o outlook
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		row := *rows[name]
		o.Rows = append(o.Rows, row)
		o.Baseline += row.Baseline
		o.Restricted += row.Restricted
		o.BaselineIn += min(row.Baseline, 1)
		o.RestrictedIn += min(row.Restricted, 1)
	}
	slices.SortStableFunc(o.Rows, func(a, b outlookRow) int {
		return cmp.Or(cmp.Compare(b.Today, a.Today), cmp.Compare(b.Baseline, a.Baseline), cmp.Compare(b.Restricted, a.Restricted))
	})
	return o
}
