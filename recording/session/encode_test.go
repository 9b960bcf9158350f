package session

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"posefuse/frame"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/skeleton"
)

func genFloat32(t *rapid.T) float32 {
	return math.Float32frombits(rapid.Uint32().Draw(t, "bits"))
}

// genSample draws a sample with any values that a driver could hand on.
func genSample(t *rapid.T, m modality.Kind) *sensors.Sample {
	s := &sensors.Sample{Sensor: m.String(), Modality: m, Seq: rapid.Uint64().Draw(t, "seq"), ReceiveNS: rapid.Int64().Draw(t, "receive"),
		CaptureNS: rapid.Int64Range(-1e12, 1e15).Draw(t, "capture"), Restarted: rapid.Bool().Draw(t, "restarted")}
	if rapid.Bool().Draw(t, "device") {
		s.HasDevice, s.DeviceNS = true, rapid.Int64().Draw(t, "device ns")
	}
	float := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), 1e-300, 123.456}))
	switch m {
	case modality.Camera:
		s.Keypoints = &sensors.Keypoints{Width: rapid.IntRange(0, 1e5).Draw(t, "width"), Height: 480, Others: rapid.Bool().Draw(t, "others")}
		for j := range s.Keypoints.XY {
			s.Keypoints.XY[j], s.Keypoints.Score[j] = [2]float64{float.Draw(t, "x"), float.Draw(t, "y")}, float.Draw(t, "score")
		}
	case modality.LiDAR:
		s.Cloud = &sensors.PointCloud{Complete: rapid.Float64Range(0, 1).Draw(t, "complete"), XYZ: []float32{}}
		for range 3 * rapid.IntRange(0, 20).Draw(t, "points") {
			s.Cloud.XYZ = append(s.Cloud.XYZ, genFloat32(t))
		}
	case modality.Radar:
		s.Radar = &sensors.RadarFrame{Points: []sensors.RadarPoint{}}
		for range rapid.IntRange(0, 9).Draw(t, "points") {
			s.Radar.Points = append(s.Radar.Points, sensors.RadarPoint{X: genFloat32(t), Y: genFloat32(t), Z: 1, Doppler: genFloat32(t), SNRdB: genFloat32(t)})
		}
	case modality.CSI:
		s.CSI = &sensors.CSIPacket{Antennas: rapid.IntRange(0, 3).Draw(t, "antennas"), Subcarriers: rapid.IntRange(0, 9).Draw(t, "subcarriers"), Measured: 1, RSSIdBm: float.Draw(t, "rssi"), H: []complex64{}}
		for range s.CSI.Antennas * s.CSI.Subcarriers {
			s.CSI.H = append(s.CSI.H, complex(genFloat32(t), genFloat32(t)))
		}
	}
	return s
}

func sameBits(a, b complex64) bool {
	return math.Float32bits(real(a)) == math.Float32bits(real(b)) && math.Float32bits(imag(a)) == math.Float32bits(imag(b))
}

// compiled returns the schema of a channel.
func compiled(t testing.TB, kind int) *jsonschema.Schema {
	t.Helper()
	text, err := SchemaText(channels[kind].schema)
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err = json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err = c.AddResource("x.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("x.json")
	if err != nil {
		t.Fatalf("%s: %v", channels[kind].schema, err)
	}
	return s
}

func valid(s *jsonschema.Schema, text []byte) error {
	var doc any
	if err := json.Unmarshal(text, &doc); err != nil {
		return err
	}
	return s.Validate(doc)
}

// TestSamplesSurviveToTheBit: what a driver handed on comes back as it was, and the
// message fits its channel's schema.
func TestSamplesSurviveToTheBit(t *testing.T) {
	for m := range modality.Count {
		schema := compiled(t, int(m))
		rapid.Check(t, func(t *rapid.T) {
			want := genSample(t, m)
			e := encoder{anchorNS: 1.7e18}
			text := e.sample(want)
			if err := valid(schema, text); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			got, err := decodeSample(m, text)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if d := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmp.Comparer(sameBits)); d != "" {
				t.Fatalf("%s\n%s", d, text)
			}
		})
	}
}

func TestViewersMessagesFitTheirSchemas(t *testing.T) {
	e := encoder{anchorNS: 1.7e18}
	var joints skeleton.Pose
	joints[3] = [3]float64{1, math.NaN(), -2}
	rig := frame.Rig{RoomFromCamera: frame.Transform{R: [3][3]float64{{1, 0, 0}, {0, 0, 1}, {0, -1, 0}}, T: [3]float64{0, 0, 1.2}}}
	for _, kind := range []int{kindFrames, kindClock} {
		text := e.frames(&rig, 5)
		if kind == kindClock {
			text = e.clock(5, 1.7e18)
		}
		if err := valid(compiled(t, kind), text); err != nil {
			t.Errorf("%s: %v\n%s", channels[kind].topic, err, text)
		}
	}
	joints[3][1] = 0
	if text := e.skeleton(&joints, "room", 5); valid(compiled(t, kindSkeleton), text) != nil {
		t.Errorf("%v\n%s", valid(compiled(t, kindSkeleton), text), text)
	}
}

// TestQuaternion turns vectors both ways.
func TestQuaternion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		angle := rapid.Float64Range(-180, 180)
		pose := frame.CameraPose{PanDeg: angle.Draw(t, "pan"), TiltDeg: angle.Draw(t, "tilt"), RollDeg: angle.Draw(t, "roll")}
		r := pose.RoomFromCamera().R
		q := quaternion(&r)
		x, y, z, w := q[0], q[1], q[2], q[3]
		back := [3][3]float64{
			{1 - 2*(y*y+z*z), 2 * (x*y - z*w), 2 * (x*z + y*w)},
			{2 * (x*y + z*w), 1 - 2*(x*x+z*z), 2 * (y*z - x*w)},
			{2 * (x*z - y*w), 2 * (y*z + x*w), 1 - 2*(x*x+y*y)},
		}
		for i := range 3 {
			for j := range 3 {
				if math.Abs(back[i][j]-r[i][j]) > 1e-9 {
					t.Fatalf("%v\nbecame %v", r, back)
				}
			}
		}
	})
}

// FuzzDecodeSample: whatever a file holds is a sample with its modality's values,
// or an error.
func FuzzDecodeSample(f *testing.F) {
	e := encoder{}
	for _, s := range []*sensors.Sample{
		{Modality: modality.Camera, Keypoints: &sensors.Keypoints{}}, {Modality: modality.LiDAR, Cloud: &sensors.PointCloud{XYZ: make([]float32, 6)}},
		{Modality: modality.Radar, Radar: &sensors.RadarFrame{Points: make([]sensors.RadarPoint, 2)}}, {Modality: modality.CSI, CSI: &sensors.CSIPacket{Antennas: 1, Subcarriers: 2, H: make([]complex64, 2)}},
	} {
		f.Add(uint8(s.Modality), append([]byte(nil), e.sample(s)...))
	}
	f.Add(uint8(3), []byte(`{"antennas":-1,"subcarriers":-1,"posefuse":{}}`))
	f.Fuzz(func(t *testing.T, m uint8, text []byte) {
		s, err := decodeSample(modality.Kind(m), text)
		if err != nil {
			return
		}
		switch s.Modality {
		case modality.Camera:
			_ = s.Keypoints.XY
		case modality.LiDAR:
			if len(s.Cloud.XYZ)%3 != 0 {
				t.Fatal(len(s.Cloud.XYZ))
			}
		case modality.Radar:
			_ = s.Radar.Points
		case modality.CSI:
			if len(s.CSI.H) != s.CSI.Antennas*s.CSI.Subcarriers {
				t.Fatal(len(s.CSI.H))
			}
		}
	})
}
