package model

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Load balancers of the AWS Load Balancer Controller are internal unless the Service asks for one that faces the internet
// (https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/nlb/).
const (
	awsScheme      = "service.beta.kubernetes.io/aws-load-balancer-scheme"
	awsInternal    = "service.beta.kubernetes.io/aws-load-balancer-internal" // the older form, for which "false" says it
	internetFacing = "internet-facing"
)

// internalAnnotations are the annotations by which the cloud providers' documentation marks a load balancer as internal,
// with the value that does so; an empty value stands for any but "false".
var internalAnnotations = map[string]string{
	"networking.gke.io/load-balancer-type": "Internal",
	"cloud.google.com/load-balancer-type":  "Internal",
	awsInternal:                            "",
	awsScheme:                              "internal",
	"service.beta.kubernetes.io/azure-load-balancer-internal":            "true",
	"service.beta.kubernetes.io/openstack-internal-load-balancer":        "true",
	"service.beta.kubernetes.io/oci-load-balancer-internal":              "true",
	"service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type": "intranet",
	"service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type":     "private",
	"service.kubernetes.io/qcloud-loadbalancer-internal-subnetid":        "",
}

// isInternal says whether the load balancer of a Service is internal, by an annotation or by the default of what makes it.
func isInternal(svc *corev1.Service) bool {
	for key, want := range internalAnnotations {
		got, there := svc.Annotations[key]
		if there && got != "" && (got == want || want == "" && got != "false") {
			return true
		}
	}
	return ofAWSController(svc) && svc.Annotations[awsScheme] != internetFacing && svc.Annotations[awsInternal] == ""
}

// ofAWSController says whether the AWS Load Balancer Controller makes the load balancer, and not the cloud provider.
func ofAWSController(svc *corev1.Service) bool {
	if class := svc.Spec.LoadBalancerClass; class != nil {
		return *class == "service.k8s.aws/nlb"
	}
	return slices.Contains([]string{"external", "nlb-ip"}, svc.Annotations["service.beta.kubernetes.io/aws-load-balancer-type"])
}

// isInternalIngress says whether the Application Load Balancer of an Ingress is internal. That it is by default is not taken for
// granted: IngressClassParams, and another Ingress of the same group, may say otherwise
// (https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/#scheme).
func isInternalIngress(ing *networkingv1.Ingress) bool {
	return ing.Annotations["alb.ingress.kubernetes.io/scheme"] == "internal"
}
