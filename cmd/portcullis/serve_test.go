package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFlagsOfServeThatMakeNoSenseAreRefused(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "there-is-none"))
	t.Setenv("HOME", t.TempDir())
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"if there is no cluster, then the ways to name one are told": {
			nil, "Error: there is no cluster: name a kubeconfig with --kubeconfig, or a folder of manifests with --snapshot"},
		"if there are arguments, then they are too many": {
			[]string{"manifests/"}, "Error: portcullis serve wants no arguments, and got 1"},
		"if the mode is unknown, then the known ones are told": {
			[]string{"--mode=off"}, `Error: --mode: unknown mode "off": use enforce or audit`},
		"if the source of certificates is unknown, then the known ones are told": {
			[]string{"--cert-source=vault"}, `Error: --cert-source "vault" is not known: use self-signed, cert-manager or files`},
		"if certificates come from files, then the folder is needed": {
			[]string{"--cert-source=files"}, "Error: --cert-source files needs --cert-dir, the folder with tls.crt and tls.key"},
		"if there is a folder and certificates come from elsewhere, then that is told": {
			[]string{"--cert-dir=/tmp"}, "Error: --cert-dir is of use with --cert-source files only"},
		"if the issuer has no kind, then it is shown how to name it": {
			[]string{"--cert-source=cert-manager", "--cert-issuer=corporate"}, `Error: --cert-issuer: "corporate" is no issuer: name it as in Issuer/NAME, ClusterIssuer/NAME or KIND.GROUP/NAME`},
		"if there is an issuer and certificates come from elsewhere, then that is told": {
			[]string{"--cert-issuer=Issuer/a"}, "Error: --cert-issuer is of use with --cert-source cert-manager only"},
		"if there is no cluster, then there is no cert-manager": {
			[]string{"--cert-source=cert-manager", "--snapshot=."}, "Error: --cert-source cert-manager and --snapshot exclude each other"},
		"if webhooks go with the process, then cert-manager has none to write to": {
			[]string{"--cert-source=cert-manager", "--register"}, "Error: --cert-source cert-manager and --register exclude each other"},
		"if a certificate holds for longer than its CA, then that is told": {
			[]string{"--cert-ca-lifetime=24h"}, "Error: --cert-lifetime and --cert-ca-lifetime: a CA that holds for 24h0m0s cannot sign certificates that hold for 2160h0m0s"},
		"if certificates come from files, then their lifetime is that of the files": {
			[]string{"--cert-source=files", "--cert-dir=.", "--cert-lifetime=24h"}, "Error: --cert-lifetime is of no use with --cert-source files"},
		"if clients have names and no CA, then that is told": {
			[]string{"--client-ca-names=a"}, "Error: --client-ca-names is of use with --client-ca-file only"},
		"if there is a URL and nothing to register, then that is told": {
			[]string{"--webhook-url=https://127.0.0.1:9443"}, "Error: --webhook-url is of use with --register only"},
		"if the log format is unknown, then the known ones are told": {
			[]string{"--log-format=xml"}, `Error: --log-format: unknown log format "xml": use json or text`},
		"if there are manifests and a kubeconfig, then one of them has to go": {
			[]string{"--snapshot=.", "--kubeconfig=x"}, "Error: --kubeconfig and --snapshot exclude each other"},
		"if there is no cluster, then nothing can be registered": {
			[]string{"--snapshot=.", "--register"}, "Error: --register and --snapshot exclude each other"},
		"if there is no cluster, then nobody can tell who may read the metrics": {
			[]string{"--snapshot=.", "--metrics-secure"}, "Error: --metrics-secure needs a cluster that tells who may read the metrics"},
	} {
		t.Run(name, func(t *testing.T) {
			r := try(t, append([]string{"serve"}, c.args...)...)
			assert.Equal(t, exitBadInput, r.code)
			assert.Contains(t, r.err, c.want)
			assert.Contains(t, r.err, "See portcullis serve --help.")
		})
	}
}

func TestAKubeconfigThatCannotBeUsedIsNamed(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	r := try(t, "serve", "--kubeconfig=nowhere")
	assert.Equal(t, exitBadInput, r.code)
	assert.Contains(t, r.err, "Error: cannot use --kubeconfig nowhere: ")
}
