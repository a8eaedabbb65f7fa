// Package netset holds exact, immutable sets of IP addresses (Addrs), of ports (Ports), and of connections, which are
// pairs of both (Conns). It knows nothing of Kubernetes, beyond the leniency of ParseCIDR.
//
// Every set has one canonical form, so that equal sets are equal structures and have equal texts. The zero value is the
// empty set. An operation never changes its operands, and its result may share their memory; all sets may be used by
// many goroutines at once.
//
// Addresses and ports are both numbers of 128 bits, and one algebra of sorted intervals (spans.go) serves both. Where an
// operand already is the result, as in a union with a subset, nothing is allocated.
package netset
