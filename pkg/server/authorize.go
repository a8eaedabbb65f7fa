package server

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
)

// How long the answer of a SubjectAccessReview holds. Whoever gets the right to exempt wants to use it now.
const (
	allowedFor = 10 * time.Second
	refusedFor = 2 * time.Second
)

// mayExempt asks the API server whether a user may exempt a NetworkPolicy: the verb exempt on networkpolicies in the API group
// portcullis.dev, a resource that exists in RBAC alone.
func mayExempt(client authorizationclient.AuthorizationV1Interface) (func(context.Context, authenticationv1.UserInfo, string, string) (bool, error), error) {
	delegate, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: client, AllowCacheTTL: allowedFor, DenyCacheTTL: refusedFor,
		WebhookRetryBackoff: &wait.Backoff{Steps: 2, Duration: 100 * time.Millisecond},
	}.New()
	if err != nil {
		return nil, fmt.Errorf("preparing SubjectAccessReviews: %w", err)
	}
	return func(ctx context.Context, who authenticationv1.UserInfo, namespace, name string) (bool, error) {
		extra := make(map[string][]string, len(who.Extra))
		for key, values := range who.Extra {
			extra[key] = values
		}
		decision, _, err := delegate.Authorize(ctx, authorizer.AttributesRecord{
			User: &user.DefaultInfo{Name: who.Username, UID: who.UID, Groups: who.Groups, Extra: extra},
			Verb: "exempt", APIGroup: "portcullis.dev", APIVersion: "*", Resource: "networkpolicies", Namespace: namespace, Name: name,
			ResourceRequest: true,
		})
		return decision == authorizer.DecisionAllow, err
	}, nil
}
