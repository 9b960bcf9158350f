package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"posefuse/sensors/lidar"
)

// Interface is a network interface.
type Interface struct {
	Name      string   `json:"name"`
	Up        bool     `json:"up"`
	WiFi      bool     `json:"wifi"`
	Monitor   bool     `json:"monitor"` // in monitor mode
	Addresses []string `json:"addresses"`
	Finding   Finding  `json:"finding"`
}

// typeRadiotap is the kernel's number of an interface in monitor mode.
const typeRadiotap = "803"

// interfaces lists the network interfaces but loopback.
func interfaces(root string) (out []Interface) {
	list, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for i := range list {
		n := &list[i]
		if n.Flags&net.FlagLoopback != 0 {
			continue
		}
		dir := filepath.Join(root, "sys/class/net", n.Name)
		x := Interface{Name: n.Name, Up: n.Flags&net.FlagUp != 0, Monitor: line(dir, "type") == typeRadiotap, Addresses: []string{}}
		x.WiFi = exists(dir, "phy80211")
		if !x.Up && !exists(dir, "device") {
			continue // one that the kernel made for itself
		}
		if addrs, err := n.Addrs(); err == nil {
			for _, a := range addrs {
				x.Addresses = append(x.Addresses, a.String())
			}
		}
		x.Finding = x.judge(line(dir, "carrier"))
		out = append(out, x)
	}
	return out
}

func exists(path ...string) bool {
	_, err := os.Stat(filepath.Join(path...))
	return err == nil
}

func (x *Interface) judge(carrier string) Finding {
	switch {
	case !x.Up:
		return Finding{"down", "switched off: sudo ip link set " + x.Name + " up", false}
	case carrier == "0":
		return Finding{"no_carrier", "no cable, or nothing at its other end", false}
	case x.WiFi:
		return Finding{"ok", "WiFi: a CSI receiver if its firmware is patched (driver nexmon)", true}
	case len(x.Addresses) == 0:
		return Finding{"no_address", "no address: a LiDAR needs one to send to, e.g. sudo ip address add 192.168.50.1/24 dev " + x.Name, false}
	}
	return Finding{"ok", "up", true}
}

// UDPPort is a port at which somebody listened.
type UDPPort struct {
	Port      int      `json:"port"`
	Datagrams int      `json:"datagrams"`
	From      []string `json:"from"`
	Looks     string   `json:"looks"`
	Driver    string   `json:"driver,omitempty"` // that reads it
	Finding   Finding  `json:"finding"`
}

// maxSenders bounds the senders that are named.
const maxSenders = 4

// pollEvery is how often a listener looks whether its time is over.
const pollEvery = 50 * time.Millisecond

// listenUDP says what comes to a port until ctx ends.
func listenUDP(ctx context.Context, port int) UDPPort {
	u := UDPPort{Port: port, From: []string{}}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, "udp", ":"+strconv.Itoa(port))
	if err != nil {
		u.Finding = Finding{"unreadable", err.Error(), false}
		if errors.Is(err, syscall.EADDRINUSE) {
			u.Finding = Finding{"in_use", "another program reads it, perhaps the daemon: its sensors' state is in /api/status", true}
		}
		return u
	}
	defer func() { _ = pc.Close() }() // only read
	senders := map[netip.Addr]bool{}
	buf := make([]byte, 1<<16)
	for ctx.Err() == nil {
		if err := pc.SetReadDeadline(time.Now().Add(pollEvery)); err != nil {
			break
		}
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			continue // nobody sent anything meanwhile
		}
		u.Datagrams++
		if a, err := netip.ParseAddrPort(from.String()); err == nil && !senders[a.Addr()] && len(senders) < maxSenders {
			senders[a.Addr()] = true
			u.From = append(u.From, a.Addr().Unmap().String())
		}
		if k := lidar.Recognise(buf[:n]); k.What != "" {
			u.Looks, u.Driver = k.What, k.Driver
		}
	}
	u.Finding = u.judge()
	return u
}

func (u *UDPPort) judge() Finding {
	switch {
	case u.Datagrams == 0:
		return Finding{"silent", "nothing came", true}
	case len(u.From) > 1:
		return Finding{"two_senders", fmt.Sprintf("%s send here: give each sensor a port of its own", strings.Join(u.From, " and ")), false}
	case u.Driver != "":
		return Finding{"ok", fmt.Sprintf("use sensors.lidar.driver: %s with from: %s", u.Driver, u.From[0]), true}
	case u.Looks != "":
		return Finding{"other", "this is no LiDAR", false}
	}
	return Finding{"unknown", "the datagrams look like nothing that posefuse reads", false}
}
