package rules_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/rules"
)

func TestSettingsOutOfBoundsAreRefused(t *testing.T) {
	for settings, wrong := range map[string]string{
		"wide: {ipv4: 0}": "", "wide: {ipv4: 32}": "", "wide: {ipv4: -1}": "ipv4", "wide: {ipv4: 33}": "ipv4",
		"wide: {ipv6: 0}": "", "wide: {ipv6: 128}": "", "wide: {ipv6: -1}": "ipv6", "wide: {ipv6: 129}": "ipv6",
		`allowLabel: ""`: "", "allowLabel: example.com/open": "", "allowLabel: no key": "allowLabel",
	} {
		_, err := config.Load([]byte("rules: {internet-ingress: {"+settings+"}}\n"), "guard.yaml", rules.Catalogue())
		if wrong == "" {
			assert.NoError(t, err, settings)
		} else {
			assert.ErrorContains(t, err, wrong, settings)
		}
	}
}
