package pipeline

import (
	"strings"
	"testing"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/person"
	"posefuse/sensors"
	"posefuse/sensors/lidar"
)

// measuredCard is the card of a model that was measured in some rooms.
func measuredCard() model.Card {
	return model.Card{Envelope: &model.Envelope{BaseMM: 62, MaxRatio: 1.3, Data: "simulated",
		Base: frame.Measures{frame.CameraHeight: 0.9, frame.CameraTilt: 0},
		Ranges: map[frame.Quantity]model.Range{
			frame.CameraHeight: {Min: 0.5, Max: 1.25, MM: 64, Ratio: 1.03}, frame.CameraTilt: {Min: -10, Max: 10, MM: 67, Ratio: 1.1},
			frame.CameraFocal: {Min: 0.5, Max: 1.6, MM: 62, Ratio: 1}, frame.LiDARHeight: {Min: 0.5, Max: 1.8, MM: 65, Ratio: 1},
			frame.RadarHeight: {Min: 0.4, Max: 1.2, MM: 62, Ratio: 1}, frame.Distance: {Min: 2.1, Max: 4.1, MM: 68, Ratio: 1.1}, frame.Aside: {Min: 0, Max: 1.3, MM: 70, Ratio: 1.1},
		},
		Rooms: []model.RoomScore{{Name: "base", MM: 62, Ratio: 1, RawMM: 61}, {Name: "far", MM: 99, Ratio: 1.6, RawMM: 630, Differs: map[frame.Quantity]float64{frame.Distance: 5.1}}},
	}}
}

// TestArrangementIsLookedAt: what cannot be is not used, what is missing, and what is
// assumed for it, or outside is said with its key, and a room as measured gets no word.
func TestArrangementIsLookedAt(t *testing.T) {
	const key = "extrinsics.room_from_"
	for name, c := range map[string]struct {
		change func(*Config)
		want   []string // key, code and words of each note
		unused string   // keys whose place is not used
	}{
		"as measured":          {},
		"person off":           {change: func(c *Config) { c.Person.Enabled = false; c.Extrinsics.RoomFromCamera.PositionM[2] = -1 }},
		"nothing given":        {change: func(c *Config) { c.Extrinsics = ExtrinsicsConfig{} }, want: []string{key + "camera|no_place|taken as level and 0.90 m above the floor"}},
		"no radar given":       {change: func(c *Config) { c.Extrinsics.RoomFromRadar = nil }, want: []string{key + "radar|no_place|0.05 m below the camera and turned as it is"}},
		"radar off, not given": {change: func(c *Config) { c.Extrinsics.RoomFromRadar = nil; c.Sensors.Radar.Enabled = false }},
		"camera below the floor": {change: func(c *Config) { c.Extrinsics.RoomFromCamera.PositionM[2] = -1.2 },
			want: []string{key + "camera|impossible|1.20 m below the floor"}, unused: "camera lidar radar"},
		"camera looks back": {change: func(c *Config) { c.Extrinsics.RoomFromCamera.PanDeg = 180 },
			want: []string{key + "camera|impossible|no place of person.region is in the camera's picture"}, unused: "camera lidar radar"},
		"camera looks at the ceiling": {change: func(c *Config) { c.Extrinsics.RoomFromCamera.TiltDeg = 80 },
			want: []string{key + "camera|impossible|pan_deg and tilt_deg"}, unused: "camera lidar radar"},
		"LiDAR in the next building": {change: func(c *Config) { c.Extrinsics.RoomFromLiDAR.PositionM[0] = 50 },
			want: []string{key + "lidar|impossible|50.0 m from the camera"}, unused: "lidar"},
		"LiDAR in the next building, off": {change: func(c *Config) { c.Extrinsics.RoomFromLiDAR.PositionM[0] = 50; c.Sensors.LiDAR.Enabled = false }},
		"both below the floor": {change: func(c *Config) {
			c.Extrinsics.RoomFromLiDAR.PositionM[2], c.Extrinsics.RoomFromRadar.PositionM[2] = -0.3, -0.4
		}, want: []string{key + "lidar|impossible|the LiDAR stands 0.30 m below", key + "radar|impossible|the radar stands 0.40 m below"}, unused: "lidar radar"},
		"crop box behind the LiDAR": {change: func(c *Config) {
			c.Sensors.LiDAR.Driver = "livox"
			l := DriverSettings[*lidar.LivoxConfig](&c.Sensors.LiDAR)
			l.CropMinM, l.CropMaxM = []float64{-5, -2, -1}, []float64{-0.5, 2, 1}
		}, want: []string{key + "lidar|impossible|sensors.lidar.livox"}, unused: "lidar"},
		"high camera": {change: func(c *Config) { c.Extrinsics.RoomFromCamera.PositionM[2] = 2.3 },
			want: []string{key + "camera|outside|camera_height_m is 2.3, and the model holds from 0.5 to 1.25"}},
		"long lens": {change: func(c *Config) {
			c.Extrinsics.Camera = &frame.Intrinsics{WidthPx: 640, HeightPx: 480, FxPx: 1280, FyPx: 1280, CxPx: 320, CyPx: 240}
		}, want: []string{"extrinsics.camera_intrinsics|outside|focal_image_widths is 2"}},
		"a hall": {change: func(c *Config) {
			c.Person.Region = &person.Box{MinM: [3]float64{-1, 1.5, 0}, MaxM: [3]float64{1, 9, 2}}
		},
			want: []string{"person.region|outside|distance_m is 9, and the model holds from 2.1 to 4.1 (at most 68 mm there); at 5.1 it was 99 mm"}},
		"a place of exercise": {change: func(c *Config) {
			c.Person.Region = &person.Box{MinM: [3]float64{-1, 2.1, 0}, MaxM: [3]float64{1, 4.1, 2}}
		}},
	} {
		cfg := DefaultConfig()
		cfg.Extrinsics.RoomFromCamera = &frame.CameraPose{PositionM: [3]float64{0, 0, 1.25}, TiltDeg: -4}
		cfg.Extrinsics.RoomFromLiDAR = &frame.SensorPose{PositionM: [3]float64{0.1, 0, 1.4}}
		cfg.Extrinsics.RoomFromRadar = &frame.SensorPose{PositionM: [3]float64{-0.1, 0, 1.2}}
		if c.change != nil {
			c.change(&cfg)
		}
		used, notes := cfg.Arrangement(measuredCard())
		if len(notes) != len(c.want) {
			t.Errorf("%s: %v, want %q", name, notes, c.want)
			continue
		}
		for i, n := range notes {
			want := strings.Split(c.want[i], "|")
			if n.Key != want[0] || n.Code != want[1] || !strings.Contains(n.Text, want[2]) {
				t.Errorf("%s: %s (%s), want %q", name, n, n.Code, want)
			}
			if n.Wrong() && i == len(notes)-1 && !strings.Contains(n.Text, "as if the place had not been given") {
				t.Errorf("%s: %s does not say what it leaves", name, n)
			}
		}
		for key, given := range map[string][2]bool{
			"camera": {used.RoomFromCamera != nil, cfg.Extrinsics.RoomFromCamera != nil},
			"lidar":  {used.RoomFromLiDAR != nil, cfg.Extrinsics.RoomFromLiDAR != nil},
			"radar":  {used.RoomFromRadar != nil, cfg.Extrinsics.RoomFromRadar != nil},
		} {
			if want := given[1] && !strings.Contains(c.unused, key); given[0] != want {
				t.Errorf("%s: the place of %s is used: %t", name, key, given[0])
			}
		}
	}
}

// TestPicturesOfAnotherShape: a scaled view is the same, another shape is not.
func TestPicturesOfAnotherShape(t *testing.T) {
	c := &frame.Intrinsics{WidthPx: 1280, HeightPx: 720}
	var p pictureSize
	for _, s := range []struct {
		w, h int
		want bool
	}{{0, 0, false}, {640, 360, false}, {1920, 1080, false}, {640, 480, true}, {720, 1280, true}} {
		p.take(&sensors.Sample{Keypoints: &sensors.Keypoints{Width: s.w, Height: s.h}})
		n, got := p.conflict(c)
		if got != s.want || got && !strings.Contains(n.Text, "1280 x 720") {
			t.Errorf("%d x %d: %t, %s", s.w, s.h, got, n)
		}
	}
	if _, ok := p.conflict(nil); ok {
		t.Error("a conflict with intrinsics that nobody gave")
	}
}

// TestStatusSaysWhetherTheModelHolds: the part arrangement follows the model that
// runs, and the part person where somebody stands.
func TestStatusSaysWhetherTheModelHolds(t *testing.T) {
	cfg := testConfig(t)
	cfg.Person.Enabled = true
	cfg.Extrinsics.RoomFromCamera = &frame.CameraPose{PositionM: [3]float64{0, 0, 2.3}}
	cfg.Extrinsics.RoomFromLiDAR = &frame.SensorPose{PositionM: [3]float64{0, 0, 1.4}}
	cfg.Extrinsics.RoomFromRadar = &frame.SensorPose{PositionM: [3]float64{0, 0, 1.2}}
	c, err := New(Options{Config: cfg, Model: newFakeModel("unmeasured")})
	if err != nil {
		t.Fatal(err)
	}
	if h := c.arrangementHealth(); h.Code != codeUnmeasured || h.Severity != severityOK {
		t.Errorf("without an envelope: %+v", h)
	}
	measured := newFakeModel("measured")
	measured.card.Envelope = measuredCard().Envelope
	if err := c.SwapModel(measured); err != nil {
		t.Fatal(err)
	}
	if h := c.arrangementHealth(); h.Code != codeOutside || h.Severity != severityWarning || !strings.Contains(h.Text, "extrinsics.room_from_camera: camera_height_m is 2.3") {
		t.Errorf("a high camera: %+v", h)
	}
	for place, want := range map[[2]float64]string{{0, 3}: "", {0.5, 2.2}: "", {0, 5}: "distance_m is 5, and the model holds from 2.1 to 4.1", {2, 3}: "aside_m is 2"} {
		if got := c.away(place); got != want && (want == "" || !strings.HasPrefix(got, want)) {
			t.Errorf("at %v: %q, want %q", place, got, want)
		}
	}
}
