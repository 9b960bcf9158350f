package calibration

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"posefuse/frame"
	"posefuse/setting"
)

// Camera is a lens found from views of a board.
type Camera struct {
	Lens frame.Intrinsics `json:"-"`
	// Fixed are the distortion coefficients that the views do not tell, or that
	// would bend the picture back on itself, and that are 0 therefore.
	Fixed []string `json:"fixed,omitempty"`
	// Deviation are the standard deviations: fx, fy, cx, cy in pixels, k1, k2, p1,
	// p2, k3.
	Deviation [lensParams]float64 `json:"-"`
	RMSPx     float64             `json:"rms_px"`    // of the distance between corners seen and computed
	CornerPx  float64             `json:"corner_px"` // standard deviation of a corner, per axis
	Views     []ViewScore         `json:"views"`     // in the order given
	Corners   int                 `json:"corners"`   // used
	TiltDeg   float64             `json:"tilt_deg"`  // the largest angle between two boards
	// Coverage counts, per third of the picture from the upper left one, the
	// corners used there.
	Coverage [3][3]int `json:"coverage"`
}

// ViewScore is what became of one view.
type ViewScore struct {
	Name    string  `json:"name"`
	Used    bool    `json:"used"`
	RMSPx   float64 `json:"rms_px"`  // of its corners
	Corners int     `json:"corners"` // used; of a view left out, seen
	Reason  string  `json:"reason,omitempty"`
}

// What views must bring along.
const (
	minViews       = 3
	minTiltDeg     = 10.0 // between two boards: parallel ones say nothing of the focal length
	maxFocalShare  = 0.03 // standard deviation of the focal length
	outlierViewRMS = 3.0  // over the median view's
	outlierCorner  = 6.0  // over the corners' deviation
)

// SizesError says that pictures of several sizes were given: they are not of one
// camera in one mode.
type SizesError struct{ A, B View }

// Error implements error.
func (e *SizesError) Error() string {
	return fmt.Sprintf("%s has %d x %d pixels and %s %d x %d: calibrate with pictures of one size, as the daemon takes them", e.A.Name, e.A.Width, e.A.Height, e.B.Name, e.B.Width, e.B.Height)
}

// UndeterminedError says that the views do not determine the lens, and what is
// lacking.
type UndeterminedError struct{ Why string }

// Error implements error.
func (e *UndeterminedError) Error() string { return errNotDetermined.Error() + ": " + e.Why }

// Calibrate finds the lens from views of a board: Zhang's closed form to begin
// with, then the reprojection error minimised over lens and poses. Views and
// corners that do not fit the others are left out and named. It returns a
// *SizesError or an *UndeterminedError where it cannot.
func Calibrate(views []View, board Board) (*Camera, error) {
	if err := board.Validate(); err != nil {
		return nil, err
	}
	for _, v := range views {
		if v.Width != views[0].Width || v.Height != views[0].Height {
			return nil, &SizesError{views[0], v}
		}
	}
	out := make([]bool, len(views))
	reasons := make([]string, len(views))
	var b *bundle
	for {
		used := chosen(views, out)
		if len(used) < minViews {
			return nil, &UndeterminedError{fmt.Sprintf("%d usable pictures of the board, at least %d are needed and ten to twenty are good", len(used), minViews)}
		}
		var err error
		if b, err = begin(used, board); err != nil {
			return nil, err
		}
		if b, err = b.solveWithoutOutliers(); err != nil {
			return nil, undetermined(b, err)
		}
		worst, times := b.worstView()
		if times < outlierViewRMS || len(used) <= minViews {
			break
		}
		i := slices.IndexFunc(views, func(v View) bool { return v.Name == used[worst].Name })
		out[i], reasons[i] = true, fmt.Sprintf("its corners are off by %.2f px, %.1f times the others': a bent board, a moved camera or blur", b.rms(worst), times)
	}
	b, fixed, err := b.simplified()
	if err != nil {
		return nil, undetermined(b, err)
	}
	c, err := b.camera(fixed)
	if err != nil {
		return nil, err
	}
	at := 0
	for i, v := range views {
		s := ViewScore{Name: v.Name, Used: !out[i], Corners: len(v.Points), Reason: reasons[i]}
		if s.Used {
			s.RMSPx, s.Corners = b.rms(at), count(b.use[at])
			at++
		}
		c.Views = append(c.Views, s)
	}
	return c, nil
}

func chosen(views []View, out []bool) (used []View) {
	for i, v := range views {
		if !out[i] {
			used = append(used, v)
		}
	}
	return used
}

// begin makes a bundle from homographies.
func begin(views []View, board Board) (*bundle, error) {
	hs := make([][3][3]float64, len(views))
	for i := range views {
		var err error
		if hs[i], err = homography(views[i].Points, board.SquareM); err != nil {
			return nil, &UndeterminedError{fmt.Sprintf("the corners of %s are on one line", views[i].Name)}
		}
	}
	c, ok := firstLens(hs, views[0].Width, views[0].Height)
	if !ok {
		return nil, &UndeterminedError{flatViews}
	}
	b := &bundle{views: views, board: board, free: []int{0, 1, 2, 3, 4, 5, 6, 7, 8}}
	b.lens = [lensParams]float64{c.FxPx, c.FyPx, c.CxPx, c.CyPx}
	for i := range views {
		b.poses = append(b.poses, firstPose(hs[i], &c))
		use := make([]bool, len(views[i].Points))
		for k := range use {
			use[k] = true
		}
		b.use = append(b.use, use)
	}
	return b, nil
}

const flatViews = "the board is held the same way in all pictures; tilt it by 20 to 40 degrees to the left, to the right, up and down"

// undetermined gives an error of the solver its reason, as far as the boards say.
func undetermined(b *bundle, err error) error {
	if !errors.Is(err, errNotDetermined) {
		return err
	}
	if b != nil && b.tiltDeg() < minTiltDeg {
		return &UndeterminedError{flatViews}
	}
	return &UndeterminedError{"take more pictures, with the board tilted and in all parts of the picture"}
}

// solveWithoutOutliers solves, first without the distortion's higher terms, and
// leaves out the corners that are far from where they should be.
func (b *bundle) solveWithoutOutliers() (*bundle, error) {
	all := b.free
	b.free = []int{0, 1, 2, 3, 4}
	first, err := b.solve()
	if err != nil {
		return b, err
	}
	b = first
	b.free = all
	for range 3 {
		solved, err := b.solve()
		if err != nil {
			return b, err
		}
		b = solved
		if !b.dropCorners() {
			return b, nil
		}
	}
	return b, nil
}

// dropCorners leaves out the corners far beyond the others' errors. It reports
// whether there were any.
func (b *bundle) dropCorners() (dropped bool) {
	var all []float64
	for i := range b.views {
		for k := range b.views[i].Points {
			if b.use[i][k] {
				du, dv := b.residual(i, &b.views[i].Points[k])
				all = append(all, math.Hypot(du, dv))
			}
		}
	}
	slices.Sort(all)
	// Of a normal error in the plane the median distance is 1.18 deviations.
	limit := outlierCorner * max(all[len(all)/2]/1.18, 0.02)
	for i := range b.views {
		use := slices.Clone(b.use[i])
		for k := range use {
			if du, dv := b.residual(i, &b.views[i].Points[k]); use[k] && math.Hypot(du, dv) > limit {
				use[k] = false
			}
		}
		// A view is left out as one, not to its last corners.
		if n := count(use); n < count(b.use[i]) && 10*n >= 9*len(use) {
			b.use[i], dropped = use, true
		}
	}
	return dropped
}

func count(use []bool) (n int) {
	for _, ok := range use {
		if ok {
			n++
		}
	}
	return n
}

// rms returns that of a view's corners, pixels.
func (b *bundle) rms(view int) float64 {
	sum, n := 0.0, 0
	for k := range b.views[view].Points {
		if b.use[view][k] {
			du, dv := b.residual(view, &b.views[view].Points[k])
			sum, n = sum+du*du+dv*dv, n+1
		}
	}
	return math.Sqrt(sum / float64(max(n, 1)))
}

// worstView returns the view that fits worst, and how many times worse than the
// median one.
func (b *bundle) worstView() (worst int, times float64) {
	all := make([]float64, len(b.views))
	for i := range all {
		all[i] = b.rms(i)
		if all[i] > all[worst] {
			worst = i
		}
	}
	most := all[worst]
	slices.Sort(all)
	return worst, most / max(all[len(all)/2], 0.05)
}

// simplified fixes at 0 what the views do not tell of the distortion, the highest
// terms first.
func (b *bundle) simplified() (*bundle, []string, error) {
	names := [lensParams]string{4: "k1", 5: "k2", 6: "p1", 7: "p2", 8: "k3"}
	var fixed []string
	for _, last := range []int{8, 5} {
		deviation, _, err := b.deviations()
		if err == nil && deviation[last] < math.Abs(b.lens[last]) && sound(b.intrinsics()) {
			break
		}
		fixed = append(fixed, names[last])
		b.lens[last] = 0
		b.free = slices.DeleteFunc(slices.Clone(b.free), func(f int) bool { return f == last })
		solved, err := b.solve()
		if err != nil {
			return b, nil, err
		}
		b = solved
	}
	return b, fixed, nil
}

// sound reports whether the daemon would take the intrinsics.
func sound(c frame.Intrinsics) bool {
	var p setting.Problems
	c.Check(&p, "camera")
	return len(p) == 0
}

func (b *bundle) intrinsics() frame.Intrinsics {
	l := &b.lens
	return frame.Intrinsics{WidthPx: float64(b.views[0].Width), HeightPx: float64(b.views[0].Height),
		FxPx: l[0], FyPx: l[1], CxPx: l[2], CyPx: l[3], Distortion: []float64{l[4], l[5], l[6], l[7], l[8]}}
}

// tiltDeg returns the largest angle between two boards' normals.
func (b *bundle) tiltDeg() (most float64) {
	for i := range b.poses {
		for k := range i {
			p, q := &b.poses[i].R, &b.poses[k].R
			c := p[0][2]*q[0][2] + p[1][2]*q[1][2] + p[2][2]*q[2][2]
			most = max(most, math.Acos(min(max(c, -1), 1))*180/math.Pi)
		}
	}
	return most
}

// camera returns the result, or why the views do not give one.
func (b *bundle) camera(fixed []string) (*Camera, error) {
	c := &Camera{Lens: b.intrinsics(), Fixed: fixed, Corners: b.points(), TiltDeg: b.tiltDeg(), RMSPx: math.Sqrt(b.cost() / float64(b.points()))}
	if c.TiltDeg < minTiltDeg {
		return nil, &UndeterminedError{flatViews}
	}
	var err error
	if c.Deviation, c.CornerPx, err = b.deviations(); err != nil {
		return nil, undetermined(b, err)
	}
	if share := max(c.Deviation[0]/c.Lens.FxPx, c.Deviation[1]/c.Lens.FyPx); share > maxFocalShare {
		return nil, &UndeterminedError{fmt.Sprintf("the focal length is known to %.0f %% only; take more pictures with the board tilted further and larger in the picture", 100*share)}
	}
	if !sound(c.Lens) {
		return nil, &UndeterminedError{fmt.Sprintf("the best fit is no lens (fx %.0f, fy %.0f, cx %.0f, cy %.0f px); take pictures with the board in all parts of the picture, and check its size", c.Lens.FxPx, c.Lens.FyPx, c.Lens.CxPx, c.Lens.CyPx)}
	}
	for i := range b.views {
		for k, p := range b.views[i].Points {
			if b.use[i][k] {
				col, row := int(3*p.X/c.Lens.WidthPx), int(3*p.Y/c.Lens.HeightPx)
				c.Coverage[min(max(row, 0), 2)][min(max(col, 0), 2)]++
			}
		}
	}
	return c, nil
}

// Lacking returns the thirds of the picture that hold too few corners for the
// lens to be known there, in words; nil if none.
func (c *Camera) Lacking() (out []string) {
	rows, cols := [3]string{"upper", "middle", "lower"}, [3]string{"left", "middle", "right"}
	for r := range rows {
		for k := range cols {
			if 40*c.Coverage[r][k] < c.Corners { // an even share is a ninth
				out = append(out, strings.TrimSuffix(rows[r]+" "+cols[k], " middle"))
			}
		}
	}
	return out
}
