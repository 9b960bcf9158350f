package message

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// AppendPose appends p as JSON to dst. The bytes equal those of encoding/json;
// it exists because a pose is encoded at every tick and this allocates nothing.
func AppendPose(dst []byte, p *Pose) ([]byte, error) {
	e := encoder{b: dst}
	e.str(`{"schema":`, p.Schema)
	e.str(`,"room":`, p.Room)
	e.raw(`,"seq":`)
	e.b = strconv.AppendUint(e.b, p.Seq, 10)
	e.str(`,"capture_time":`, p.CaptureTime)
	e.raw(`,"capture_ns":`)
	e.b = strconv.AppendInt(e.b, p.CaptureNS, 10)
	e.str(`,"frame":`, p.Frame)
	e.str(`,"joint_order":`, p.JointOrder)
	e.raw(`,"joints_m":`)
	if p.JointsM == nil {
		e.raw("null")
	} else {
		for j := range p.JointsM {
			e.raw(sep(j))
			for i, v := range p.JointsM[j] {
				e.raw(sep(i))
				e.num(v)
			}
			e.raw("]")
		}
		e.raw("]")
	}
	if p.Calibrated {
		e.raw(`,"calibrated":true`)
	}
	e.raw(`,"spread_mm":`)
	e.perJoint(p.SpreadMM)
	if p.SpreadMeanMM != nil {
		e.raw(`,"spread_mean_mm":`)
		e.num(*p.SpreadMeanMM)
	}
	e.raw(`,"sigma_mm":`)
	e.perJoint(p.SigmaMM)
	e.raw(`,"presence":`)
	e.opt(p.Presence)
	e.str(`,"coalition":`, p.Coalition)
	e.raw(`,"modalities":`)
	e.modalities(p.Modalities)
	e.str(`,"model":{"name":`, p.Model.Name)
	e.str(`,"version":`, p.Model.Version)
	e.str(`,"sha256":`, p.Model.SHA256)
	e.raw(`},"latency_ms":{"align":`)
	e.num(p.LatencyMS.Align)
	e.raw(`,"infer":`)
	e.num(p.LatencyMS.Infer)
	e.raw(`,"total":`)
	e.num(p.LatencyMS.Total)
	e.raw("}}")
	return e.b, e.err
}

func sep(i int) string {
	if i == 0 {
		return "["
	}
	return ","
}

type encoder struct {
	b   []byte
	err error
}

func (e *encoder) raw(s string) { e.b = append(e.b, s...) }

// str appends a key and a string. Plain ASCII is copied; anything else goes
// through encoding/json for its escapes.
func (e *encoder) str(key, s string) {
	e.raw(key)
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			q, err := json.Marshal(s)
			if err != nil && e.err == nil {
				e.err = err
			}
			e.b = append(e.b, q...)
			return
		}
	}
	e.b = append(e.b, '"')
	e.raw(s)
	e.b = append(e.b, '"')
}

// num appends a number as encoding/json does: shortest form, exponent only for
// very small and very large values.
func (e *encoder) num(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		if e.err == nil {
			e.err = fmt.Errorf("pose holds %v, which JSON cannot carry", v)
		}
		return
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	e.b = strconv.AppendFloat(e.b, v, format, -1, 64)
	if n := len(e.b); format == 'e' && n >= 4 && e.b[n-4] == 'e' && e.b[n-3] == '-' && e.b[n-2] == '0' {
		e.b[n-2] = e.b[n-1]
		e.b = e.b[:n-1]
	}
}

// perJoint appends a number per joint, or null.
func (e *encoder) perJoint(v *[17]float64) {
	if v == nil {
		e.raw("null")
		return
	}
	for j, x := range v {
		e.raw(sep(j))
		e.num(x)
	}
	e.raw("]")
}

// modalities appends the map in the order of its keys, as encoding/json does.
func (e *encoder) modalities(m map[string]PoseModality) {
	if m == nil {
		e.raw("null")
		return
	}
	e.raw("{")
	n := 0
	for _, key := range [...]string{"L", "M", "R", "W"} {
		v, ok := m[key]
		if !ok {
			continue
		}
		if n > 0 {
			e.raw(",")
		}
		n++
		e.str("", key)
		e.str(`:{"state":`, v.State)
		e.raw(`,"presence":`)
		e.b = strconv.AppendBool(e.b, v.Presence)
		e.raw(`,"age_ms":`)
		e.opt(v.AgeMS)
		e.raw(`,"skew_ms":`)
		e.opt(v.SkewMS)
		if v.InfluenceMM != nil {
			e.raw(`,"influence_mm":`)
			e.num(*v.InfluenceMM)
		}
		if v.MeasuredAntennas != 0 {
			e.raw(`,"measured_antennas":`)
			e.b = strconv.AppendInt(e.b, int64(v.MeasuredAntennas), 10)
		}
		e.raw("}")
	}
	e.raw("}")
	if n != len(m) && e.err == nil {
		e.err = fmt.Errorf("pose names a modality other than R, L, M, W")
	}
}

func (e *encoder) opt(v *float64) {
	if v == nil {
		e.raw("null")
		return
	}
	e.num(*v)
}
