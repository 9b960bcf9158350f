package sim

// What a keypoint detector does without anybody in the picture: nothing, or for
// some frames it sees a person in a coat stand or a curtain, at the same place
// each time and with low scores. Shape, scores and jitter are made up, not measured
// on a detector.
const (
	ghostScoreLow, ghostScoreHigh = 0.05, 0.45
	ghostJitter                   = 0.03 // of its height
)

// ghostShape is an upright person, x to the right and y down from the middle
// between the hips, in heights of the figure.
var ghostShape = [numKeypoints][2]float64{
	{0, -.40}, {.02, -.42}, {-.02, -.42}, {.04, -.41}, {-.04, -.41},
	{.10, -.29}, {-.10, -.29}, {.13, -.13}, {-.13, -.13}, {.13, .01}, {-.13, .01},
	{.07, 0}, {-.07, 0}, {.07, .23}, {-.07, .23}, {.07, .45}, {-.07, .45},
}

// ghost is the camera's frame without anybody.
func (c *Clip) ghost(frame int, out *detection) {
	s := c.stream("camera-ghost", frame)
	if out.found = s.Float64() < c.place.ghostShare; !out.found {
		return
	}
	of := c.stream("camera-ghost-place", 0)
	w, h := c.place.rig.Camera.WidthPx, c.place.rig.Camera.HeightPx
	u, v, tall := float64(w*of.Uniform(0.2, 0.8)), float64(h*of.Uniform(0.35, 0.65)), float64(h*of.Uniform(0.2, 0.6))
	for j, p := range ghostShape {
		out.xy[j] = [2]float64{
			u + float64(tall*(p[0]+float64(ghostJitter*s.Norm()))),
			v + float64(tall*(p[1]+float64(ghostJitter*s.Norm()))),
		}
		out.score[j] = s.Uniform(ghostScoreLow, ghostScoreHigh)
	}
	c.dropKeypoints(frame, out)
}
