// Package netset holds exact, immutable sets of IP addresses, of ports, and of connections (their product). It knows
// nothing of Kubernetes.
package netset
