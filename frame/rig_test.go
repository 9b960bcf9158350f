package frame

import (
	"reflect"
	"testing"
)

type rigged struct{ rig Rig }

func (r rigged) Rig() Rig { return r.rig }

func TestRigOf(t *testing.T) {
	want := Rig{Camera: Intrinsics{WidthPx: 640, HeightPx: 480, FxPx: 605, FyPx: 605, CxPx: 320, CyPx: 240}}
	if got, ok := RigOf(rigged{want}); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := RigOf("a recording that nobody measured"); ok {
		t.Error("a rig of nothing")
	}
}
