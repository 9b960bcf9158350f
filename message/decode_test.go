package message

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// joints writes joints_m with joint 3 replaced.
func joints(n int, third string) string {
	list := make([]string, n)
	for j := range list {
		list[j] = fmt.Sprintf("[%d,0.5,3]", j)
	}
	if third != "" {
		list[3%n] = third
	}
	return `{"schema":"posefuse.pose.v1","room":"a","seq":4,"joints_m":[` + strings.Join(list, ",") + `]}`
}

func TestUnmarshalPose(t *testing.T) {
	for _, c := range []struct{ name, text, err string }{
		{"whole", joints(17, ""), ""},
		{"unknown joint", joints(17, "null"), ""},
		{"unknown coordinate", joints(17, "[null,1,2]"), ""},
		{"no joints", `{"room":"a","seq":4,"joints_m":null}`, ""},
		{"16", joints(16, ""), "16 joints"},
		{"33", joints(33, ""), "33 joints"},
		{"flat joint", joints(17, "[1,2]"), "joints_m[3] has 2"},
		{"words", joints(17, `["a",1,2]`), "cannot unmarshal"},
		{"no JSON", `{"joints_m":[[NaN`, "invalid"},
	} {
		var p Pose
		err := UnmarshalPose([]byte(c.text), &p)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil || p.Room != "a" || p.Seq != 4 {
			t.Errorf("%s: %v, %+v", c.name, err, p)
			continue
		}
		if c.name == "no joints" {
			if p.JointsM != nil {
				t.Errorf("%s: joints %v", c.name, p.JointsM)
			}
			continue
		}
		for j, q := range p.JointsM {
			unknown := j == 3 && c.name != "whole"
			if math.IsNaN(q[0]) != unknown || math.IsNaN(q[2]) != unknown || !unknown && q != [3]float64{float64(j), 0.5, 3} {
				t.Errorf("%s: joint %d is %v", c.name, j, q)
			}
		}
	}
}

// FuzzUnmarshalPose: whatever arrives is a pose with 17 joints, none, or an error.
func FuzzUnmarshalPose(f *testing.F) {
	f.Add([]byte(joints(17, "[null,1,2]")))
	f.Add([]byte(joints(2, "")))
	f.Add([]byte(`{"joints_m":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var p Pose
		if UnmarshalPose(text, &p) == nil && p.JointsM != nil {
			for j, q := range p.JointsM {
				if math.IsNaN(q[0]) != math.IsNaN(q[1]) || math.IsInf(q[0], 0) {
					t.Fatalf("joint %d is %v", j, q)
				}
			}
		}
	})
}
