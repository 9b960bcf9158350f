package model

import (
	"math"
	"math/bits"

	"posefuse/sensors/modality"
)

// Influence says, without ground truth, what each modality of a coalition
// does to one pose. It comes from the coalitions of the modalities present:
// the features are those of the sample, only the fusion head runs again.
type Influence struct {
	// Of holds the modalities present; the rest is set only if there are at
	// least two, and zero otherwise.
	Of modality.Set
	// InfluenceMM is, for each modality of Of, how far the joints move on
	// average when it is left out: the mean over the joints of
	// |pose(Of) - pose(Of without it)|, millimetres. Zero for the others.
	InfluenceMM [modality.Count]float64
	// SpreadMM is the disagreement of the coalitions per joint, millimetres, as
	// PublishedSpread defines it.
	SpreadMM [NumJoints]float64
}

// SpreadDefinition says over which coalitions of the modalities present a
// spread is taken, and about what.
type SpreadDefinition struct {
	Name string
	// LeastAbsent and MostAbsent bound how many of the modalities present a
	// coalition that counts lacks.
	LeastAbsent, MostAbsent int
	// Empty counts the coalition of nobody, and it alone of those that lack
	// more than MostAbsent: its pose is what the head says without any sensor.
	Empty bool
	// AboutPose takes the distances from the pose of all modalities present;
	// otherwise they are from the mean of the coalitions' poses, and the
	// spread is a standard deviation.
	AboutPose bool
}

// SpreadDefinitions are the definitions to compare.
var SpreadDefinitions = []SpreadDefinition{
	{Name: "sd of leave-one-out", LeastAbsent: 1, MostAbsent: 1},
	{Name: "sd of n-1 or more", MostAbsent: 1},
	{Name: "sd of n-2 or more", MostAbsent: 2},
	{Name: "sd of all coalitions", MostAbsent: int(modality.Count)},
	{Name: "rms of leave-one-out about the pose", LeastAbsent: 1, MostAbsent: 1, AboutPose: true},
	{Name: "rms of all coalitions about the pose", LeastAbsent: 1, MostAbsent: int(modality.Count), AboutPose: true},
	UnusualPose,
}

// UnusualPose is how far the pose is from the one that the head gives without
// any sensor. No two coalitions are compared in it: it is there to see what
// the others say beyond that.
var UnusualPose = SpreadDefinition{Name: "distance to the pose of no sensor", LeastAbsent: int(modality.Count), Empty: true, AboutPose: true}

// PublishedSpread is the definition behind Influence.SpreadMM.
var PublishedSpread = SpreadDefinitions[0]

// Holds reports whether the pose of coalition s, a part of the modalities of,
// counts.
func (d SpreadDefinition) Holds(s, of modality.Set) bool {
	if s == 0 {
		return d.Empty
	}
	absent := bits.OnesCount8(uint8(of &^ s))
	return absent >= d.LeastAbsent && absent <= d.MostAbsent
}

// Spread sets dst to the spread per joint, millimetres, of the poses of the
// coalitions of the modalities of: the root of the mean squared distance, over
// the coalitions that count, to their mean or to the pose of all. pose returns
// the OutputDim values, metres, of a coalition.
func (d SpreadDefinition) Spread(of modality.Set, pose func(modality.Set) []float32, dst *[NumJoints]float64) {
	all := pose(of)
	var sum, sum2 [OutputDim]float64
	n := 0.0
	for s := range of + 1 {
		if s&^of != 0 || !d.Holds(s, of) { // not a part of them, or not counted
			continue
		}
		n++
		for i, v := range pose(s) {
			x := float64(v) - float64(all[i]) // differences keep the digits
			sum[i] += x
			sum2[i] += x * x
		}
	}
	for j := range dst {
		var square float64
		for i := 3 * j; i < 3*j+3; i++ {
			variance := sum2[i] / n
			if !d.AboutPose {
				variance -= sum[i] / n * (sum[i] / n)
			}
			square += max(0, variance)
		}
		dst[j] = 1000 * math.Sqrt(square)
	}
}

// InfluenceMM is the mean distance of the joints of two poses of OutputDim
// values, metres to millimetres: how far leaving a modality out moves them.
func InfluenceMM(all, without []float32) float64 { return 1000 * MPJPE(without, all) }

// coalitionPass is a runtime's memory for Influence: the head runs once,
// with a coalition per row of the batch.
type coalitionPass struct {
	rows  [1 << modality.Count]modality.Set // coalition of each row
	row   [1 << modality.Count]int          // the reverse
	feats [modality.Count][]float32         // rows x FeatureDim per modality
	in    [][]float32                       // those of the head's inputs
	poses []float32                         // rows x OutputDim, of the head
	pose  func(modality.Set) []float32      // of one coalition
}

// poseOf returns the pose of a coalition of the last pass.
func (p *coalitionPass) poseOf(s modality.Set) []float32 {
	return p.poses[p.row[s]*OutputDim : (p.row[s]+1)*OutputDim]
}

// Influence sets c to the influence of the modalities of present that
// were encoded since Begin: to the pose that Finish gives for the same set.
// It allocates nothing after the first call.
func (r *Runtime) Influence(present modality.Set, c *Influence) {
	*c = Influence{}
	for _, m := range r.inst.slots {
		if present.Has(m) && r.staged[m].feature != nil {
			c.Of |= 1 << m
		}
	}
	if c.Of&(c.Of-1) == 0 {
		return
	}
	p := r.coalitions(c.Of)
	for m := range modality.Count {
		if c.Of.Has(m) {
			c.InfluenceMM[m] = InfluenceMM(p.poseOf(c.Of), p.poseOf(c.Of&^(1<<m)))
		}
	}
	PublishedSpread.Spread(c.Of, p.pose, &c.SpreadMM)
}

// coalitions runs the head on the coalitions of the staged features of the
// modalities of that Influence needs: all of them, each without one, and
// what PublishedSpread counts.
func (r *Runtime) coalitions(of modality.Set) *coalitionPass {
	p := r.pass
	if p == nil {
		p = &coalitionPass{in: make([][]float32, len(r.inst.slots))}
		for _, m := range r.inst.slots {
			p.feats[m] = make([]float32, len(p.rows)*FeatureDim)
		}
		p.pose = p.poseOf
		r.pass = p
	}
	n := 0
	for s := range of + 1 {
		if s&^of == 0 && (bits.OnesCount8(uint8(of&^s)) <= 1 || PublishedSpread.Holds(s, of)) {
			p.rows[n], p.row[s] = s, n
			n++
		}
	}
	for i, m := range r.inst.slots {
		f := p.feats[m][:n*FeatureDim]
		for row, s := range p.rows[:n] {
			at := f[row*FeatureDim : (row+1)*FeatureDim]
			if s.Has(m) {
				copy(at, r.staged[m].feature)
			} else {
				clear(at)
			}
		}
		p.in[i] = f
	}
	p.poses = r.inst.head.Forward(p.in, n)
	return p
}
