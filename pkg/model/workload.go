package model

import (
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// workloadKinds are the kinds whose pod templates are read.
var workloadKinds = map[string]bool{
	"Deployment": true, "StatefulSet": true, "DaemonSet": true, "ReplicaSet": true, "Job": true, "CronJob": true, "ReplicationController": true,
}

// Workload is a workload that no other one controls: a Deployment, and not its ReplicaSets.
type Workload struct {
	Kind, Name string
	// Selector finds the workload's pods, as its spec.selector or else the labels of its template do.
	Selector Selector

	template string // the key of its template's class
}

// PodsOf are the classes of the workload's pods, and the class of its template if no pod is made from it. A pod is taken for
// the workload's if its Selector matches, as controllers do that adopt pods.
func (ns *Namespace) PodsOf(w *Workload) []*PodClass {
	var out []*PodClass
	for _, c := range ns.Classes {
		made := c.Template == "" && !w.Selector.AlwaysTrue() && w.Selector.Matches(c.Labels)
		if made || c.Template != "" && c.key == w.template {
			out = append(out, c)
		}
	}
	return out
}

// listWorkloads are the workloads, sorted by Kind and Name.
func (t *table) listWorkloads() []Workload {
	if len(t.workloads) == 0 {
		return nil
	}
	out := make([]Workload, 0, len(t.workloads))
	for _, key := range slices.Sorted(maps.Keys(t.workloads)) {
		kind, name, _ := strings.Cut(key, "/")
		w := t.workloads[key]
		out = append(out, Workload{Kind: kind, Name: name, Selector: w.selector, template: w.key})
	}
	return out
}

// setWorkload stores the template of a workload that no other workload controls.
func (s *Store) setWorkload(kind string, o metav1.Object, selector *metav1.LabelSelector, template *corev1.PodTemplateSpec, replicas *int32, keep bool) {
	namespace := namespaceOf(o)
	record := workloadRecord{replicas: 1}
	if replicas != nil {
		record.replicas = int(*replicas)
	}
	if template == nil {
		template = &corev1.PodTemplateSpec{}
	}
	record.class = podClass(namespace, template.Labels, &template.Spec)
	record.selector = SelectorOf(template.Labels)
	if selector != nil && len(selector.MatchLabels)+len(selector.MatchExpressions) > 0 {
		record.selector = compileSelector(selector)
	}
	record.key = classKey(&record.class)
	keep = keep && o.GetDeletionTimestamp() == nil && !controlled(o)
	put(s, kind, s.space(namespace).workloads, kind+"/"+o.GetName(), record, keep)
}

// applyWorkload stores obj if it is a workload.
func (s *Store) applyWorkload(obj any) bool {
	switch w := obj.(type) {
	case *appsv1.Deployment:
		s.setWorkload("Deployment", w, w.Spec.Selector, &w.Spec.Template, w.Spec.Replicas, true)
	case *appsv1.StatefulSet:
		s.setWorkload("StatefulSet", w, w.Spec.Selector, &w.Spec.Template, w.Spec.Replicas, true)
	case *appsv1.DaemonSet:
		s.setWorkload("DaemonSet", w, w.Spec.Selector, &w.Spec.Template, nil, true)
		s.noteAgent(w)
		s.noteNodeDNS(w)
	case *appsv1.ReplicaSet:
		s.setWorkload("ReplicaSet", w, w.Spec.Selector, &w.Spec.Template, w.Spec.Replicas, true)
	case *corev1.ReplicationController:
		s.setWorkload("ReplicationController", w, &metav1.LabelSelector{MatchLabels: w.Spec.Selector}, w.Spec.Template, w.Spec.Replicas, true)
	case *batchv1.Job:
		s.setWorkload("Job", w, w.Spec.Selector, &w.Spec.Template, w.Spec.Parallelism, !finished(w))
	case *batchv1.CronJob:
		s.setWorkload("CronJob", w, nil, &w.Spec.JobTemplate.Spec.Template, w.Spec.JobTemplate.Spec.Parallelism, true)
	default:
		return false
	}
	return true
}

func finished(job *batchv1.Job) bool {
	for _, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
