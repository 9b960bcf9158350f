package csi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"posefuse/sensors"
)

// packetSocket receives the IPv4 packets of one network interface, without
// link header. It is used instead of gopacket's EthernetHandle, which cannot
// be closed while it waits for a packet, keeps errors as text only and hears
// other interfaces until it is bound.
type packetSocket struct {
	f    *os.File
	conn syscall.RawConn
}

// snapLen is the longest packet that is fetched whole.
const snapLen = 65535

// openPacketSocket captures UDP datagrams to a port on an interface.
//
// The socket asks for all protocols, for VLANs in VLANs are one of their own; the
// filter takes incoming packets alone, as loopback traffic comes twice, going
// out and coming in. Without link header, Ethernet, loopback and monitor mode
// look the same.
func openPacketSocket(ifname string, port uint16) (*packetSocket, error) {
	intf, err := net.InterfaceByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("network interface %s: %w (see 'ip link' for the names)", ifname, err)
	}
	// Protocol 0 receives nothing until the filter is in place and bind says so.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			return nil, sensors.Told(fmt.Errorf("capture on %s needs CAP_NET_RAW: run under the systemd unit with AmbientCapabilities=CAP_NET_RAW, or 'sudo setcap cap_net_raw+ep' on the binary, or read a capture file instead: %w", ifname, err))
		}
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	if err = setUpPacketSocket(fd, intf.Index, port); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("packet socket on %s: %w", ifname, err)
	}
	f := os.NewFile(uintptr(fd), "packet:"+ifname)
	conn, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("packet socket on %s: %w", ifname, err)
	}
	return &packetSocket{f: f, conn: conn}, nil
}

func setUpPacketSocket(fd, ifindex int, port uint16) error {
	filter, err := bpf.Assemble(udpPortFilter(port))
	if err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	sock := make([]unix.SockFilter, len(filter))
	for i, ins := range filter {
		sock[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	prog := &unix.SockFprog{Len: uint16(len(sock)), Filter: &sock[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, prog); err != nil {
		return fmt.Errorf("attach filter: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("kernel time stamps: %w", err)
	}
	// Room for a second of the highest rate; less is no reason to fail.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	}
	return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: ifindex})
}

// vlanTag is the length of a VLAN tag: its number and the type of what follows.
const vlanTag = 4

// udpPortFilter accepts incoming IPv4 UDP packets to a port, and later fragments
// of any datagram, for only the first names the port. The kernel takes one VLAN
// tag off; the IP header may lie behind a second.
func udpPortFilter(port uint16) []bpf.Instruction {
	branch := func(at uint32) []bpf.Instruction {
		return []bpf.Instruction{
			bpf.LoadAbsolute{Off: at + 9, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 6},
			bpf.LoadAbsolute{Off: at + 6, Size: 2},
			bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1FFF, SkipTrue: 3}, // an offset
			bpf.LoadMemShift{Off: at},
			bpf.LoadIndirect{Off: at + 2, Size: 2},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(port), SkipTrue: 1},
			bpf.RetConstant{Val: snapLen},
			bpf.RetConstant{Val: 0},
		}
	}
	plain, tagged := branch(0), branch(vlanTag)
	return slices.Concat([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipTrue: uint8(len(plain)) + 5},
		bpf.LoadExtension{Num: bpf.ExtProto},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipFalse: uint8(len(plain))},
	}, plain, []bpf.Instruction{
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_8021Q, SkipFalse: 2},
		bpf.LoadAbsolute{Off: 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}, tagged)
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// Close ends the capture; a waiting Receive returns.
func (s *packetSocket) Close() error { return s.f.Close() }

// Receive waits for a packet until the deadline, and returns what of b is its IP
// packet, and the kernel's time of arrival.
func (s *packetSocket) Receive(b []byte, deadline time.Time) (packet []byte, at time.Time, err error) {
	if err = s.f.SetReadDeadline(deadline); err != nil {
		return nil, at, err
	}
	var n int
	var oob [64]byte
	var oobn int
	var recvErr error
	err = s.conn.Read(func(fd uintptr) bool {
		for {
			n, oobn, _, _, recvErr = unix.Recvmsg(int(fd), b, oob[:], 0)
			if !errors.Is(recvErr, unix.EINTR) {
				return !errors.Is(recvErr, unix.EAGAIN)
			}
		}
	})
	if err == nil {
		err = recvErr
	}
	if err != nil {
		return nil, at, err
	}
	return behindTag(b[:n]), kernelTime(oob[:oobn]), nil
}

// behindTag returns the IP packet behind a second VLAN tag, or b itself. Which of
// the two the kernel reports as the packet's type depends on its version, so the
// IP header decides: its length must fit.
func behindTag(b []byte) []byte {
	const header = 20
	if len(b) < vlanTag+header || binary.BigEndian.Uint16(b[2:]) != unix.ETH_P_IP {
		return b
	}
	ip := b[vlanTag:]
	if n := int(binary.BigEndian.Uint16(ip[2:])); ip[0]>>4 != 4 || n < header || n > len(ip) || ip[9] != unix.IPPROTO_UDP {
		return b
	}
	return ip
}

// kernelTime reads the time stamp of a received message, zero if there is none.
func kernelTime(oob []byte) time.Time {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}
	}
	for i := range msgs {
		if at, ok := sensors.KernelStamp(&msgs[i]); ok {
			return at
		}
	}
	return time.Time{}
}

// Dropped returns how many packets the kernel dropped since the last call
// because nobody fetched them in time.
func (s *packetSocket) Dropped() (uint64, error) {
	var n uint64
	var statErr error
	err := s.conn.Control(func(fd uintptr) {
		st, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err != nil {
			statErr = err
			return
		}
		n = uint64(st.Drops)
	})
	return n, errors.Join(err, statErr)
}
