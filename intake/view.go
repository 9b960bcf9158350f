package intake

import (
	"posefuse/person"
	"posefuse/sensors"
)

// Labels appends to dst what the points of a sweep were taken for, in their order,
// and reports false if that sweep was not the newest to be searched.
func (p *Intake) Labels(s *sensors.Sample, dst []person.Label) ([]person.Label, bool) {
	if p.stage == nil {
		return dst, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sweep != s {
		return dst, false
	}
	return append(dst, p.finder.Labels()...), true
}

// RadarPerson appends to dst which points of a radar frame were taken for the
// person's, and reports false if that frame was not the newest to be searched.
func (p *Intake) RadarPerson(s *sensors.Sample, dst []int) ([]int, bool) {
	if p.stage == nil {
		return dst, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frame != s {
		return dst, false
	}
	return append(dst, p.stage.RadarPerson()...), true
}
