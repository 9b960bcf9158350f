package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"reflect"
	"testing"

	"posefuse/sensors/modality"
)

// goldenHashes hashes 20 frames of each modality of the fixed movement.
func goldenHashes(t *testing.T, preset string) (got [modality.Count]string) {
	t.Helper()
	c := newTestClip(t, preset, asymmetric(), nil)
	var sums [modality.Count]hash.Hash
	for m := range sums {
		sums[m] = sha256.New()
	}
	for i := range 20 {
		f := mustFrame(t, c, i*11)
		for _, p := range f.RGB {
			hashFloats(sums[0], p[:])
		}
		hashFloats(sums[1], f.LiDAR)
		hashFloats(sums[2], f.MmWave)
		hashFloats(sums[3], f.CSIAmp)
		hashFloats(sums[3], f.CSIPhase)
	}
	for m := range sums {
		got[m] = hex.EncodeToString(sums[m].Sum(nil))
	}
	return got
}

// goldenCamera2 holds mmfi-2's keypoints, made on the day it was frozen with
// generator version 1. Published experiments name the preset: a change of
// this hash is a new preset.
const goldenCamera2 = "9a01196c31c82c3e5f57aa5e1fdb48b0d7c21f387a80a65bf97b2713d80e1daa"

// mmfi-2 is frozen, and differs from mmfi in nothing but the keypoints.
func TestGoldenFramesOfMMFi2(t *testing.T) {
	want := [modality.Count]string{goldenCamera2, goldenLidar, goldenRadar, goldenCSI}
	for m, got := range goldenHashes(t, "mmfi-2") {
		if got != want[m] {
			t.Errorf("%v: hash %s, want %s", modality.Kind(m), got, want[m])
		}
	}
	a, err := PresetByName("mmfi")
	if err != nil {
		t.Fatal(err)
	}
	b, err := PresetByName("mmfi-2")
	if err != nil {
		t.Fatal(err)
	}
	if b.Name != "mmfi-2" {
		t.Errorf("the preset calls itself %q, want mmfi-2", b.Name)
	}
	b.Name, b.Camera.Core = a.Name, a.Camera.Core
	if !reflect.DeepEqual(a, b) {
		t.Errorf("mmfi-2 differs from mmfi beyond the keypoints' core error:\n%+v\n%+v", a, b)
	}
}
