// Command webhook compares the admission webhook with two that do less: an always-allow handler on controller-runtime, and
// an always-allow net/http handler that reads nothing but the uid. It replays recorded AdmissionReviews over HTTPS, to all
// servers in turn within one run, and prints reviews per second and the server's CPU-seconds per 1,000 reviews.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/portcullis-dev/portcullis/test/bench"
)

func main() {
	which := flag.String("serve", "", "be one of the servers (internal)")
	port := flag.Int("port", 0, "port of that server (internal)")
	slice := flag.Duration("slice", 300*time.Millisecond, "length of one measurement; each server gets one in turn")
	rounds := flag.Int("rounds", 8, "how many slices each server gets for each row of the table")
	flag.Parse()
	var err error
	if *which != "" {
		err = serve(*which, *port)
	} else {
		err = compare(os.Stdout, *slice, *rounds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "webhook:", err)
		os.Exit(1)
	}
}

// column is one server and endpoint.
type column struct {
	title, path string
	server      *child
}

func compare(out io.Writer, slice time.Duration, rounds int) (err error) {
	servers := map[string]*child{}
	for _, which := range []string{withControllerRuntime, withNetHTTP, withPortcullis} {
		c, startErr := start(which)
		if startErr != nil {
			return startErr
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		servers[which] = c
	}
	columns := []column{
		{"controller-runtime", "/validate", servers[withControllerRuntime]},
		{"net/http", "/validate", servers[withNetHTTP]},
		{"portcullis /validate", "/validate", servers[withPortcullis]},
		{"portcullis /mutate", "/mutate", servers[withPortcullis]},
	}
	fmt.Fprintf(out, "%-12s %5s", "connections", "rules")
	for _, c := range columns {
		fmt.Fprintf(out, "  %24s", c.title)
	}
	fmt.Fprintf(out, "\n%-12s %5s", "", "")
	for range columns {
		fmt.Fprintf(out, "  %10s %13s", "reviews/s", "CPU-s/1,000")
	}
	fmt.Fprintln(out)
	for _, connections := range []int{1, 16} {
		var rows [][]sample
		for _, rules := range bench.RuleCounts {
			row, err := measure(columns, connections, rules, slice, rounds)
			if err != nil {
				return err
			}
			printRow(out, connections, fmt.Sprint(rules), row)
			rows = append(rows, row)
		}
		printRow(out, connections, "mixed", mixed(rows))
	}
	return nil
}

func printRow(out io.Writer, connections int, rules string, row []sample) {
	fmt.Fprintf(out, "%-12d %5s", connections, rules)
	for _, s := range row {
		fmt.Fprintf(out, "  %10.0f %13.3f", s.perSecond(), s.cpuPerThousand())
	}
	fmt.Fprintln(out)
}

// mixed is what a thousand reviews of each kind of row take together.
func mixed(rows [][]sample) []sample {
	out := make([]sample, len(rows[0]))
	for _, row := range rows {
		for i, s := range row {
			perReview := func(d time.Duration) time.Duration { return time.Duration(float64(d) / float64(s.reviews) * 1000) }
			out[i].add(sample{1000, perReview(s.elapsed), perReview(s.cpu)})
		}
	}
	return out
}

// measure fills one row: CREATE, UPDATE and DELETE in turn, the servers in turn.
func measure(columns []column, connections, rules int, slice time.Duration, rounds int) ([]sample, error) {
	var bodies [][]byte
	for _, operation := range bench.Operations {
		body, err := bench.Review(operation, rules)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	client := newClient(connections)
	defer client.CloseIdleConnections()
	row := make([]sample, len(columns))
	for round := range rounds + 1 {
		for i, c := range columns {
			s, err := c.server.load(client, c.path, bodies, connections, slice)
			if err != nil {
				return nil, err
			}
			if round > 0 { // the first warms up
				row[i].add(s)
			}
		}
	}
	return row, nil
}
