package replay

import (
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/internal/testenv"
	"posefuse/sensors/csi"
	"posefuse/sensors/modality"
)

// recordAtherosDevice records what the driver reads from a device that gives a record
// at each read. A pseudo-terminal stands in for the patched kernel's; the records are
// made by this repository's encoder.
func recordAtherosDevice(t *testing.T) string {
	cfg := csi.NewAtherosConfig()
	port := &ptyPort{link: filepath.Join(t.TempDir(), "CSI_dev")}
	cfg.Path = port.link
	if err := port.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.close)
	r := record(t, modality.CSI, cfg)
	random := rand.New(rand.NewPCG(1, 2))
	for k := range 30 {
		rec := &csi.AtherosRecord{TSFUS: uint64(1000 * (k + 1)), ChannelMHz: 5180, Tones: 114, NR: 3, NC: 1, RSSI: 40, H: make([]complex64, 3*114)}
		for i := range rec.H {
			rec.H[i] = complex(float32(random.IntN(1024)-512), float32(random.IntN(1024)-512))
		}
		b, err := csi.AppendAtheros(nil, binary.NativeEndian, rec)
		if err == nil {
			err = port.write(b[2:])
		}
		if err != nil {
			t.Fatal(err)
		}
		testenv.Wait(t, "the record's sample", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.n > k
		})
	}
	r.stop()
	return r.dir
}

// recordIntelConnector records what the driver hears from the kernel's connector. The
// records are made by this repository's encoder and sent by the test, as the tool's
// kernel driver would.
func recordIntelConnector(t *testing.T) string {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		testenv.LeaveOut(t, "the kernel has no netlink connector ("+err.Error()+")")
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	const group, headers = 26, unix.SizeofNlMsghdr + 20
	random := rand.New(rand.NewPCG(3, 4))
	send := func(k int) error {
		rec := &csi.IntelRecord{TimeUS: uint32(1000 * k), Count: uint16(k), NRx: 3, NTx: 1, RSSI: [3]uint8{40, 41, 42}, NoiseDBm: -92, AGC: 35, AntennaSel: 0x24, Rate: 0x900,
			CSI: make([]complex64, 3*len(csi.IntelTones(40)))}
		for i := range rec.CSI {
			rec.CSI[i] = complex(float32(random.IntN(256)-128), float32(random.IntN(256)-128))
		}
		b, encodeErr := csi.AppendIntel(nil, rec)
		if encodeErr != nil {
			t.Fatal(encodeErr)
		}
		b = b[2:] // a log's length
		order := binary.NativeEndian
		m := order.AppendUint32(nil, uint32(headers+len(b)))
		m = append(m, make([]byte, 12)...)
		m = order.AppendUint32(order.AppendUint32(m, group), 1)
		m = append(m, make([]byte, 8)...)
		m = order.AppendUint16(order.AppendUint16(m, uint16(len(b))), 0)
		return unix.Sendto(fd, append(m, b...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (group - 1)})
	}
	if err = send(0); err == unix.EPERM { //nolint:errorlint // a system call's own
		testenv.LeaveOut(t, "no right to send netlink messages: run as root")
	}
	r := record(t, modality.CSI, csi.NewIntelConfig())
	k := 0
	testenv.Wait(t, "records of the connector", func() bool {
		k++
		_ = send(k) // nobody hears the first ones
		time.Sleep(time.Millisecond)
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.n >= 30
	})
	r.stop()
	return r.dir
}
