package pipeline

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/sensors"
	"posefuse/sensors/lidar"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// sweeper is what the formats' assemblers have in common.
type sweeper interface {
	Add(receiveNS int64, b []byte)
	Deadline() int64
	Expire(nowNS int64)
}

// timed is a datagram and when it arrives.
type timed struct {
	at   time.Duration
	data []byte
}

// ousterTurns returns the packets of n sweeps in the time in which they arrive:
// each right behind its last column.
func ousterTurns(t *testing.T, m *lidar.Metadata, n int) (out []timed) {
	t.Helper()
	f := m.Format
	period := time.Duration(float64(time.Second) / m.RateHz)
	column := func(turn, c int) time.Duration {
		return time.Duration(turn)*period + period*time.Duration(c)/time.Duration(f.Columns)
	}
	for turn := range n {
		for first := 0; first < f.Columns; first += f.ColumnsPerPacket {
			p := lidar.EncodePacket{FrameID: uint32(turn), InitID: m.InitID, Serial: m.Serial}
			for c := first; c < first+f.ColumnsPerPacket; c++ {
				pixels := make([]lidar.Pixel, f.Rows)
				pixels[0].RangeMM = 2000
				p.Columns = append(p.Columns, lidar.EncodeColumn{TimestampNS: uint64(column(turn, c)), ID: c, Valid: true, Pixels: pixels})
			}
			b, err := f.Encode(nil, &p)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, timed{column(turn, first+f.ColumnsPerPacket), b})
		}
	}
	return out
}

// livoxTurns returns the datagrams of n sweeps of 100 ms; in the middle of each
// nothing comes for 25 ms, then all that was measured meanwhile.
func livoxTurns(t *testing.T, n int) (out []timed) {
	t.Helper()
	const perTurn, interval = 200, 500 * time.Microsecond
	for k := range n * perTurn {
		measured := time.Duration(k) * interval
		b, err := lidar.EncodeLivox(nil, &lidar.LivoxPacket{Type: lidar.LivoxCartesianMM, UDPCounter: uint16(k), TimestampNS: uint64(measured), Points: []lidar.LivoxPoint{{X: 2000}}})
		if err != nil {
			t.Fatal(err)
		}
		at := measured + interval
		if in := k % perTurn; in >= 80 && in < 130 {
			at = measured + time.Duration(130-in)*interval
		}
		out = append(out, timed{at, b})
	}
	return out
}

// A lidar whose datagrams are lost keeps its place in the ticks: with the default
// hold and the latency of half a sweep, losing one datagram in a hundred costs at
// most two sweeps in a hundred, and so does a pause in each sweep.
func TestLostDatagramsCostFewSweeps(t *testing.T) {
	const sweeps = 200
	ouster := func(columns int) *lidar.Metadata {
		m := &lidar.Metadata{Format: lidar.Format{Profile: lidar.ProfileRNG15, Rows: 16, ColumnsPerPacket: 16, Columns: columns}, RateHz: 10}
		m.ColumnWindow = [2]int{0, columns - 1}
		m.AltitudeDeg, m.AzimuthDeg = make([]float64, 16), make([]float64, 16)
		m.LidarToSensor = [16]float64{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}
		return m
	}
	type emit func(receiveNS int64, deviceNS uint64)
	for _, c := range []struct {
		name    string
		packets []timed
		loss    int // one in so many
		make    func(emit) sweeper
	}{
		{"ouster 512x10", ousterTurns(t, ouster(512), sweeps), 100, func(e emit) sweeper {
			return lidar.NewAssembler(ouster(512), func(f *lidar.Frame) { e(f.ReceiveNS, f.MiddleNS) }, func(string, uint64) {})
		}},
		{"ouster 1024x10", ousterTurns(t, ouster(1024), sweeps), 100, func(e emit) sweeper {
			return lidar.NewAssembler(ouster(1024), func(f *lidar.Frame) { e(f.ReceiveNS, f.MiddleNS) }, func(string, uint64) {})
		}},
		{"livox with pauses", livoxTurns(t, sweeps), 100, func(e emit) sweeper {
			return lidar.NewSweepAssembler(100*time.Millisecond, &lidar.Box{}, func(s *lidar.Sweep) { e(s.ReceiveNS, s.TimeNS) }, func(string, uint64) {})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := timesync.NewClock()
				model := timesync.NewClockModel(timesync.ModelConfig{FixedLatency: 50 * time.Millisecond})
				d := DefaultConfig()
				aligner, err := timesync.NewAligner(timesync.Config{Clock: clock, Period: d.Sync.TickPeriod(), Hold: millis(float64(d.Sync.HoldMS)),
					Stale: millis(float64(d.Sync.StaleMS)), MaxGap: millis(float64(d.Sync.MaxGapMS)),
					Sensors: []timesync.SensorConfig{{Name: "lidar", Modality: modality.LiDAR, Jitter: 10 * time.Millisecond}}})
				if err != nil {
					t.Fatal(err)
				}
				fused := 0
				done := make(chan error, 1)
				go func() {
					done <- aligner.Run(t.Context(), func(tick *timesync.Tick) {
						if tick.Slots[modality.LiDAR].State == timesync.Fused {
							fused++
						}
					})
				}()
				seq := uint64(0)
				asm := c.make(func(receiveNS int64, deviceNS uint64) {
					seq++
					s := &sensors.Sample{Sensor: "lidar", Modality: modality.LiDAR, Seq: seq, DeviceNS: int64(deviceNS) + 5e9, HasDevice: true, ReceiveNS: receiveNS,
						Cloud: &sensors.PointCloud{XYZ: []float32{2, 0, 0}}}
					model.Stamp(s)
					aligner.Push(s)
				})
				rng := rand.New(rand.NewPCG(1, 2))
				start := clock.NowNS()
				wait := func(at int64) { time.Sleep(time.Duration(at - clock.NowNS())) }
				for _, p := range c.packets {
					at := start + int64(p.at)
					for dl := asm.Deadline(); dl != 0 && dl < at; dl = asm.Deadline() {
						wait(dl)
						asm.Expire(clock.NowNS())
					}
					wait(at)
					if rng.IntN(c.loss) > 0 {
						asm.Add(at, p.data)
					}
				}
				time.Sleep(time.Second)
				if at := asm.Deadline(); at != 0 {
					asm.Expire(clock.NowNS())
				}
				synctest.Wait()
				if least := sweeps * 98 / 100; fused < least {
					t.Errorf("%d of %d sweeps were fused, want %d; %+v", fused, sweeps, least, aligner.Stats().Sensors[0].Outcomes)
				}
			})
		})
	}
}
