package model

import (
	"math"
	"testing"
)

func TestProcrustes(t *testing.T) {
	g := []float64{0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3}
	for _, c := range []struct {
		name          string
		pred, truth   []float64
		mpjpe, pa     float64
		scale         float64
		singular, off []float64
	}{
		{"exact similarity", []float64{1, 2, 3, 1, 2.5, 3, 0, 2, 3, 1, 2, 4.5}, g, 3.33484115707363, 0, 2, nil, []float64{-4, 2, -6}},
		{"perturbed", []float64{.1, 0, 0, 1.1, .2, -.1, 0, 1.8, .1, -.2, .1, 2.7}, g, .2356803776764227, .1375561613908214, 1.0951029646400428,
			[]float64{.691490538658, .257632478417, .046844596664}, []float64{-.141201634927, -.053703937751, .048374517968}},
		{"mirrored", []float64{0, 0, 0, -1, 0, 0, 0, 2, 0, 0, 0, 3}, g, .5, .5509381829685046, .9141624953346659,
			[]float64{.697299942419, .259781305249, -.042918752333}, nil},
		{"planar", []float64{0, 0, .1, 1.1, 0, .2, 1, 1.1, .1, 0, .9, .1, .4, .6, .1}, []float64{0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, .5, .5, 0},
			.15593091819629717, .07523557165918336, .9545304088262122, nil, nil},
		{"one point", []float64{1, 1, 1, 1, 1, 1}, []float64{0, 0, 0, 2, 0, 0}, (math.Sqrt(3) + math.Sqrt(3)) / 2, 1, 0, nil, nil},
	} {
		a := align(c.pred, c.truth)
		near(t, c.name+" mpjpe", MPJPE(c.pred, c.truth), c.mpjpe, 1e-12)
		near(t, c.name+" pa-mpjpe", PAMPJPE(c.pred, c.truth), c.pa, 1e-12)
		near(t, c.name+" scale", a.scale, c.scale, 1e-12)
		for i, s := range c.singular {
			near(t, c.name+" singular value", a.singular[i], s, 1e-11)
		}
		for i, s := range c.off {
			near(t, c.name+" offset", a.c[i], s, 1e-11)
		}
	}
	// The error left at each joint of the perturbed case, and the mean over two
	// frames, each aligned on its own.
	perturbed, mirrored := []float64{.1, 0, 0, 1.1, .2, -.1, 0, 1.8, .1, -.2, .1, 2.7}, []float64{0, 0, 0, -1, 0, 0, 0, 2, 0, 0, 0, 3}
	aligned := align(perturbed, g).pose
	for j, want := range []float64{.080205081202, .200778528126, .162180814036, .107060222200} {
		near(t, "joint error", MPJPE(aligned[3*j:3*j+3], g[3*j:3*j+3]), want, 1e-11)
	}
	near(t, "two frames' mpjpe", MPJPE(append(perturbed, mirrored...), append(g, g...)), .36784018883821135, 1e-12)
	near(t, "two frames' pa-mpjpe", (PAMPJPE(perturbed, g)+PAMPJPE(mirrored, g))/2, .344247172179663, 1e-12)
	rot := align([]float64{1, 2, 3, 1, 2.5, 3, 0, 2, 3, 1, 2, 4.5}, g).rotation
	for r, row := range [3][3]float64{{0, -1, 0}, {1, 0, 0}, {0, 0, 1}} {
		for c, want := range row {
			near(t, "rotation", rot[r][c], want, 1e-12)
		}
	}
}

func TestProcrustes17Joints(t *testing.T) {
	var gt, pred []float64
	for i := range 17 {
		j := float64(i)
		gt = append(gt, .3*math.Sin(j+.1), .5*math.Cos(.7*j), 3+.2*math.Sin(.4*j))
		pred = append(pred, .3*math.Sin(j+.2)+.02, .45*math.Cos(.7*j+.1)-.01, 3.1+.25*math.Sin(.4*j-.2))
	}
	near(t, "mpjpe", MPJPE(pred, gt), .11572715749228613, 1e-12)
	near(t, "pa-mpjpe", PAMPJPE(pred, gt), .0699585786742691, 1e-12)
	near(t, "scale", align(pred, gt).scale, 1.025079990583352, 1e-12)
}

func TestPelvisError(t *testing.T) {
	truth := []float64{1, 2, 3, 1, 2, 4, 1, 3, 3}
	moved := []float64{0, 0, 0, 0, 0, 1, 0, 1, 0}    // the same posture elsewhere
	bent := []float64{0, 0, 0, 0, 0, 1.3, 0.4, 1, 0} // off by 0.3 and 0.4
	near(t, "moved", PelvisMPJPE(moved, truth), 0, 1e-12)
	near(t, "bent", PelvisMPJPE(bent, truth), 0.7/3, 1e-12)
}
