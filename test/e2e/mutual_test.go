package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/test/controlplane"
	"github.com/portcullis-dev/portcullis/test/guard"
)

// mutual is what makes the API server show a certificate to one webhook, and the addresses of that webhook.
type mutual struct {
	controlplane.WebhookClient
	addresses guard.Addresses
}

// prepareMutual writes what the API server needs into the folder.
func prepareMutual(dir string) (m mutual, err error) {
	if m.addresses, err = guard.FreeAddresses(); err != nil {
		return m, err
	}
	m.WebhookClient, err = controlplane.NewWebhookClient(dir, m.addresses.Webhook)
	return m, err
}

func TestOnlyTheAPIServerIsAnsweredIfItShowsACertificate(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, "--client-ca-file="+shared.mutual.Authority, "--client-ca-names="+shared.mutual.Name)
	g, err := guard.Start(guard.Options{Binary: shared.binary, Log: r.log(0), Addresses: shared.mutual.addresses, Args: r.args})
	require.NoError(t, err)
	t.Cleanup(g.Stop)
	r.guards = append(r.guards, g)
	r.register(0)
	require.NoError(t, g.AwaitReady(within(t)))
	r.awaitAsked(0)

	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(r.bundle(within(t))))
	connection, err := tls.Dial("tcp", g.Webhook, &tls.Config{RootCAs: pool})
	require.NoError(t, err, "it is the server that refuses")
	defer func() { _ = connection.Close() }()
	_, err = connection.Read(make([]byte, 1))
	assert.ErrorContains(t, err, "certificate required")
}
