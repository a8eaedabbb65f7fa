package model

import (
	"encoding/json"
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A Route of OpenShift (route.openshift.io/v1) forwards to one or several Services of its own namespace. What weights they have
// now, and whether a router has admitted it, is not asked. The port is that of the Services' endpoints, and not of the Services:
// a number is the pods' own, and a name is the one that the endpoint has of the Service's port ("If this is a string, it will be
// looked up as a named port in the target endpoints port list"). Without a port, it forwards to every one of them.

const openshiftRoute = "Route"

// forwarding is what is read of a Route.
type forwarding struct {
	Spec struct {
		To                routeTarget   `json:"to"`
		AlternateBackends []routeTarget `json:"alternateBackends"`
		Port              *struct {
			TargetPort intstr.IntOrString `json:"targetPort"`
		} `json:"port"`
	} `json:"spec"`
}

// routeTarget is a Service: "Only the Service kind is allowed, and it will be defaulted to Service."
type routeTarget struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

func (s *Store) setRoute(o *unstructured.Unstructured) error {
	var f forwarding
	text, err := json.Marshal(o.Object)
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		return fmt.Errorf("%s %s/%s cannot be read: %w", openshiftRoute, o.GetNamespace(), o.GetName(), err)
	}
	namespace := namespaceOf(o)
	backend := Backend{Origin: Origin{Kind: originKinds[openshiftRoute], Namespace: namespace, Name: o.GetName()}}
	if f.Spec.Port != nil {
		backend.PortName, backend.Target = endpointPort(f.Spec.Port.TargetPort)
	}
	records := []backendRecord{}
	for _, to := range append([]routeTarget{f.Spec.To}, f.Spec.AlternateBackends...) {
		if to.Name != "" && (to.Kind == "" || to.Kind == "Service") {
			backend.Service = to.Name
			records = append(records, backendRecord{Backend: backend})
		}
	}
	s.expose(openshiftRoute, o, map[string][]backendRecord{namespace: records})
	return nil
}

// endpointPort is the name or the number that is meant. A number may be written as a string.
func endpointPort(port intstr.IntOrString) (name string, number uint16) {
	if n, err := strconv.ParseUint(port.String(), 10, 16); err == nil {
		return "", uint16(n)
	}
	return port.String(), 0
}
