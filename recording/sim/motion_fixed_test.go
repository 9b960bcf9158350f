package sim

import (
	"testing"

	"posefuse/recording"
)

// uprightPerson is a person of 1.7 m at the standing place, facing the sensors.
func uprightPerson() Skeleton {
	sk := Skeleton{
		{0, .95, 0}, {-.1, .93, 0}, {-.1, .5, -.03}, {-.1, .09, 0}, {.1, .93, 0}, {.1, .5, -.03}, {.1, .09, 0},
		{0, 1.2, 0}, {0, 1.44, 0}, {0, 1.54, -.05}, {0, 1.7, -.05},
		{.22, 1.42, 0}, {.28, 1.14, 0}, {.3, .9, -.05}, {-.22, 1.42, 0}, {-.28, 1.14, 0}, {-.3, .9, -.05},
	}
	for j := range sk {
		sk[j][2] += 3.1
	}
	return sk
}

// testMotion moves by a formula, so that tests know the truth.
type testMotion struct {
	key     recording.Key
	subject Subject
	at      func(tS float64) Skeleton
}

func (m testMotion) Key() recording.Key     { return m.key }
func (m testMotion) Subject() Subject       { return m.subject }
func (m testMotion) At(tS float64) Skeleton { return m.at(tS) }
func (m testMotion) Repetitions() []float64 { return nil }
func (m testMotion) Source() string         { return "test" }

// still is a person who does not move.
func still() testMotion { return moving(Vec{}) }

// moving is a standing person carried along at velocity v.
func moving(v Vec) testMotion {
	return testMotion{
		key: recording.Key{Subject: 1, Activity: 1}, subject: Subject{ID: 1, HeightM: 1.7, Girth: 1},
		at: func(tS float64) Skeleton {
			sk := uprightPerson()
			for j := range sk {
				sk[j] = vecAdd(sk[j], vecScale(v, tS))
			}
			return sk
		},
	}
}

// mirrored exchanges left and right of another motion.
func mirrored(m testMotion) testMotion {
	pair := [17]int{0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13}
	inner := m.at
	m.at = func(tS float64) Skeleton {
		sk := inner(tS)
		var out Skeleton
		for j := range sk {
			out[j] = sk[pair[j]]
			out[j][0] = -out[j][0]
		}
		return out
	}
	return m
}

// asymmetric is a person who waves with the left arm and steps to the left.
func asymmetric() testMotion {
	m := still()
	m.at = func(tS float64) Skeleton {
		sk := uprightPerson()
		sk[12] = Vec{.5, 1.5, 3.0}
		sk[13] = Vec{.55 + float64(0.1*tS), 1.75, 2.9}
		sk[5][0] += .15
		sk[6][0] += .3
		return sk
	}
	return m
}

// newTestClip makes a clip of a preset with changes.
func newTestClip(t testing.TB, preset string, m Motion, change func(*Config, *Preset)) *Clip {
	t.Helper()
	p, err := PresetByName(preset)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Seed: 1, Preset: preset}
	if change != nil {
		change(&cfg, &p)
		cfg.Custom = &p
	}
	c, err := NewClip(cfg, m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
