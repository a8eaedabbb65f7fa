package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// child is a server in a process of its own.
type child struct {
	name    string
	url     string
	cmd     *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Scanner
}

func start(which string) (*child, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	c := &child{name: which, url: "https://" + address(port), cmd: exec.Command(os.Args[0], "-serve", which, "-port", strconv.Itoa(port))}
	c.cmd.Stderr = os.Stderr
	if c.ask, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	answers, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.answers = bufio.NewScanner(answers)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	// The first answer comes when the server has been set up; from then on it listens, or will within moments.
	if _, err := c.cpu(); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	for {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(c.url, "https://"), clientTLS)
		if err == nil {
			return c, conn.Close()
		}
		if _, err := c.cpu(); err != nil {
			return nil, errors.Join(err, c.stop())
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", address(0))
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// stop ends the server, which its standard input holds.
func (c *child) stop() error { return errors.Join(c.ask.Close(), c.cmd.Wait()) }

// cpu is the CPU time that the server has used.
func (c *child) cpu() (time.Duration, error) {
	if _, err := fmt.Fprintln(c.ask); err != nil {
		return 0, err
	}
	if !c.answers.Scan() {
		return 0, fmt.Errorf("the server %s ended: %w", c.name, c.answers.Err())
	}
	ns, err := strconv.ParseInt(c.answers.Text(), 10, 64)
	return time.Duration(ns), err
}

// sample is what was measured of one server with one kind of request.
type sample struct {
	reviews int
	elapsed time.Duration
	cpu     time.Duration
}

func (s *sample) add(o sample) {
	s.reviews += o.reviews
	s.elapsed += o.elapsed
	s.cpu += o.cpu
}

// perSecond is how many reviews were answered in a second.
func (s sample) perSecond() float64 { return float64(s.reviews) / s.elapsed.Seconds() }

// cpuPerThousand is how many seconds of CPU the server used for 1,000 reviews.
func (s sample) cpuPerThousand() float64 { return s.cpu.Seconds() / float64(s.reviews) * 1000 }

// load sends the bodies in turn, over so many connections at a time, for so long.
func (c *child) load(client *http.Client, path string, bodies [][]byte, connections int, length time.Duration) (sample, error) {
	before, err := c.cpu()
	if err != nil {
		return sample{}, err
	}
	var wg sync.WaitGroup
	var done, next atomic.Int64
	errs := make([]error, connections)
	begin := time.Now()
	for i := range connections {
		wg.Go(func() {
			for errs[i] == nil && time.Since(begin) < length {
				body := bodies[int(next.Add(1))%len(bodies)]
				if errs[i] = review(client, c.url+path+"?timeout=10s", body); errs[i] == nil {
					done.Add(1)
				}
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(begin)
	after, err := c.cpu()
	return sample{int(done.Load()), elapsed, after - before}, errors.Join(append(errs, err)...)
}

func review(client *http.Client, url string, body []byte) error {
	response, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"allowed":true`)) {
		return fmt.Errorf("%s: %s: %s", url, response.Status, answer)
	}
	return nil
}

// clientTLS trusts whoever answers on the loopback address: the servers are ours.
var clientTLS = &tls.Config{InsecureSkipVerify: true}

// newClient speaks HTTP/1.1, as the API server does to webhooks.
func newClient(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     clientTLS.Clone(),
		MaxIdleConnsPerHost: connections,
	}}
}
