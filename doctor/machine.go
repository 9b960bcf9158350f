package doctor

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// wantedBuffer is the receive buffer that the LiDAR drivers ask for by default,
// bytes.
const wantedBuffer = 8192 << 10

// Bits of the effective capabilities.
const (
	capNetAdmin = 12
	capNetRaw   = 13
)

// machine says what this user and machine lack.
func machine(root string) (out []Finding) {
	caps := capabilities(root)
	if caps&(1<<capNetRaw) != 0 {
		out = append(out, Finding{"capture", "packets can be captured (CAP_NET_RAW)", true})
	} else {
		out = append(out, Finding{"no_capture", "packets cannot be captured, which the driver nexmon needs: sudo setcap cap_net_raw+ep the program, or run the service", false})
	}
	limit, err := strconv.Atoi(line(root, "proc/sys/net/core/rmem_max"))
	switch {
	case err != nil:
	case limit >= wantedBuffer || caps&(1<<capNetAdmin) != 0:
		out = append(out, Finding{"buffer", "sockets can have the buffer that a LiDAR needs", true})
	default:
		out = append(out, Finding{"small_buffer", fmt.Sprintf("sockets get %d KiB of buffer, a LiDAR wants %d: sudo sysctl -w net.core.rmem_max=%d", limit>>10, wantedBuffer>>10, wantedBuffer), false})
	}
	for _, pid := range names(filepath.Join(root, "proc"), "1", "2", "3", "4", "5", "6", "7", "8", "9") {
		if line(root, "proc", pid, "comm") == "ModemManager" {
			out = append(out, Finding{"modem_manager", "ModemManager runs and talks to new serial ports: install the udev rule of systemd/70-posefuse.rules, which keeps it off the radar", false})
			break
		}
	}
	return out
}

// capabilities returns this process' effective capabilities.
func capabilities(root string) uint64 {
	for _, l := range lines(root, "proc/self/status") {
		if hex, ok := strings.CutPrefix(l, "CapEff:"); ok {
			v, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			if err != nil {
				return 0
			}
			return v
		}
	}
	return 0
}
