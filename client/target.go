package client

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// parseTarget returns the addresses that a target names, each once, in order.
// A target is a list of host:port with commas between, or a URI
//
//	doozer:?ca=host:port&ca=host:port
//
// whose parameters are escaped as in any URI. There is no default port: a
// target that leaves it out is more often a mistake than a wish.
func parseTarget(target string) ([]string, error) {
	addrs, err := splitTarget(target)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrBadTarget, target, err)
	}
	return addrs, nil
}

// splitTarget does the work of parseTarget; its errors do not name the target.
func splitTarget(target string) ([]string, error) {
	list := strings.Split(target, ",")
	if rest, ok := strings.CutPrefix(target, "doozer:"); ok {
		var err error
		if list, err = targetURI(rest); err != nil {
			return nil, err
		}
	}
	var addrs []string
	for _, a := range list {
		if a = strings.TrimSpace(a); a == "" {
			continue
		}
		if err := checkAddr(a); err != nil {
			return nil, err
		}
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("it names no address")
	}
	if len(addrs) > maxNodes {
		return nil, fmt.Errorf("it names %d addresses, the limit is %d", len(addrs), maxNodes)
	}
	return addrs, nil
}

// targetURI reads what follows "doozer:".
func targetURI(rest string) ([]string, error) {
	query, ok := strings.CutPrefix(rest, "?")
	if !ok {
		return nil, fmt.Errorf(`after "doozer:" comes "?ca=host:port"`)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, err
	}
	for name := range values {
		if name != "ca" {
			return nil, fmt.Errorf("unknown parameter %q", name)
		}
	}
	return values["ca"], nil
}

// checkAddr asks for a host and a numeric port. It does not resolve anything.
func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return fmt.Errorf("address %q is not host:port", addr)
	case host == "":
		return fmt.Errorf("address %q has no host", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("address %q: bad port %q", addr, port)
	}
	return nil
}
