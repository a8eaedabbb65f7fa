package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// want is a port that is asked for, as the pods see it: by number, by a name that each pod resolves for itself, or all.
type want struct {
	all      bool
	protocol netset.Protocol // 0 for any, of a name
	number   uint16
	name     string
	// service is the text of the Service's port that leads here; empty if no Service is asked for.
	service string
}

// String is "TCP/8080", "http" or "UDP/dns"; empty for all ports.
func (w want) String() string {
	switch {
	case w.all:
		return ""
	case w.name == "":
		return netset.Port{Protocol: w.protocol, Number: w.number}.String()
	case w.protocol == 0:
		return w.name
	}
	return w.protocol.String() + "/" + w.name
}

// parsePort reads "TCP/8080", "8080", "8080/tcp", "http" or "UDP/dns".
func parsePort(text string) (want, error) {
	if text == "" {
		return want{all: true}, nil
	}
	protocol, port := "", text
	if before, after, found := strings.Cut(text, "/"); found {
		protocol, port = before, after
		if _, known := netset.ParseProtocol(strings.ToUpper(after)); known {
			protocol, port = after, before
		}
	}
	out := want{}
	if protocol != "" {
		known := false
		if out.protocol, known = netset.ParseProtocol(strings.ToUpper(protocol)); !known {
			return want{}, fmt.Errorf("--port %s: %q is no protocol: write TCP, UDP or SCTP, as in UDP/53", text, protocol)
		}
	}
	if port == "" || strings.Trim(port, "0123456789abcdefghijklmnopqrstuvwxyz-") != "" {
		return want{}, fmt.Errorf("--port %q is no port: write one number or name, as in TCP/8080, 8080, http or UDP/dns", text)
	}
	if strings.Trim(port, "0123456789-") != "" {
		out.name = port
		return out, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return want{}, fmt.Errorf("--port %s: a port is one number from 1 to 65535", text)
	}
	out.number = uint16(number)
	if out.protocol == 0 {
		out.protocol = netset.TCP
	}
	return out, nil
}

// wants are the pods' ports that are asked for: behind a Service, those that its ports lead to.
func (r *resolver) wants(to *end, asked want) ([]want, error) {
	svc := to.service
	if svc == nil {
		return []want{asked}, r.checkNamed(to, asked)
	}
	if svc.Headless {
		r.note("%s is headless: clients connect to the pods' own addresses, and no port is translated.", to)
		if asked.number != 0 {
			return []want{asked}, nil
		}
	}
	var out []want
	var has []string
	for i := range svc.Ports {
		p := &svc.Ports[i]
		has = append(has, servicePortText(p))
		if asked.all || asked.name != "" && asked.name == p.Name && (asked.protocol == 0 || asked.protocol == p.Port.Protocol) ||
			asked.name == "" && asked.protocol == p.Port.Protocol && asked.number == p.Port.Number {
			out = append(out, r.behind(svc, p))
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	for i := range svc.Ports {
		if p := &svc.Ports[i]; asked.number != 0 && p.Target == asked.number && p.Port.Protocol == asked.protocol {
			return nil, fmt.Errorf("%s has no port %s, but forwards %s to it: ask for that, or name the pods in place of the Service", to, asked, servicePortText(p))
		}
	}
	if len(has) == 0 {
		return nil, fmt.Errorf("%s has no ports: name its pods in place of it", to)
	}
	return nil, fmt.Errorf("%s has no port %s; it has %s", to, asked, few(has))
}

func servicePortText(p *model.ServicePort) string {
	if p.Name == "" {
		return p.Port.String()
	}
	return p.Port.String() + " (" + p.Name + ")"
}

// behind is the pods' port that a Service's port leads to.
func (r *resolver) behind(svc *model.Service, p *model.ServicePort) want {
	w := want{protocol: p.Port.Protocol, number: p.Target, name: p.TargetName, service: p.Port.String()}
	switch {
	case w.name != "":
		r.note("Service %s/%s forwards %s to the port named %s of its pods.", svc.Namespace, svc.Name, servicePortText(p), w.name)
	case w.number != p.Port.Number:
		r.note("Service %s/%s forwards %s to %s of its pods.", svc.Namespace, svc.Name, servicePortText(p), w)
	}
	return w
}

// checkNamed says what is wrong with a port name that nothing there has.
func (r *resolver) checkNamed(to *end, asked want) error {
	if asked.name == "" {
		return nil
	}
	if to.outside() || to.Kind == kindNode {
		return fmt.Errorf("--port %s: only pods have names for ports: give a number, as in TCP/443", asked)
	}
	var declared []string
	for _, e := range to.ends {
		switch ports := named(e.Class, asked); {
		case len(ports) > 1:
			return fmt.Errorf("--port %s: it is %s and %s of %s: write one of the two", asked, ports[0], ports[1], e.Class.Name())
		case len(ports) == 1:
			return nil
		}
		for _, p := range e.Class.Ports {
			if text := portText(p); !slices.Contains(declared, text) {
				declared = append(declared, text)
			}
		}
	}
	if len(declared) == 0 {
		return fmt.Errorf("--port %s: %s declares no ports, and so has no names for them: give a number", asked, to)
	}
	return fmt.Errorf("--port %s: %s has no port of that name; it has %s", asked, to, few(declared))
}

func portText(p model.ContainerPort) string {
	if p.Name == "" {
		return p.Port.String()
	}
	return p.Port.String() + " (" + p.Name + ")"
}

// named are the ports of the pods that have the name.
func named(c *model.PodClass, w want) []netset.Port {
	var out []netset.Port
	for _, p := range c.Ports {
		if p.Name == w.name && (w.protocol == 0 || p.Port.Protocol == w.protocol) && !slices.Contains(out, p.Port) {
			out = append(out, p.Port)
		}
	}
	return out
}

// on is the port's number on the endpoint; if it has none, why.
func (w want) on(e reach.Endpoint) (port netset.Port, why string) {
	if w.name == "" {
		return netset.Port{Protocol: w.protocol, Number: w.number}, ""
	}
	ports := named(e.Class, w)
	if len(ports) == 0 {
		if w.service != "" {
			return netset.Port{}, fmt.Sprintf("The Service's port %s leads to the port named %s, which these pods do not declare: it forwards nothing to them.", w.service, w.name)
		}
		return netset.Port{}, fmt.Sprintf("These pods declare no port named %s.", w.name)
	}
	return ports[0], ""
}
