// Package camera takes 2D keypoints of one person from a camera. Either a
// program beside the daemon finds them and sends lines of JSON, over TCP or by
// calls; or the camera gives pictures, of the kernel's video devices, of HTTP, of
// ffmpeg or of files, and a Detector looks at the newest. Pictures stay in
// memory, and nothing of them is in an error.
package camera

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"posefuse/sensors"
)

// Bounds of the keypoint message.
const (
	// MaxLineBytes bounds one line without its newline. A full message is
	// about 1 kB.
	MaxLineBytes = 16 << 10
	// MaxImageSide bounds width and height, pixels.
	MaxImageSide = 16384
	numKeypoints = 17
)

// Reason says why a line was rejected; it is the outcome under which the
// source counts it.
type Reason string

// The reasons for rejecting a line.
const (
	BadJSON   Reason = "bad_json"   // not the JSON object of the format
	BadTime   Reason = "bad_time"   // no capture time, two of them or an impossible one
	BadSize   Reason = "bad_size"   // width or height missing or out of bounds
	BadCount  Reason = "bad_count"  // not 17 keypoints of three numbers
	BadValue  Reason = "bad_value"  // a number that is not finite or out of range
	LineLimit Reason = "line_limit" // line longer than MaxLineBytes
)

// DecodeError is why a line was rejected.
type DecodeError struct {
	Reason Reason
	Detail string
}

// Error names the reason and the field.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("keypoint line rejected: %s: %s", e.Reason, e.Detail)
}

// Message is one set of keypoints of one person as it travels on the wire.
type Message struct {
	CaptureNS int64  // Unix time of capture by the camera's clock, ns
	Seq       uint64 // counts the camera's frames
	Keypoints sensors.Keypoints
}

type wireMessage struct {
	CaptureTime *string       `json:"capture_time,omitempty"`
	CaptureNS   *int64        `json:"capture_ns,omitempty"`
	Seq         uint64        `json:"seq"`
	Width       int           `json:"width"`
	Height      int           `json:"height"`
	Keypoints   []*[]*float64 `json:"keypoints"`
	Others      bool          `json:"others"`
}

// maxScore is the highest score that counts as 1: detectors that do not
// normalise their scores (SimCC) give somewhat more for a sure joint. Beyond, the
// scores are in another unit, such as per cent.
const maxScore = 10

// Decode reads one line, with or without its newline:
//
//	{"capture_time": "2026-11-23T20:15:00.123456789Z", "seq": 7,
//	 "width": 640, "height": 480, "keypoints": [[x, y, score], ... 17]}
//
// with "capture_ns" (Unix nanoseconds) as the other way to give the time.
// Coordinates are pixels, x right, y down, in COCO-17 order, scores 0..1, and
// up to maxScore taken for 1. A keypoint may lie outside the image by at most one image side. "others": true
// says that somebody else is in the picture. Unknown keys are ignored, so that
// a newer camera still works. The error is a *DecodeError.
func Decode(line []byte) (Message, error) {
	if len(line) > MaxLineBytes {
		return Message{}, &DecodeError{LineLimit, fmt.Sprintf("%d bytes, at most %d", len(line), MaxLineBytes)}
	}
	var w wireMessage
	dec := json.NewDecoder(bytes.NewReader(line))
	if err := dec.Decode(&w); err != nil {
		var t *json.UnmarshalTypeError
		if errors.As(err, &t) {
			return Message{}, &DecodeError{BadJSON, fmt.Sprintf("%s at offset %d has the wrong type", t.Field, t.Offset)}
		}
		return Message{}, &DecodeError{BadJSON, err.Error()}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Message{}, &DecodeError{BadJSON, "text after the object"}
	}
	m := Message{Seq: w.Seq}
	switch {
	case w.CaptureTime != nil && w.CaptureNS != nil:
		return Message{}, &DecodeError{BadTime, "give capture_time or capture_ns, not both"}
	case w.CaptureTime != nil:
		t, err := time.Parse(time.RFC3339Nano, *w.CaptureTime)
		if err != nil || t.Year() < 1970 || t.Year() > 2261 {
			return Message{}, &DecodeError{BadTime, "capture_time is not an RFC 3339 time between 1970 and 2261"}
		}
		m.CaptureNS = t.UnixNano()
	case w.CaptureNS != nil:
		m.CaptureNS = *w.CaptureNS
	default:
		return Message{}, &DecodeError{BadTime, "capture_time or capture_ns is missing"}
	}
	if m.CaptureNS < 0 {
		return Message{}, &DecodeError{BadTime, "capture_ns is negative"}
	}
	if w.Width < 1 || w.Width > MaxImageSide || w.Height < 1 || w.Height > MaxImageSide {
		return Message{}, &DecodeError{BadSize, fmt.Sprintf("image of %d x %d pixels, sides must be 1..%d", w.Width, w.Height, MaxImageSide)}
	}
	m.Keypoints.Width, m.Keypoints.Height, m.Keypoints.Others = w.Width, w.Height, w.Others
	if len(w.Keypoints) != numKeypoints {
		return Message{}, &DecodeError{BadCount, fmt.Sprintf("%d keypoints instead of %d", len(w.Keypoints), numKeypoints)}
	}
	for i, k := range w.Keypoints {
		if k == nil || len(*k) != 3 || (*k)[0] == nil || (*k)[1] == nil || (*k)[2] == nil {
			return Message{}, &DecodeError{BadCount, fmt.Sprintf("keypoint %d is not three numbers", i)}
		}
		m.Keypoints.XY[i] = [2]float64{*(*k)[0], *(*k)[1]}
		m.Keypoints.Score[i] = *(*k)[2]
		if s := m.Keypoints.Score[i]; s > 1 && s <= maxScore {
			m.Keypoints.Score[i] = 1
		}
	}
	if err := checkKeypoints(&m.Keypoints); err != nil {
		return Message{}, err
	}
	return m, nil
}

func checkKeypoints(k *sensors.Keypoints) error {
	w, h := float64(k.Width), float64(k.Height)
	for i := range numKeypoints {
		x, y, s := k.XY[i][0], k.XY[i][1], k.Score[i]
		// Written so that NaN fails.
		if !(x >= -w && x <= 2*w && y >= -h && y <= 2*h) {
			return &DecodeError{BadValue, fmt.Sprintf("keypoint %d at (%g, %g) is far outside the image", i, x, y)}
		}
		if !(s >= 0 && s <= 1) {
			return &DecodeError{BadValue, fmt.Sprintf("keypoint %d has the score %g, not 0..1: is it in per cent?", i, s)}
		}
	}
	return nil
}

// Encode appends m as one line with its newline to dst. It refuses what Decode
// would reject.
func Encode(dst []byte, m *Message) ([]byte, error) {
	k := &m.Keypoints
	if m.CaptureNS < 0 {
		return dst, &DecodeError{BadTime, "capture time is negative"}
	}
	if k.Width < 1 || k.Width > MaxImageSide || k.Height < 1 || k.Height > MaxImageSide {
		return dst, &DecodeError{BadSize, fmt.Sprintf("image of %d x %d pixels, sides must be 1..%d", k.Width, k.Height, MaxImageSide)}
	}
	if err := checkKeypoints(k); err != nil {
		return dst, err
	}
	var kp [numKeypoints][3]float64
	for i := range kp {
		kp[i] = [3]float64{k.XY[i][0], k.XY[i][1], k.Score[i]}
		for a, v := range kp[i] {
			if v == 0 {
				kp[i][a] = math.Abs(v) // JSON writes -0
			}
		}
	}
	b, err := json.Marshal(struct {
		CaptureNS int64                     `json:"capture_ns"`
		Seq       uint64                    `json:"seq"`
		Width     int                       `json:"width"`
		Height    int                       `json:"height"`
		Keypoints *[numKeypoints][3]float64 `json:"keypoints"`
		Others    bool                      `json:"others,omitempty"`
	}{m.CaptureNS, m.Seq, k.Width, k.Height, &kp, k.Others})
	if err != nil {
		return dst, fmt.Errorf("encode keypoints: %w", err)
	}
	return append(append(dst, b...), '\n'), nil
}
