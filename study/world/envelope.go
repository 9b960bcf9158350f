package world

import (
	"math"
	"reflect"

	"posefuse/frame"
	"posefuse/model"
)

// MaxRatio is the error, to that of the base, up to which a model counts as
// holding in a room.
const MaxRatio = 1.3

// Envelope returns where the model of a table holds, by the table's last stage,
// and what the first one costs.
// A room in which it holds vouches for each quantity in which the room differs
// from the base; one in which it does not hold limits a quantity if it differs in
// nothing else. The table is Evaluate's of f.
func (t *Table) Envelope(f *File) (*model.Envelope, error) {
	rows := t.Stages[len(t.Stages)-1].Rows
	e := &model.Envelope{Data: t.Data, Frames: t.Frames, BaseMM: rows[0].FusedMM, MaxRatio: MaxRatio, Base: frame.Measures{}, Ranges: map[frame.Quantity]model.Range{}}
	base, err := f.measure(&f.Rows[0])
	if err != nil {
		return nil, err
	}
	for i := range f.Rows {
		if rows[i].Empty {
			continue // it says nothing of poses
		}
		values, err := f.measure(&f.Rows[i])
		if err != nil {
			return nil, err
		}
		room := model.RoomScore{Name: rows[i].Name, MM: round(rows[i].FusedMM, 10), Ratio: round(rows[i].Ratio, 100), Else: f.differsElse(&f.Rows[i])}
		if len(t.Stages) > 1 {
			room.RawMM = round(t.Stages[0].Rows[i].FusedMM, 10)
		}
		for q, v := range values {
			if math.Abs(v-base[q]) > frame.Tolerances[q]/2 {
				if room.Differs == nil {
					room.Differs = map[frame.Quantity]float64{}
				}
				room.Differs[q] = round(v, 1000)
			}
		}
		e.Rooms = append(e.Rooms, room)
	}
	e.BaseMM = round(e.BaseMM, 10)
	for q, v := range base {
		e.Base[q] = round(v, 1000)
		e.Ranges[q] = rangeOf(e.Rooms, q, e.Base[q])
	}
	return e, nil
}

// rangeOf grows the range of a quantity from the base's value to the outermost
// at which a room holds, up to the first that limits it.
func rangeOf(rooms []model.RoomScore, q frame.Quantity, base float64) model.Range {
	below, above := math.Inf(-1), math.Inf(1)
	for i := range rooms {
		v, ok := rooms[i].Differs[q]
		switch {
		case !ok || rooms[i].Ratio <= MaxRatio || rooms[i].Else || len(rooms[i].Differs) > 1:
		case v < base:
			below = max(below, v)
		default:
			above = min(above, v)
		}
	}
	r := model.Range{Min: base, Max: base, MM: rooms[0].MM, Ratio: rooms[0].Ratio}
	for i := range rooms {
		if v, ok := rooms[i].Differs[q]; ok && rooms[i].Ratio <= MaxRatio && v > below && v < above {
			r.Min, r.Max = min(r.Min, v), max(r.Max, v)
			r.MM, r.Ratio = max(r.MM, rooms[i].MM), max(r.Ratio, rooms[i].Ratio)
		}
	}
	return r
}

// measure returns a row's room in numbers.
func (f *File) measure(r *Row) (frame.Measures, error) {
	ds, err := f.dataset(r)
	if err != nil {
		return nil, err
	}
	var rig frame.Rig
	var height float64 // of the people, on average
	for _, k := range f.Clips {
		clip, err := ds.Clip(k)
		if err != nil {
			return nil, err
		}
		rig = clip.Rig()
		height += clip.HeightM() / float64(len(f.Clips))
	}
	m := rig.Measure()
	m[frame.Distance], m[frame.Aside] = rig.MeasurePlace(r.World.StandsAtM())
	m[frame.Turned] = math.Abs(math.Remainder(r.World.Person.TurnDeg, 360))
	m[frame.PersonHeight] = height
	return m, nil
}

// differsElse reports whether a row differs from the base in what is no quantity.
func (f *File) differsElse(r *Row) bool {
	base := &f.Rows[0]
	w := r.World
	w.Name = base.World.Name
	c, b := &w.Camera, &base.World.Camera
	c.RoomFromCamera, c.WidthPx, c.HeightPx, c.FocalPx, c.CentreUPx, c.CentreVPx = b.RoomFromCamera, b.WidthPx, b.HeightPx, b.FocalPx, b.CentreUPx, b.CentreVPx
	w.LiDAR.RoomFromLiDAR, w.Radar.RoomFromRadar = base.World.LiDAR.RoomFromLiDAR, base.World.Radar.RoomFromRadar
	p := &base.World.Person
	w.Person.RightM, w.Person.FartherM, w.Person.TurnDeg, w.Person.HeightM = p.RightM, p.FartherM, p.TurnDeg, p.HeightM
	return r.Untold || r.Preset != base.Preset || len(r.Degradations) > 0 || !reflect.DeepEqual(w, base.World)
}

func round(v, per float64) float64 { return math.Round(v*per) / per }
