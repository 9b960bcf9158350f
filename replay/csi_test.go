package replay

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
	"posefuse/sensors"
	"posefuse/sensors/csi"
	"posefuse/sensors/modality"
)

// checkCSI compares a packet with the integers it was stored from.
func checkCSI(t *testing.T, c storedClip, i, p int, s *sensors.Sample) {
	t.Helper()
	z := c.csiAt(i)
	if s.CSI.Antennas != 3 || s.CSI.Subcarriers != 114 {
		t.Fatalf("frame %d packet %d: %d x %d", i, p, s.CSI.Antennas, s.CSI.Subcarriers)
	}
	for k, v := range s.CSI.H {
		if complex128(v) != z[k*10+p] {
			t.Fatalf("frame %d packet %d cell %d: %v, stored %v", i, p, k, v, z[k*10+p])
		}
	}
}

func atherosSource(t *testing.T, cfg csi.StreamConfig) (*recorder, *csi.StreamSource) {
	t.Helper()
	src := (&csi.AtherosConfig{StreamConfig: cfg}).Source("csi").(*csi.StreamSource)
	sink := newRecorder()
	drive(t, src, sink)
	return sink, src
}

// listening waits for the driver's address.
func listening(t *testing.T, src *csi.StreamSource) string {
	t.Helper()
	testenv.Wait(t, "the csi driver to listen", func() bool { return src.Addr() != nil })
	return src.Addr().String()
}

func checkAtheros(t *testing.T, clip storedClip, p *Player, got []*sensors.Sample) {
	t.Helper()
	if len(got) != 10*clip.frames {
		t.Fatalf("%d packets, want %d", len(got), 10*clip.frames)
	}
	for n, s := range got {
		checkCSI(t, clip, n/10, n%10, s)
		if s.Restarted {
			t.Errorf("packet %d: restarted", n)
		}
		want := int64(n/10)*int64(p.Period()) + int64(n%10)*int64(p.Period())/10
		if d := s.DeviceNS - got[0].DeviceNS - want; d < -1000 || d > 1000 {
			t.Errorf("packet %d: device clock is %d ns off", n, d)
		}
	}
}

func TestCSIAtherosOverTCP(t *testing.T) {
	t.Parallel()
	sink, src := atherosSource(t, csi.StreamConfig{Listen: "127.0.0.1:0"})
	clip := stored(3, 6)
	p, wait := play(t, Config{Data: clipSet{clip}, CSI: &CSIConfig{Addr: listening(t, src)}})
	got := sink.waitFor(t, 60)
	wait()
	checkAtheros(t, clip, p, got)
}

func TestCSIAtherosThroughPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "csi")
	sink, _ := atherosSource(t, csi.StreamConfig{Path: path}) // it retries until the player makes the pipe
	clip := stored(3, 6)
	p, wait := play(t, Config{Data: clipSet{clip}, CSI: &CSIConfig{Path: path}})
	got := sink.waitFor(t, 60)
	wait()
	checkAtheros(t, clip, p, got)
}

// The clock of a receiver that was switched off starts over, and the driver
// says so.
func TestCSIReconnects(t *testing.T) {
	t.Parallel()
	sink, src := atherosSource(t, csi.StreamConfig{Listen: "127.0.0.1:0"})
	p, _ := play(t, Config{Data: clipSet{stored(3, 50)}, Loop: true, CSI: &CSIConfig{Addr: listening(t, src)}})
	sink.waitFor(t, 150) // more than a second: longer than the first clock value
	p.Stop(modality.CSI)
	testenv.Wait(t, "frames to pass meanwhile", func() bool { return p.Counts()[modality.CSI].Off >= 2 })
	before := len(sink.all())
	p.Start(modality.CSI)
	restarted := 0
	for _, s := range sink.waitFor(t, before+20) {
		if s.Restarted {
			restarted++
		}
	}
	if restarted != 1 {
		t.Errorf("%d restarts seen, want 1", restarted)
	}
}

func TestCSINexmonThroughPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nexmon.pcap")
	nexmon := csi.NewNexmonConfig()
	nexmon.Interface, nexmon.PcapFile, nexmon.Follow = "", path, true
	nexmon.WindowMS = 1000 // a busy player may pause between the datagrams of a frame
	src := nexmon.Source("csi")
	sink := newRecorder()
	drive(t, src, sink)
	clip := stored(4, 6)
	_, wait := play(t, Config{Data: clipSet{clip}, CSI: &CSIConfig{Format: CSINexmon, Path: path}})
	got := sink.waitFor(t, 60)
	wait()
	if len(got) != 60 {
		t.Fatalf("%d packets, want 60; counts %v", len(got), sink.counts)
	}
	for n, s := range got {
		checkCSI(t, clip, n/10, n%10, s)
	}
}

func TestCSINexmonOverLoopback(t *testing.T) {
	t.Parallel()
	port := testenv.FreePort(t) // not Nexmon's own, which another program may use
	testenv.PacketSocket(t)
	nexmon := csi.NewNexmonConfig()
	nexmon.Interface, nexmon.Port = "lo", port
	nexmon.WindowMS = 1000 // a busy player may pause between the datagrams of a frame
	src := nexmon.Source("csi")
	sink := newRecorder()
	drive(t, src, sink)
	clip := stored(4, 6)
	_, wait := play(t, Config{Data: clipSet{clip}, CSI: &CSIConfig{Format: CSINexmon, Addr: fmt.Sprintf("127.0.0.1:%d", port)}})
	got := sink.waitFor(t, 60)
	wait()
	if len(got) != 60 {
		t.Fatalf("%d packets, want 60; counts %v", len(got), sink.counts)
	}
	for n, s := range got {
		checkCSI(t, clip, n/10, n%10, s)
	}
}

// Amplitudes that no integers explain are scaled by one factor per clip; the
// error stays below half a step.
func TestCSIGain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.Float64Range(1e-3, 1e4).Draw(t, "scale")
		c := scaledClip{stored(rapid.IntRange(1, 40).Draw(t, "subject"), 2), scale}
		gain := csiGain(c)
		var f recording.Frame
		var got sim.CSIFrame
		largest := 0.0
		for i := range 2 {
			_ = c.Frame(i, &f)
			csiIntegers(&f, gain, &got)
			for p := range got {
				for k, v := range got[p] {
					want := csiValue(f.CSIAmp[k*10+p], f.CSIPhase[k*10+p]) * complex(gain, 0)
					d := complex128(v) - want
					if math.Abs(real(d)) > 0.5001 || math.Abs(imag(d)) > 0.5001 {
						t.Fatalf("cell %d packet %d: %v, want %v", k, p, v, want)
					}
					largest = max(largest, math.Abs(float64(real(v))), math.Abs(float64(imag(v))))
				}
			}
		}
		if gain != 1 && largest != csiLargest {
			t.Fatalf("gain %v uses %v of %d", gain, largest, csiLargest)
		}
	})
	if g := csiGain(stored(1, 2)); g != 1 {
		t.Errorf("integers are scaled by %v", g)
	}
	empty := stored(1, 1)
	empty.empty = 0
	if g := csiGain(empty); g != 1 {
		t.Errorf("a clip without CSI is scaled by %v", g)
	}
}

// scaledClip multiplies the CSI of a clip.
type scaledClip struct {
	storedClip
	scale float64
}

func (c scaledClip) Frame(i int, f *recording.Frame) error {
	err := c.storedClip.Frame(i, f)
	for k := range f.CSIAmp {
		f.CSIAmp[k] += 20 * math.Log10(c.scale)
	}
	return err
}

func TestCSIMissingValuesBecomeZero(t *testing.T) {
	for _, v := range [][2]float64{{math.NaN(), 0}, {math.Inf(1), 0}, {math.Inf(-1), 1}, {3, math.NaN()}, {3, math.Inf(1)}} {
		if got := csiValue(v[0], v[1]); got != 0 {
			t.Errorf("amplitude %v phase %v: %v", v[0], v[1], got)
		}
	}
}

// A simulated clip that went through files gives the same integers on the wire
// as the simulator itself.
func TestCSIOfWrittenClip(t *testing.T) {
	t.Parallel()
	clip := simulated(t, 5)
	root := t.TempDir()
	if err := mmfi.WriteClip(root, clip, nil); err != nil {
		t.Fatal(err)
	}
	data, err := mmfi.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	sink, src := atherosSource(t, csi.StreamConfig{Listen: "127.0.0.1:0"})
	_, wait := play(t, Config{Data: data, CSI: &CSIConfig{Addr: listening(t, src)}})
	got := sink.waitFor(t, 50)
	wait()
	for n, s := range got {
		var want sim.CSIFrame
		if err := clip.CSIComplex(n/10, &want); err != nil {
			t.Fatal(err)
		}
		if [342]complex64(s.CSI.H) != want[n%10] {
			t.Errorf("frame %d packet %d differs from the simulator's", n/10, n%10)
		}
	}
}

// Every other receiver through its own driver: what it can carry of the
// recording arrives, within its rounding.
func TestCSIOfOtherReceivers(t *testing.T) {
	t.Parallel()
	for format, c := range map[CSIFormat]struct {
		settings func(path string) sensors.Settings
		measured int
		exact    bool
	}{
		CSIIntel: {func(path string) sensors.Settings { c := csi.NewIntelConfig(); c.Path = path; return c }, 3, false},
		CSIESP32: {func(path string) sensors.Settings { c := csi.NewESP32Config(); c.Path = path; return c }, 1, false},
		CSIFeit:  {func(path string) sensors.Settings { c := csi.NewFeitConfig(); c.Path = path; return c }, 2, true},
	} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "csi")
			sink := newRecorder()
			drive(t, c.settings(path).Source("csi"), sink) // it retries until the player makes the pipe
			clip := stored(3, 6)
			p, wait := play(t, Config{Data: clipSet{clip}, CSI: &CSIConfig{Format: format, Path: path}})
			got := sink.waitFor(t, 60)
			wait()
			if len(got) != 60 {
				t.Fatalf("%d packets, counts %v", len(got), sink.counts)
			}
			for n, s := range got {
				if s.CSI.Measured != c.measured {
					t.Fatalf("packet %d: %d antennas measured, want %d", n, s.CSI.Measured, c.measured)
				}
				if d := s.DeviceNS - got[0].DeviceNS - int64(n/10)*int64(p.Period()) - int64(n%10)*int64(p.Period())/10; d < -2000 || d > 2000 {
					t.Errorf("packet %d: device clock is %d ns off", n, d)
				}
				checkShape(t, clip.csiAt(n/10), n%10, s, c.measured, c.exact)
			}
		})
	}
}

// checkShape compares the amplitudes of the antennas measured with the stored
// ones: equal, or equal up to one factor and the rounding.
func checkShape(t *testing.T, z *[3420]complex128, p int, s *sensors.Sample, measured int, exact bool) {
	t.Helper()
	var xx, xy, yy float64
	for k, v := range s.CSI.H[:measured*114] {
		want := z[k*10+p]
		if exact && complex128(v) != want {
			t.Fatalf("packet %d cell %d: %v, stored %v", p, k, v, want)
		}
		if tone := csi.AtherosTones(114)[k%114]; (tone+58)%4 != 0 && tone < 0 || tone > 0 && (tone-2)%4 != 0 {
			continue // not among those that an Intel 5300 gives
		}
		a, b := math.Hypot(float64(real(v)), float64(imag(v))), math.Hypot(real(want), imag(want))
		xx, xy, yy = xx+a*a, xy+a*b, yy+b*b
	}
	if r := xy / math.Sqrt(xx*yy); r < 0.999 {
		t.Errorf("packet %d: amplitudes are correlated by %v with the stored ones", p, r)
	}
}
