package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// The servers that are compared. Each runs in a process of its own, so that what it costs can be told from what the client costs.
const (
	withControllerRuntime = "controller-runtime" // an always-allow admission.Handler
	withNetHTTP           = "net/http"           // an always-allow handler that reads the uid and nothing else
	withPortcullis        = "portcullis"         // all rules, on a cluster of 10,000 pods
)

// serve runs one of the servers on the port until standard input ends. For each line of input it prints the CPU time that
// the process has used so far, in nanoseconds.
func serve(which string, port int) error {
	log.SetLogger(logr.Discard())
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	failed := make(chan error, 1)
	switch which {
	case withNetHTTP:
		server := &http.Server{Addr: address(port), Handler: http.HandlerFunc(onlyUID), TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
		}}
		go func() { failed <- server.ListenAndServeTLS("", "") }()
	case withControllerRuntime, withPortcullis:
		mux := http.NewServeMux()
		server := webhook.NewServer(webhook.Options{Host: loopback, Port: port, WebhookMux: mux, TLSOpts: []func(*tls.Config){func(c *tls.Config) {
			c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil }
		}}})
		if which == withControllerRuntime {
			allow := admission.HandlerFunc(func(context.Context, admission.Request) admission.Response { return admission.Allowed("") })
			server.Register("/validate", &admission.Webhook{Handler: allow})
		} else {
			handler, err := portcullis()
			if err != nil {
				return err
			}
			mux.Handle("/validate", handler)
			mux.Handle("/mutate", handler)
		}
		go func() { failed <- server.Start(ctx) }()
	default:
		return fmt.Errorf("unknown server %q", which)
	}
	asked := make(chan error)
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			used, err := cpu()
			if err != nil {
				asked <- err
				return
			}
			fmt.Println(used.Nanoseconds())
		}
		asked <- lines.Err()
	}()
	select {
	case err := <-failed:
		return err
	case err := <-asked:
		return err
	}
}

const loopback = "127.0.0.1"

func address(port int) string { return net.JoinHostPort(loopback, fmt.Sprint(port)) }

func onlyUID(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var review struct {
		Request struct {
			UID string `json:"uid"`
		} `json:"request"`
	}
	if err == nil {
		err = json.Unmarshal(body, &review)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"apiVersion":"%s","kind":"AdmissionReview","response":{"uid":%q,"allowed":true}}`, admissionv1.SchemeGroupVersion, review.Request.UID)
}

// cpu is the CPU time of this process, user and system.
func cpu() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(loopback)}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key}, nil
}
