package admission

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// spec is a NetworkPolicySpec that reads itself, token by token: rules are most of what a review holds, and reading them by
// reflection costs twice the time. Fields that it does not know are skipped; a test compares it with encoding/json on
// every field there is. null leaves a field empty, and an empty list is not nil, as in encoding/json.
type spec networkingv1.NetworkPolicySpec

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *spec) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return readObject(d, func(name []byte) error {
		switch string(name) {
		case "podSelector":
			return readSelector(d, &s.PodSelector)
		case "ingress":
			return readList(d, &s.Ingress, func(r *networkingv1.NetworkPolicyIngressRule) error { return readRule(d, "from", &r.From, &r.Ports) })
		case "egress":
			return readList(d, &s.Egress, func(r *networkingv1.NetworkPolicyEgressRule) error { return readRule(d, "to", &r.To, &r.Ports) })
		case "policyTypes":
			return readList(d, &s.PolicyTypes, func(t *networkingv1.PolicyType) error { return readString(d, t) })
		}
		return d.SkipValue()
	})
}

func readRule(d *jsontext.Decoder, peersField string, peers *[]networkingv1.NetworkPolicyPeer, ports *[]networkingv1.NetworkPolicyPort) error {
	return readObject(d, func(name []byte) error {
		switch string(name) {
		case peersField:
			return readList(d, peers, func(p *networkingv1.NetworkPolicyPeer) error { return readPeer(d, p) })
		case "ports":
			return readList(d, ports, func(p *networkingv1.NetworkPolicyPort) error { return readPort(d, p) })
		}
		return d.SkipValue()
	})
}

func readPeer(d *jsontext.Decoder, p *networkingv1.NetworkPolicyPeer) error {
	return readObject(d, func(name []byte) error {
		switch string(name) {
		case "podSelector":
			return readPointer(d, &p.PodSelector, readSelector)
		case "namespaceSelector":
			return readPointer(d, &p.NamespaceSelector, readSelector)
		case "ipBlock":
			return readPointer(d, &p.IPBlock, readIPBlock)
		}
		return d.SkipValue()
	})
}

func readIPBlock(d *jsontext.Decoder, b *networkingv1.IPBlock) error {
	return readObject(d, func(name []byte) error {
		switch string(name) {
		case "cidr":
			return readString(d, &b.CIDR)
		case "except":
			return readList(d, &b.Except, func(s *string) error { return readString(d, s) })
		}
		return d.SkipValue()
	})
}

func readPort(d *jsontext.Decoder, p *networkingv1.NetworkPolicyPort) error {
	return readObject(d, func(name []byte) error {
		switch string(name) {
		case "protocol":
			return readPointer(d, &p.Protocol, readString[corev1.Protocol])
		case "port":
			return readPointer(d, &p.Port, readIntOrString)
		case "endPort":
			return readPointer(d, &p.EndPort, readInt32)
		}
		return d.SkipValue()
	})
}

func readSelector(d *jsontext.Decoder, s *metav1.LabelSelector) error {
	return readObject(d, func(name []byte) error {
		switch string(name) {
		case "matchLabels":
			return readStrings(d, &s.MatchLabels)
		case "matchExpressions":
			return readList(d, &s.MatchExpressions, func(r *metav1.LabelSelectorRequirement) error { return readRequirement(d, r) })
		}
		return d.SkipValue()
	})
}

func readRequirement(d *jsontext.Decoder, r *metav1.LabelSelectorRequirement) error {
	return readObject(d, func(name []byte) error {
		switch string(name) {
		case "key":
			return readString(d, &r.Key)
		case "operator":
			return readString(d, &r.Operator)
		case "values":
			return readList(d, &r.Values, func(s *string) error { return readString(d, s) })
		}
		return d.SkipValue()
	})
}

// readObject reads an object, whose members are read by what is given; null has none. The name is gone once anything more is
// read.
func readObject(d *jsontext.Decoder, member func(name []byte) error) error {
	if begun, err := begin(d, '{', "an object"); !begun {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := readText(d)
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// readStrings reads an object whose values are texts.
func readStrings(d *jsontext.Decoder, into *map[string]string) error {
	if d.PeekKind() == '{' {
		*into = map[string]string{}
	}
	return readObject(d, func(name []byte) error {
		key := string(name)
		var value string
		err := readString(d, &value)
		(*into)[key] = value
		return err
	})
}

// readList reads a list, whose items are read by what is given. An item that is null is empty.
func readList[T any](d *jsontext.Decoder, into *[]T, item func(*T) error) error {
	if begun, err := begin(d, '[', "a list"); !begun {
		return err
	}
	list := []T{}
	for d.PeekKind() != ']' {
		var zero T
		list = append(list, zero)
		if err := item(&list[len(list)-1]); err != nil {
			return err
		}
	}
	*into = list
	_, err := d.ReadToken()
	return err
}

// readPointer reads a value that may be null.
func readPointer[T any](d *jsontext.Decoder, into **T, read func(*jsontext.Decoder, *T) error) error {
	if d.PeekKind() == 'n' {
		_, err := d.ReadToken()
		return err
	}
	*into = new(T)
	return read(d, *into)
}

// begin reads the opening bracket, or null; then nothing has begun.
func begin(d *jsontext.Decoder, bracket jsontext.Kind, wanted string) (bool, error) {
	token, err := d.ReadToken()
	if err != nil {
		return false, err
	}
	switch token.Kind() {
	case bracket:
		return true, nil
	case 'n':
		return false, nil
	}
	return false, mismatch(d, wanted)
}

func mismatch(d *jsontext.Decoder, wanted string) error {
	return fmt.Errorf("%s is not %s", d.StackPointer(), wanted)
}

// readString reads a text; null is the empty one.
func readString[T ~string](d *jsontext.Decoder, into *T) error {
	if d.PeekKind() == 'n' {
		*into = ""
		_, err := d.ReadToken()
		return err
	}
	text, err := readText(d)
	if err != nil {
		return err
	}
	switch string(text) { // what every policy says need not be copied from each
	case "TCP":
		*into = "TCP"
	case "UDP":
		*into = "UDP"
	case "Ingress":
		*into = "Ingress"
	case "Egress":
		*into = "Egress"
	default:
		*into = T(text)
	}
	return nil
}

// readText reads a text that is gone once anything more is read.
func readText(d *jsontext.Decoder) ([]byte, error) {
	value, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	if value.Kind() != '"' {
		return nil, mismatch(d, "a text")
	}
	if text := value[1 : len(value)-1]; bytes.IndexByte(text, '\\') < 0 {
		return text, nil
	}
	return jsontext.AppendUnquote(nil, value)
}

func readInt32(d *jsontext.Decoder, into *int32) error {
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '0' {
		return mismatch(d, "a number")
	}
	n, err := token.Int()
	if err != nil || n < math.MinInt32 || n > math.MaxInt32 {
		return errors.Join(mismatch(d, "a number of 32 bits"), err)
	}
	*into = int32(n)
	return nil
}

func readIntOrString(d *jsontext.Decoder, into *intstr.IntOrString) error {
	if d.PeekKind() == '"' {
		into.Type = intstr.String
		return readString(d, &into.StrVal)
	}
	return readInt32(d, &into.IntVal)
}
