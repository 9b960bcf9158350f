package mmfi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"posefuse/frame"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// Files beside the environments that say what MM-Fi does not.
const (
	// RigName holds where the sensors stood and the camera's lens, for all clips.
	RigName = "rig.json"
	// BackgroundName holds what a daemon had learned of the room when the
	// recording began: its file of the same name.
	BackgroundName = "background.bin"
)

// scoresName is the file of a clip that holds the keypoints' scores, float64
// (n, 17).
const scoresName = "scores.npy"

// rigFile is the content of RigName; names and meaning are those of the daemon's
// configuration.
type rigFile struct {
	Schema         int         `json:"schema"`
	RoomFromCamera [][]float64 `json:"room_from_camera"` // 4 x 4, rows
	RoomFromLiDAR  [][]float64 `json:"room_from_lidar"`
	RoomFromRadar  [][]float64 `json:"room_from_radar"`
	Camera         lensFile    `json:"camera_intrinsics"`
}

// lensFile is the camera's lens, pixels, OpenCV's names.
type lensFile struct {
	WidthPx    float64   `json:"width_px"`
	HeightPx   float64   `json:"height_px"`
	FxPx       float64   `json:"fx_px"`
	FyPx       float64   `json:"fy_px"`
	CxPx       float64   `json:"cx_px"`
	CyPx       float64   `json:"cy_px"`
	Distortion []float64 `json:"distortion,omitempty"`
}

// EncodeRig returns the content of RigName for an arrangement; ParseRig gives back
// every bit of it.
func EncodeRig(r *frame.Rig) ([]byte, error) {
	f := rigFile{Schema: 1, RoomFromCamera: matrix(&r.RoomFromCamera), RoomFromLiDAR: matrix(&r.RoomFromLiDAR), RoomFromRadar: matrix(&r.RoomFromRadar),
		Camera: lensFile(r.Camera)}
	b, err := json.MarshalIndent(&f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("mmfi: %s: %w", RigName, err)
	}
	return append(b, '\n'), nil
}

// ParseRig reads the content of RigName. The error names every key that cannot be.
func ParseRig(b []byte) (r frame.Rig, err error) {
	var f rigFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return r, fmt.Errorf("no arrangement of sensors: %w", err)
	}
	if f.Schema != 1 {
		return r, fmt.Errorf("schema %d: this program knows 1", f.Schema)
	}
	camera, lidar, radar := frame.CameraPose{Matrix: f.RoomFromCamera}, frame.SensorPose{Matrix: f.RoomFromLiDAR}, frame.SensorPose{Matrix: f.RoomFromRadar}
	var p setting.Problems
	for key, m := range map[string][][]float64{"room_from_camera": f.RoomFromCamera, "room_from_lidar": f.RoomFromLiDAR, "room_from_radar": f.RoomFromRadar} {
		if m == nil {
			p.Add(key, "is missing: a matrix of 4 x 4, rows, metres")
		}
	}
	camera.Check(&p, "room_from_camera")
	lidar.Check(&p, "room_from_lidar")
	radar.Check(&p, "room_from_radar")
	r.Camera = frame.Intrinsics(f.Camera)
	r.Camera.Check(&p, "camera_intrinsics")
	if len(p) > 0 {
		return frame.Rig{}, errors.Join(p...)
	}
	r.RoomFromCamera, r.RoomFromLiDAR, r.RoomFromRadar = camera.RoomFromCamera(), lidar.RoomFromSensor(), radar.RoomFromSensor()
	return r, nil
}

func matrix(t *frame.Transform) [][]float64 {
	m := make([][]float64, 4)
	for i := range 3 {
		m[i] = append(append(m[i], t.R[i][:]...), t.T[i])
	}
	m[3] = []float64{0, 0, 0, 1}
	return m
}

// riggedClip is a clip whose sensors' places were noted.
type riggedClip struct {
	*directoryClip
	rig frame.Rig
}

// Rig implements frame.Rigged.
func (c riggedClip) Rig() frame.Rig { return c.rig }

// readRoom reads what the folder says of the room.
func (d *Directory) readRoom() error {
	b, err := readFile(filepath.Join(d.root, RigName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		r, bad := ParseRig(b)
		if bad != nil {
			return fmt.Errorf("mmfi: %s: %w", filepath.Join(d.root, RigName), bad)
		}
		d.rig = &r
	}
	d.background, err = readFile(filepath.Join(d.root, BackgroundName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Background implements recording.Backgrounded.
func (c *directoryClip) Background() []byte { return c.background }

// Lacks says what the recording does not tell, and what is taken instead, a line
// each.
func (d *Directory) Lacks() (lines []string) {
	if d.rig == nil {
		lines = append(lines, "no extrinsics and no intrinsics ("+RigName+"): MM-Fi's nominal ones are used")
	}
	if len(d.keys) > 0 {
		if t := d.newClip(d.keys[0]).tracks[modality.Camera](); strings.HasPrefix(filepath.Base(t.folder), "infra") {
			lines = append(lines, "keypoints of an infrared camera ("+filepath.Base(t.folder)+") only: they are read as the camera's")
		}
		if _, err := readFile(filepath.Join(d.path(d.keys[0]), scoresName)); err != nil {
			lines = append(lines, "no scores of keypoints ("+scoresName+"): each counts as seen for sure")
		}
	}
	if d.background == nil {
		lines = append(lines, "no background of the room ("+BackgroundName+"): it is learned from each clip anew")
	}
	return lines
}
