// Command memory prints how much memory the state of a large cluster takes: every generated object is decoded from its
// JSON, as an informer decodes what the API server sends, stored, and dropped; then the snapshot is compiled and judged once.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/server"
	"github.com/portcullis-dev/portcullis/test/bench"
)

func main() {
	var size bench.Size
	flag.IntVar(&size.Namespaces, "namespaces", 1_000, "Namespaces of the cluster")
	flag.IntVar(&size.Pods, "pods", 100_000, "pods of the cluster")
	flag.IntVar(&size.Policies, "policies", 10_000, "NetworkPolicies of the cluster")
	flag.Parse()
	if err := run(size); err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
}

func run(size bench.Size) error {
	server.TuneGC() // as portcullis serve does
	store := model.NewStore()
	if err := bench.Generate(size, func(o bench.Object) error {
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
	}); err != nil {
		return err
	}
	snapshot := store.Snapshot(model.Facts{Live: true})
	for range snapshot.Namespaces() { // makes the index of labels
	}
	var heap runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&heap)
	resident, peak, err := residentKiB()
	if err != nil {
		return err
	}
	fmt.Printf("%-10s %-10s %-10s %14s %14s %14s\n", "namespaces", "pods", "policies", "live heap MiB", "resident MiB", "peak MiB")
	fmt.Printf("%-10d %-10d %-10d %14.1f %14.1f %14.1f\n", size.Namespaces, size.Pods, size.Policies,
		float64(heap.HeapAlloc)/(1<<20), float64(resident)/1024, float64(peak)/1024)
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
