// Command memory prints how much memory the state of a large cluster takes: every generated object is decoded from its
// JSON, as an informer decodes what the API server sends, stored, and dropped; then the snapshot is compiled, audited, and the
// report made. GOMEMLIMIT holds as for portcullis serve. With -wide 30, there is besides what one tenant may add.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"strings"

	"k8s.io/utils/clock"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/server"
	"github.com/portcullis-dev/portcullis/test/bench"
)

func main() {
	var size bench.Size
	flag.IntVar(&size.Namespaces, "namespaces", 1_000, "Namespaces of the cluster")
	flag.IntVar(&size.Pods, "pods", 100_000, "pods of the cluster")
	flag.IntVar(&size.Policies, "policies", 10_000, "NetworkPolicies of the cluster")
	wide := flag.Int("wide", 0, "NetworkPolicies of 3,000 rules, besides")
	flag.Parse()
	if err := run(size, *wide); err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
}

func run(size bench.Size, wide int) error {
	server.TuneGC() // as portcullis serve does
	store := model.NewStore()
	read := func(o bench.Object) error {
		text, err := json.Marshal(o)
		if err != nil {
			return err
		}
		decoded := reflect.New(reflect.TypeOf(o).Elem()).Interface().(bench.Object)
		if err := json.Unmarshal(text, decoded); err != nil {
			return err
		}
		_, err = store.Apply(decoded)
		return err
	}
	if err := bench.Generate(size, read); err != nil {
		return err
	}
	if wide > 0 {
		if err := bench.Wide(wide, read); err != nil {
			return err
		}
	}
	snapshot := store.Snapshot(model.Facts{Live: true})
	for range snapshot.Namespaces() { // makes the index of labels
	}
	if err := tell("state", store, snapshot); err != nil {
		return err
	}
	return audited(store, snapshot)
}

// audited tells of the memory after a pass of the audit and a report.
func audited(store *model.Store, snapshot *model.Snapshot) error {
	c, err := config.Load(nil, "", rules.Catalogue())
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var failed error
	auditor := audit.New(audit.Options{
		Snapshot: func() (*model.Snapshot, bool) { return snapshot, true }, Config: func() *config.Config { return c },
		Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
		Publish: func(_ context.Context, r *audit.Results) {
			defer stop()
			var size counter
			if failed = r.Report().JSON(&size); failed == nil {
				failed = tell(fmt.Sprintf("%d items, report of %.1f MB", len(r.Items), float64(size)/1e6), store, snapshot)
			}
			runtime.KeepAlive(r)
		},
	})
	auditor.Run(ctx)
	return failed
}

// counter counts what is written.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

var _ io.Writer = (*counter)(nil)

func tell(what string, store *model.Store, snapshot *model.Snapshot) error {
	var heap runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&heap)
	resident, peak, err := residentKiB()
	if err != nil {
		return err
	}
	fmt.Printf("live heap %7.1f MiB, resident %7.1f MiB, peak %7.1f MiB: %s\n",
		float64(heap.HeapAlloc)/(1<<20), float64(resident)/1024, float64(peak)/1024, what)
	runtime.KeepAlive(store)
	runtime.KeepAlive(snapshot)
	return nil
}

// residentKiB reads the resident size of this process, now and at its highest, as Linux tells it.
func residentKiB() (now, peak int, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(rest, &now)
		}
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Sscan(rest, &peak)
		}
	}
	if now == 0 || peak == 0 {
		return 0, 0, fmt.Errorf("/proc/self/status has no VmRSS or VmHWM")
	}
	return now, peak, nil
}
