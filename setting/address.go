package setting

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"syscall"
)

// ErrInUse is wrapped by errors about an address that another program listens
// on.
var ErrInUse = errors.New("port in use")

// ListenError explains why the address of a setting cannot be listened on, and
// what to do. It is a *Problem of the key, and wraps ErrInUse if that is the
// reason.
func ListenError(key, address string, err error) error {
	p := &Problem{Key: key, Err: err}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(address)
		p.Err = ErrInUse
		p.Text = func(key string) string {
			return fmt.Sprintf("%s: %v: port %s at %s belongs to another program; stop it (ss -tulpn shows which) or change %s", key, ErrInUse, port, address, key)
		}
	case errors.Is(err, fs.ErrPermission):
		p.Err = fmt.Errorf("%s: this user may not open the port; choose one above 1023: %w", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		p.Err = fmt.Errorf("%s is no address of this machine (ip address shows them): %w", address, err)
	}
	return p
}

// SplitAddress splits host:port and checks the port's range. The host may be
// empty, which means every interface.
func SplitAddress(address string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no address; write host:port, for example 127.0.0.1:4222", address)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q: port %q is not a number from 0 to 65535", address, p)
	}
	return host, port, nil
}

// Loopback reports whether only this machine can reach the host.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Reachable turns "every interface" into the address by which other machines most
// likely reach this one; the port stays.
func Reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return address
	}
	if own := OwnAddresses(); len(own) > 0 {
		host = own[0].String()
	}
	return net.JoinHostPort(host, port)
}

// OwnAddresses are those of this machine that others may reach, IPv4 first.
func OwnAddresses() []net.IP {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var four, six []net.IP
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		switch {
		case !ok || !n.IP.IsGlobalUnicast():
		case n.IP.To4() != nil:
			four = append(four, n.IP)
		default:
			six = append(six, n.IP)
		}
	}
	return append(four, six...)
}
