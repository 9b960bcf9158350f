package retrain

import (
	"slices"

	"posefuse/model"
	"posefuse/skeleton"
	"posefuse/train"
)

// holdBones gives the poses that label a person's samples the same bones: the
// median lengths over all of them, for nobody's bones change, and a student that
// sees fewer sensors learns no other body.
func holdBones(d *train.Data) {
	lengths := map[int][skeleton.NumBones][]float64{}
	each := func(visit func(subject int, row []float32)) {
		for _, ref := range d.Samples {
			c := d.Clips[ref.Clip]
			visit(c.Key.Subject, c.Truth[ref.Row*model.OutputDim:(ref.Row+1)*model.OutputDim])
		}
	}
	each(func(subject int, row []float32) {
		p := poseOf(row)
		of := lengths[subject]
		for b, v := range skeleton.LengthsOf(&p) {
			of[b] = append(of[b], v)
		}
		lengths[subject] = of
	})
	usual := map[int]*skeleton.Lengths{}
	for subject, of := range lengths {
		l := &skeleton.Lengths{}
		for b, v := range of {
			slices.Sort(v)
			l[b] = v[len(v)/2]
		}
		usual[subject] = l
	}
	each(func(subject int, row []float32) {
		p := poseOf(row)
		skeleton.Project(&p, usual[subject])
		for i := range row {
			row[i] = float32(p[i/3][i%3])
		}
	})
}

func poseOf(row []float32) (p skeleton.Pose) {
	for i, v := range row {
		p[i/3][i%3] = float64(v)
	}
	return p
}
