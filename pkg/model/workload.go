package model

import (
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

// setWorkload stores the template of a workload that no other workload controls.
func (s *Store) setWorkload(kind string, o metav1.Object, template *corev1.PodTemplateSpec, replicas *int32, keep bool) {
	namespace := namespaceOf(o)
	record := workloadRecord{replicas: 1}
	if replicas != nil {
		record.replicas = int(*replicas)
	}
	if template == nil {
		template = &corev1.PodTemplateSpec{}
	}
	record.class = podClass(namespace, template.Labels, &template.Spec)
	record.key = classKey(&record.class)
	keep = keep && o.GetDeletionTimestamp() == nil && !controlled(o)
	put(s, kind, s.space(namespace).workloads, kind+"/"+o.GetName(), record, keep)
}

// applyWorkload stores obj if it is a workload.
func (s *Store) applyWorkload(obj any) bool {
	switch w := obj.(type) {
	case *appsv1.Deployment:
		s.setWorkload("Deployment", w, &w.Spec.Template, w.Spec.Replicas, true)
	case *appsv1.StatefulSet:
		s.setWorkload("StatefulSet", w, &w.Spec.Template, w.Spec.Replicas, true)
	case *appsv1.DaemonSet:
		s.setWorkload("DaemonSet", w, &w.Spec.Template, nil, true)
		s.noteAgent(w)
	case *appsv1.ReplicaSet:
		s.setWorkload("ReplicaSet", w, &w.Spec.Template, w.Spec.Replicas, true)
	case *corev1.ReplicationController:
		s.setWorkload("ReplicationController", w, w.Spec.Template, w.Spec.Replicas, true)
	case *batchv1.Job:
		s.setWorkload("Job", w, &w.Spec.Template, w.Spec.Parallelism, !finished(w))
	case *batchv1.CronJob:
		s.setWorkload("CronJob", w, &w.Spec.JobTemplate.Spec.Template, w.Spec.JobTemplate.Spec.Parallelism, true)
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

// agents are the names of the DaemonSets that the CNIs install, and the CNI that each stands for.
var agents = map[string]string{
	"calico-node": "calico", "canal": "calico", "cilium": "cilium", "anetd": "cilium", "antrea-agent": "antrea",
	"kube-router": "kube-router", "weave-net": "weave", "ovnkube-node": "ovn-kubernetes", "kube-ovn-cni": "kube-ovn",
	"azure-npm": "azure-npm", "aws-node": "aws-vpc", "kindnet": "kindnet", "sdn": "openshift-sdn",
	"kube-flannel-ds": "flannel", "kube-flannel": "flannel",
}

func (s *Store) noteAgent(ds *appsv1.DaemonSet) {
	key := namespaceOf(ds) + "/" + ds.Name
	cni := agents[strings.ToLower(ds.Name)]
	if cni == "" || ds.DeletionTimestamp != nil {
		delete(s.agents, key)
		return
	}
	s.agents[key] = cni
}
