package pipeline

import (
	"encoding/binary"
	"encoding/json"
	"testing"
	"time"

	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/csi"
	"posefuse/sensors/lidar"
	"posefuse/sensors/modality"
	"posefuse/sensors/radar"
)

// decoded returns the samples of all sensors: what they measure of one simulated
// clip, encoded as they send it and decoded as their drivers do. Seq counts each
// sensor's frames, or packets, also those that have no sample.
func decoded(t *testing.T) (samples []*sensors.Sample) {
	t.Helper()
	cfg := sim.Config{Seed: recordedSeed, Preset: "mmfi", FramesPerClip: recordedFrames}
	key := recording.Key{Subject: 7, Activity: 12}
	clip, err := sim.NewClip(cfg, sim.NewProcedural(cfg.Seed, key, sim.MotionOptions{Frames: recordedFrames}))
	if err != nil {
		t.Fatal(err)
	}
	for _, decode := range []func(*testing.T, *sim.Clip) []*sensors.Sample{cameraSamples, lidarSamples, radarSamples, csiSamples} {
		samples = append(samples, decode(t, clip)...)
	}
	return samples
}

// cameraSamples sends JSON lines.
func cameraSamples(t *testing.T, clip *sim.Clip) (out []*sensors.Sample) {
	t.Helper()
	for i := range recordedFrames {
		m := camera.Message{CaptureNS: deviceNS(modality.Camera, capture(modality.Camera, i)), Seq: uint64(i)}
		found, err := clip.Keypoints(i, &m.Keypoints)
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			continue
		}
		line, err := camera.Encode(nil, &m)
		if err != nil {
			t.Fatal(err)
		}
		if m, err = camera.Decode(line); err != nil {
			t.Fatal(err)
		}
		out = append(out, &sensors.Sample{Modality: modality.Camera, Seq: m.Seq, DeviceNS: m.CaptureNS, HasDevice: true, Keypoints: &m.Keypoints})
	}
	return out
}

// lidarSamples sends every other sweep as an Ouster and the rest as a Livox, so
// that the poses depend on both decoders.
func lidarSamples(t *testing.T, clip *sim.Clip) (out []*sensors.Sample) {
	t.Helper()
	sample := func(ns uint64, xyz []float32) {
		out = append(out, &sensors.Sample{Modality: modality.LiDAR, DeviceNS: int64(ns), HasDevice: true, Cloud: &sensors.PointCloud{XYZ: xyz, Complete: 1}})
	}
	count := func(outcome string, n uint64) {
		if outcome != "packet" {
			t.Errorf("lidar: %d %s", n, outcome)
		}
	}
	text, err := json.Marshal(sim.NewOusterMetadata())
	if err != nil {
		t.Fatal(err)
	}
	meta, err := lidar.ParseMetadata(text)
	if err != nil {
		t.Fatal(err)
	}
	table := lidar.NewXYZTable(meta)
	ouster := lidar.NewAssembler(meta, func(f *lidar.Frame) { sample(f.MiddleNS, table.Cloud(nil, f, &lidar.Box{})) }, count)
	livox := lidar.NewSweepAssembler(framePeriod, &lidar.Box{}, func(s *lidar.Sweep) { sample(s.TimeNS, s.XYZ) }, count)
	for i := range recordedFrames {
		at := capture(modality.LiDAR, i)
		if i%2 == 0 {
			for _, b := range ousterPackets(t, clip, i, meta.Format, at) {
				ouster.Add(int64(at), b)
			}
		} else {
			for _, b := range livoxPackets(t, clip, i, at) {
				livox.Add(int64(at), b)
			}
			livox.Flush()
		}
		if len(out) != i+1 {
			t.Fatalf("lidar: %d sweeps after frame %d", len(out), i)
		}
		out[i].Seq = uint64(i)
	}
	return out
}

// ousterPackets cuts a sweep into packets; its middle column is measured at the
// capture time.
func ousterPackets(t *testing.T, clip *sim.Clip, i int, f lidar.Format, at time.Duration) (packets [][]byte) {
	t.Helper()
	var scan sim.Scan
	if err := clip.Scan(i, &scan); err != nil {
		t.Fatal(err)
	}
	for first := 0; first < f.Columns; first += f.ColumnsPerPacket {
		p := lidar.EncodePacket{FrameID: uint32(i / 2)}
		for col := first; col < first+f.ColumnsPerPacket; col++ {
			pixels := make([]lidar.Pixel, f.Rows)
			for row := range pixels {
				pixels[row].RangeMM = scan.RangesMM[row][col]
			}
			measured := at + framePeriod*time.Duration(col-f.Columns/2)/time.Duration(f.Columns)
			p.Columns = append(p.Columns, lidar.EncodeColumn{TimestampNS: uint64(deviceNS(modality.LiDAR, measured)), ID: col, Valid: true, Pixels: pixels})
		}
		b, err := f.Encode(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, b)
	}
	return packets
}

// livoxPackets cuts a sweep's cloud into datagrams.
func livoxPackets(t *testing.T, clip *sim.Clip, i int, at time.Duration) [][]byte {
	t.Helper()
	var f recording.Frame
	if err := clip.FrameOf(i, modality.Of(modality.LiDAR), &f); err != nil {
		t.Fatal(err)
	}
	xyz := make([]float32, len(f.LiDAR))
	for k, v := range f.LiDAR {
		xyz[k] = float32(v)
	}
	packets, err := lidar.EncodeLivoxCloud(xyz, uint8(i), uint64(deviceNS(modality.LiDAR, at)))
	if err != nil {
		t.Fatal(err)
	}
	return packets
}

// radarSamples sends TI frames. Their device time is the frame number's, as of
// a radar without a cycle counter.
func radarSamples(t *testing.T, clip *sim.Clip) (out []*sensors.Sample) {
	t.Helper()
	d := radar.NewDecoder(radar.LayoutAuto, func(f *radar.Frame) {
		s := &sensors.Sample{Modality: modality.Radar, Seq: uint64(f.FrameNumber), Radar: &sensors.RadarFrame{},
			DeviceNS: deviceNS(modality.Radar, time.Duration(f.FrameNumber+1)*framePeriod), HasDevice: true}
		for _, p := range f.Points {
			s.Radar.Points = append(s.Radar.Points, p.Sensor())
		}
		out = append(out, s)
	}, func(r radar.Reason) { t.Errorf("radar: %s", r) })
	for i := range recordedFrames {
		var points sensors.RadarFrame
		if err := clip.Radar(i, &points); err != nil {
			t.Fatal(err)
		}
		f := radar.Frame{FrameNumber: uint32(i)}
		for _, p := range points.Points {
			f.Points = append(f.Points, radar.PointFromSensor(p))
		}
		b, err := radar.AppendFrame(nil, &f)
		if err != nil {
			t.Fatal(err)
		}
		d.Feed(int64(capture(modality.Radar, i)), b)
	}
	d.Flush(int64(capture(modality.Radar, recordedFrames)))
	if len(out) != recordedFrames {
		t.Fatalf("radar: %d frames", len(out))
	}
	return out
}

// csiSamples sends the records of an Atheros card, ten a frame.
func csiSamples(t *testing.T, clip *sim.Clip) (out []*sensors.Sample) {
	t.Helper()
	var seqs []uint64 // of the records, which carry no number
	d := csi.NewAtherosDecoder(func(r *csi.AtherosRecord) {
		out = append(out, &sensors.Sample{Modality: modality.CSI, Seq: seqs[len(out)], DeviceNS: int64(r.TSFUS) * 1000, HasDevice: true,
			CSI: &sensors.CSIPacket{Antennas: int(r.NR), Subcarriers: int(r.Tones), Measured: int(r.NR), H: r.H}}) // one stream
	}, func(outcome string) { t.Errorf("csi: %s", outcome) })
	for i := range recordedFrames {
		var packets sim.CSIFrame
		if err := clip.CSIComplex(i, &packets); err != nil {
			t.Fatal(err)
		}
		if packets == (sim.CSIFrame{}) {
			continue // nothing was received
		}
		for p := range packets {
			seq := i*mmfi.CSIPackets + p
			seqs = append(seqs, uint64(seq))
			b, err := csi.AppendAtheros(nil, binary.LittleEndian, &csi.AtherosRecord{
				TSFUS: uint64(deviceNS(modality.CSI, capture(modality.CSI, seq))) / 1000, ChannelMHz: 5180, Rate: 0x80, Bandwidth: 1,
				Tones: mmfi.CSISubcarriers, NR: mmfi.CSIAntennas, NC: 1, H: packets[p][:],
			})
			if err != nil {
				t.Fatal(err)
			}
			d.Feed(b)
		}
	}
	d.Finish()
	if len(out) != len(seqs) {
		t.Fatalf("csi: %d of %d packets", len(out), len(seqs))
	}
	return out
}
