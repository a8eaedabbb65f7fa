// Package image tests the container image: it is built by buildah from nothing but the program, and the program is run as a container
// would run it.
package image

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/test/controlplane/process"
	"github.com/portcullis-dev/portcullis/test/guard"
)

// descriptor, manifest and config are parts of an OCI image (https://github.com/opencontainers/image-spec).
type descriptor struct{ Digest string }

type manifest struct {
	Config descriptor
	Layers []descriptor
}

type config struct {
	Architecture, OS string
	Config           struct {
		User       string
		Entrypoint []string
		Labels     map[string]string
	}
}

// built is an image in a directory.
type built struct {
	dir string
	manifest
	config config
}

func (b *built) blob(t *testing.T, d descriptor) string {
	t.Helper()
	algorithm, sum, found := strings.Cut(d.Digest, ":")
	require.True(t, found, d.Digest)
	return filepath.Join(b.dir, "blobs", algorithm, sum)
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, into))
}

// build builds the image for the architecture on no base, by hack/image, with a storage of its own.
func build(t *testing.T, architecture string) *built {
	t.Helper()
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Skip("there is no buildah: apt-get install buildah, and run this test again")
	}
	if os.Getuid() != 0 {
		t.Skip("buildah without a daemon and without mounts needs root: run this test as root")
	}
	root, err := guard.Root()
	require.NoError(t, err)
	dir := t.TempDir()
	storage := []string{"--storage-driver", "vfs", "--root", filepath.Join(dir, "storage"), "--runroot", filepath.Join(dir, "run")}
	const name = "localhost/portcullis:test"
	command := exec.Command(filepath.Join(root, "hack", "image"), name)
	command.Env = append(os.Environ(), "BASE=scratch", "BINARY=bin/portcullis-image-"+architecture, "PLATFORM=linux/"+architecture, "DOCKER_HOST=unix:///nonexistent", "BUILDAH_ISOLATION=chroot", "BUILDAH_FLAGS="+strings.Join(storage, " "))
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	b := &built{dir: filepath.Join(dir, "oci")}
	out, err = exec.Command("buildah", append(storage, "push", name, "oci:"+b.dir)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	var index struct{ Manifests []descriptor }
	read(t, filepath.Join(b.dir, "index.json"), &index)
	require.Len(t, index.Manifests, 1)
	read(t, b.blob(t, index.Manifests[0]), &b.manifest)
	read(t, b.blob(t, b.Config), &b.config)
	return b
}

// extract writes the image's files below dir, and yields their names.
func (b *built) extract(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	for _, layer := range b.Layers {
		file, err := os.Open(b.blob(t, layer))
		require.NoError(t, err)
		defer func() { _ = file.Close() }()
		unzipped, err := gzip.NewReader(file)
		require.NoError(t, err)
		for entries := tar.NewReader(unzipped); ; {
			header, err := entries.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			require.EqualValues(t, tar.TypeReg, header.Typeflag, "%s: the image has files alone", header.Name)
			require.True(t, filepath.IsLocal(header.Name), header.Name)
			assert.Zero(t, header.Mode&0o222, "%s can be written", header.Name)
			assert.Zero(t, header.Uid, header.Name)
			names = append(names, header.Name)
			target, err := os.OpenFile(filepath.Join(dir, header.Name), os.O_CREATE|os.O_WRONLY, fs.FileMode(header.Mode))
			require.NoError(t, err)
			_, err = io.Copy(target, entries)
			require.NoError(t, err)
			require.NoError(t, target.Close())
		}
	}
	return names
}

func TestTheImageIsTheProgramAloneAndRunsWithoutRights(t *testing.T) {
	image := build(t, runtime.GOARCH)
	assert.Equal(t, "linux", image.config.OS)
	assert.Equal(t, runtime.GOARCH, image.config.Architecture)
	assert.Equal(t, "65532:65532", image.config.Config.User)
	assert.Equal(t, []string{"/portcullis"}, image.config.Config.Entrypoint)
	for _, label := range []string{"title", "description", "source", "documentation", "licenses", "version", "revision"} {
		value := image.config.Config.Labels["org.opencontainers.image."+label]
		assert.True(t, value != "" && value != "unknown", label)
	}

	// The root is the image, and a mounted folder; both belong to somebody else, and cannot be written.
	root := filepath.Join(t.TempDir(), "root")
	require.NoError(t, os.Mkdir(root, 0o755))
	assert.Equal(t, []string{"portcullis"}, image.extract(t, root))
	state := filepath.Join(root, "state")
	require.NoError(t, os.Mkdir(state, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(state, "shop.yaml"), []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"), 0o444))
	for _, dir := range []string{state, root} {
		require.NoError(t, os.Chmod(dir, 0o555))
	}
	before := tree(t, root)
	health := free(t)
	log := filepath.Join(t.TempDir(), "log")
	p, err := process.Start(process.Spec{
		Path: image.config.Config.Entrypoint[0], Dir: "/", Log: log, Jail: &process.Jail{Root: root, UID: 65532, GID: 65532},
		Args: []string{"serve", "--snapshot=/state", "--bind-address=" + free(t), "--health-bind-address=" + health, "--metrics-bind-address=0"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { p.Stop(0) })
	require.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+health+"/readyz", nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "%s", p.LogTail(20))
	p.Stop(time.Minute)
	assert.NoError(t, p.Err(), p.LogTail(20))
	assert.Equal(t, before, tree(t, root), "nothing is written")
}

func TestTheSameCommitYieldsTheSameImage(t *testing.T) {
	first, second := build(t, runtime.GOARCH), build(t, runtime.GOARCH)
	assert.Equal(t, first.Layers, second.Layers)
	assert.Equal(t, first.Config, second.Config)
}

// TestTheImageForAnotherArchitectureRunsThere has qemu run the program of the image.
func TestTheImageForAnotherArchitectureRunsThere(t *testing.T) {
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil || runtime.GOARCH == "arm64" {
		t.Skip("there is no qemu for arm64, or it is not another architecture: apt-get install qemu-user-static on amd64, and run this test again")
	}
	image := build(t, "arm64")
	assert.Equal(t, "linux", image.config.OS)
	assert.Equal(t, "arm64", image.config.Architecture)
	root := t.TempDir()
	assert.Equal(t, []string{"portcullis"}, image.extract(t, root))
	program, err := elf.Open(filepath.Join(root, "portcullis"))
	require.NoError(t, err)
	defer func() { require.NoError(t, program.Close()) }()
	assert.Equal(t, elf.EM_AARCH64, program.Machine)
	run := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), qemu, append([]string{filepath.Join(root, "portcullis")}, args...)...).CombinedOutput()
		return string(out), err
	}
	out, err := run("version")
	require.NoError(t, err, out)
	assert.Contains(t, out, "portcullis")
	manifests := filepath.Join(t.TempDir(), "open.yaml")
	require.NoError(t, os.WriteFile(manifests, []byte(`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}
`), 0o600))
	out, err = run("check", manifests)
	require.Error(t, err, "there is something to refuse")
	assert.Contains(t, out, "internet-ingress")
}

// tree are the files below a folder, with when they were changed.
func tree(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		out = append(out, path+" "+info.Mode().String()+" "+info.ModTime().String())
		return err
	}))
	return out
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}
