package config_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

type reload struct {
	config *config.Config
	err    error
}

// watched runs a Watcher of the file for the time of the test.
func watched(t *testing.T, path string) (*config.Watcher, <-chan reload) {
	before := goleak.IgnoreCurrent()
	reloads := make(chan reload, 16)
	w, err := config.NewWatcher(path, catalogue(t), func(c *config.Config, err error) { reloads <- reload{c, err} })
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		goleak.VerifyNone(t, before)
	})
	return w, reloads
}

func next(t *testing.T, reloads <-chan reload) reload {
	select {
	case r := <-reloads:
		return r
	case <-time.After(time.Minute):
		require.FailNow(t, "the change of the file was not seen")
		return reload{}
	}
}

func write(t *testing.T, path, text string) {
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestIfTheFileChangesThenTheNewVersionIsInForce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.yaml")
	write(t, path, "mode: enforce")
	w, reloads := watched(t, path)
	assert.Equal(t, verdict.ModeEnforce, w.Current().Mode)
	write(t, path, "mode: audit")
	r := next(t, reloads)
	require.NoError(t, r.err)
	assert.Equal(t, verdict.ModeAudit, r.config.Mode)
	assert.Same(t, r.config, w.Current())
}

func TestIfTheNewVersionIsBadThenTheOldOneStaysUntilAGoodOneComes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.yaml")
	write(t, path, "mode: audit")
	w, reloads := watched(t, path)
	old := w.Current()
	write(t, path, "mode: audti\nratchett: true\n")
	r := next(t, reloads)
	assert.Nil(t, r.config)
	assert.EqualError(t, r.err, path+`:1: mode: Unsupported value: "audti": supported values: "enforce", "audit"`+"\n"+path+`:2: ratchett: unknown field: did you mean "ratchet"?`)
	assert.Same(t, old, w.Current())
	write(t, path, "ratchet: true")
	r = next(t, reloads)
	require.NoError(t, r.err)
	assert.True(t, w.Current().Ratchet)
}

func TestIfTheFileIsGoneThenTheOldVersionStaysUntilItIsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.yaml")
	write(t, path, "")
	w, reloads := watched(t, path)
	old := w.Current()
	require.NoError(t, os.Remove(path))
	assert.EqualError(t, next(t, reloads).err, path+": there is no such file")
	assert.Same(t, old, w.Current())
	write(t, path, "")
	assert.NoError(t, next(t, reloads).err)
}

func TestIfAConfigMapIsUpdatedThenTheSwapOfItsLinkIsSeen(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		write(t, filepath.Join(dir, name, "guard.yaml"), text)
		require.NoError(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	version("..2026_1", "mode: enforce")
	path := filepath.Join(dir, "guard.yaml")
	require.NoError(t, os.Symlink(filepath.Join("..data", "guard.yaml"), path))
	w, reloads := watched(t, path)
	for _, v := range []struct {
		name string
		mode verdict.Mode
	}{{"2", verdict.ModeAudit}, {"3", verdict.ModeEnforce}} {
		version("..2026_"+v.name, "mode: "+string(v.mode))
		require.NoError(t, next(t, reloads).err)
		assert.Equal(t, v.mode, w.Current().Mode)
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "..2026_1")))
	}
}

func TestIfTheFileIsALinkToElsewhereThenChangesThereAreSeen(t *testing.T) {
	real, path := filepath.Join(t.TempDir(), "real.yaml"), filepath.Join(t.TempDir(), "guard.yaml")
	write(t, real, "mode: enforce")
	require.NoError(t, os.Symlink(real, path))
	w, reloads := watched(t, path)
	write(t, real, "mode: audit")
	require.NoError(t, next(t, reloads).err)
	assert.Equal(t, verdict.ModeAudit, w.Current().Mode)
}

func TestIfOtherFilesOfTheFolderChangeThenNothingIsReloaded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "guard.yaml")
	write(t, path, "mode: enforce")
	_, reloads := watched(t, path)
	write(t, filepath.Join(dir, "other.yaml"), "mode: nonsense")
	write(t, path, "mode: enforce") // the same bytes are no new version
	write(t, path, "mode: audit")
	r := next(t, reloads)
	require.NoError(t, r.err)
	assert.Equal(t, verdict.ModeAudit, r.config.Mode)
	assert.Empty(t, reloads)
}

func TestIfTheFirstVersionIsBadThenThereIsNoWatcher(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.yaml")
	write(t, path, "mode: x")
	_, err := config.NewWatcher(path, catalogue(t), nil)
	assert.ErrorContains(t, err, path+":1: mode: ")
	_, err = config.NewWatcher(path+".none", catalogue(t), nil)
	assert.ErrorContains(t, err, "there is no such file")
}
