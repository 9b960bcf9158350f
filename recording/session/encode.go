package session

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"posefuse/frame"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/skeleton"
)

// encoder writes messages as JSON. Numbers that JSON does not know are null. It
// keeps its memory.
type encoder struct {
	anchorNS int64 // Unix time of room time zero
	b        []byte
	raw      []byte
}

func (e *encoder) text(s string) { e.b = append(e.b, s...) }

func (e *encoder) int(key string, v int64) {
	e.text(key)
	e.b = strconv.AppendInt(e.b, v, 10)
}

func (e *encoder) float(key string, v float64) {
	e.text(key)
	if v-v != 0 {
		e.text("null")
		return
	}
	e.b = strconv.AppendFloat(e.b, v, 'g', -1, 64)
}

// stamp writes a room time as Foxglove's pair of seconds and nanoseconds.
func (e *encoder) stamp(ns int64) {
	unix := max(e.anchorNS+ns, 0)
	e.int(`"timestamp":{"sec":`, unix/1e9)
	e.int(`,"nsec":`, unix%1e9)
	e.text("}")
}

// base64 writes e.raw.
func (e *encoder) base64(key string) {
	e.text(key)
	e.text(`"`)
	e.b = base64.StdEncoding.AppendEncode(e.b, e.raw)
	e.text(`"`)
}

// sample writes a sample for the channel of its modality. What the well-known
// schemas have no place for is under the key "posefuse".
func (e *encoder) sample(s *sensors.Sample) []byte {
	e.b = e.b[:0]
	at := s.CaptureNS
	if at == 0 {
		at = s.ReceiveNS
	}
	switch s.Modality {
	case modality.Camera:
		e.keypoints(s.Keypoints, at)
	case modality.LiDAR:
		e.cloud(s.Cloud, at)
	case modality.Radar:
		e.radar(s.Radar, at)
	case modality.CSI:
		e.csi(s.CSI, at)
	}
	e.b = strconv.AppendUint(append(e.b, `,"posefuse":{"seq":`...), s.Seq, 10)
	if s.HasDevice {
		e.int(`,"device_ns":`, s.DeviceNS)
	}
	e.int(`,"receive_ns":`, s.ReceiveNS)
	e.int(`,"capture_ns":`, s.CaptureNS)
	if s.Restarted {
		e.text(`,"restarted":true`)
	}
	switch s.Modality {
	case modality.LiDAR:
		e.float(`,"complete":`, s.Cloud.Complete)
	case modality.Camera:
		e.text(`,"score":[`)
		for j, v := range s.Keypoints.Score {
			e.float(comma(j), v)
		}
		e.int(`],"width":`, int64(s.Keypoints.Width))
		e.int(`,"height":`, int64(s.Keypoints.Height))
		if s.Keypoints.Others {
			e.text(`,"others":true`)
		}
	case modality.Radar, modality.CSI: // nothing more
	}
	e.text("}}")
	return e.b
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

func (e *encoder) keypoints(k *sensors.Keypoints, at int64) {
	e.text(`{"circles":[],"texts":[],"points":[{`)
	e.stamp(at)
	e.text(`,"type":1,"points":[`)
	for j, p := range k.XY {
		e.text(comma(j))
		e.float(`{"x":`, p[0])
		e.float(`,"y":`, p[1])
		e.text("}")
	}
	e.text(`],"outline_color":{"r":0,"g":1,"b":0,"a":1},"outline_colors":[],"fill_color":{"r":0,"g":0,"b":0,"a":0},"thickness":4}]`)
}

const noPose = `,"pose":{"position":{"x":0,"y":0,"z":0},"orientation":{"x":0,"y":0,"z":0,"w":1}}`

// cloudHead writes what precedes a packed cloud whose fields are float32.
func (e *encoder) cloudHead(id string, at int64, fields ...string) {
	e.text("{")
	e.stamp(at)
	e.text(`,"frame_id":"` + id + `"` + noPose)
	e.int(`,"point_stride":`, int64(4*len(fields)))
	e.text(`,"fields":[`)
	for i, f := range fields {
		e.text(comma(i) + `{"name":"` + f + `"`)
		e.int(`,"offset":`, int64(4*i))
		e.text(`,"type":7}`)
	}
	e.text("]")
}

func (e *encoder) cloud(c *sensors.PointCloud, at int64) {
	e.cloudHead("lidar", at, "x", "y", "z")
	e.raw = appendFloats(e.raw[:0], c.XYZ...)
	e.base64(`,"data":`)
}

func (e *encoder) radar(f *sensors.RadarFrame, at int64) {
	e.cloudHead("radar", at, "x", "y", "z", "doppler", "snr")
	e.raw = e.raw[:0]
	for _, p := range f.Points {
		e.raw = appendFloats(e.raw, p.X, p.Y, p.Z, p.Doppler, p.SNRdB)
	}
	e.base64(`,"data":`)
}

func (e *encoder) csi(c *sensors.CSIPacket, at int64) {
	e.text("{")
	e.stamp(at)
	e.int(`,"antennas":`, int64(c.Antennas))
	e.int(`,"subcarriers":`, int64(c.Subcarriers))
	e.int(`,"measured":`, int64(c.Measured))
	e.float(`,"rssi_dbm":`, c.RSSIdBm)
	e.raw = e.raw[:0]
	for _, h := range c.H {
		e.raw = appendFloats(e.raw, real(h), imag(h))
	}
	e.base64(`,"h":`)
}

func appendFloats(b []byte, values ...float32) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// skeleton writes a pose as a scene of joints and bones; frame is that of the pose.
func (e *encoder) skeleton(joints *skeleton.Pose, frameName string, at int64) []byte {
	e.b = e.b[:0]
	e.scene(joints, frameName, at)
	return e.b
}

func (e *encoder) scene(joints *skeleton.Pose, frameName string, at int64) {
	e.text(`{"deletions":[],"entities":[{`)
	e.stamp(at)
	e.text(`,"frame_id":"` + frameName + `","id":"person","lifetime":{"sec":0,"nsec":500000000},"frame_locked":false,"metadata":[],` +
		`"arrows":[],"cubes":[],"cylinders":[],"triangles":[],"texts":[],"models":[],"spheres":[`)
	for j := range joints {
		e.text(comma(j) + `{"pose":{"position":`)
		e.point(joints[j])
		e.text(`,"orientation":{"x":0,"y":0,"z":0,"w":1}},"size":{"x":0.06,"y":0.06,"z":0.06},"color":{"r":1,"g":0.6,"b":0.1,"a":1}}`)
	}
	e.text(`],"lines":[{"type":2,"pose":{"position":{"x":0,"y":0,"z":0},"orientation":{"x":0,"y":0,"z":0,"w":1}},"thickness":0.03,"scale_invariant":false,"points":[`)
	for i, b := range skeleton.Bones {
		e.text(comma(i))
		e.point(joints[b.Parent])
		e.text(",")
		e.point(joints[b.Child])
	}
	e.text(`],"color":{"r":0.2,"g":0.6,"b":1,"a":1},"colors":[],"indices":[]}]}]}`)
}

func (e *encoder) point(p [3]float64) {
	e.float(`{"x":`, p[0])
	e.float(`,"y":`, p[1])
	e.float(`,"z":`, p[2])
	e.text("}")
}

// frames writes where the sensors stand in the room.
func (e *encoder) frames(rig *frame.Rig, at int64) []byte {
	e.b = e.b[:0]
	e.text(`{"transforms":[`)
	for i, t := range [...]struct {
		child string
		t     *frame.Transform
	}{{"camera", &rig.RoomFromCamera}, {"lidar", &rig.RoomFromLiDAR}, {"radar", &rig.RoomFromRadar}} {
		e.text(comma(i) + "{")
		e.stamp(at)
		e.text(`,"parent_frame_id":"room","child_frame_id":"` + t.child + `","translation":`)
		e.point(t.t.T)
		q := quaternion(&t.t.R)
		e.text(`,"rotation":`)
		e.point([3]float64(q[:3]))
		e.b = e.b[:len(e.b)-1]
		e.float(`,"w":`, q[3])
		e.text("}}")
	}
	e.text("]}")
	return e.b
}

// quaternion returns x, y, z, w of a rotation (Shepperd, "Quaternion from rotation
// matrix", 1978: the largest of the four is found first).
func quaternion(r *[3][3]float64) (q [4]float64) {
	trace := r[0][0] + r[1][1] + r[2][2]
	biggest, most := 3, trace
	for i := range 3 {
		if r[i][i] > most {
			biggest, most = i, r[i][i]
		}
	}
	if biggest == 3 {
		q = [4]float64{r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1], 1 + trace}
	} else {
		i, j, k := biggest, (biggest+1)%3, (biggest+2)%3
		q[i] = 1 + 2*r[i][i] - trace
		q[j], q[k], q[3] = r[j][i]+r[i][j], r[k][i]+r[i][k], r[k][j]-r[j][k]
	}
	n := math.Sqrt(q[0]*q[0] + q[1]*q[1] + q[2]*q[2] + q[3]*q[3])
	for i := range q {
		q[i] /= n
	}
	return q
}

// clock writes the wall clock's time beside the room clock's, both ns.
func (e *encoder) clock(roomNS, wallNS int64) []byte {
	e.b = e.b[:0]
	e.int(`{"room_ns":`, roomNS)
	e.int(`,"wall_ns":`, wallNS)
	e.text("}")
	return e.b
}
