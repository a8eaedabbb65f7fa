// Package model is the compiled, defaulted, immutable view of a cluster that the engine judges: a Snapshot of
// namespaces with their pod classes, Services and NetworkPolicies, and the Change that is about to enter it.
//
// A Store gathers objects, from manifests or from an informer, and yields Snapshots. Everything reachable from a
// Snapshot is immutable: share it between goroutines freely, and never write to it.
package model
