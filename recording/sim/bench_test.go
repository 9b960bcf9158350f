package sim

import (
	"strconv"
	"testing"

	"posefuse/recording"
)

// benchClip is the clip all benchmarks run on: the mmfi preset and a moving body.
func benchClip(b testing.TB) *Clip {
	b.Helper()
	c, err := NewClip(Config{Seed: 1}, NewProcedural(1, recording.Key{Subject: 3, Activity: 12}, MotionOptions{}))
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkFrameAllSensors makes frames of all four sensors, as Frame stores
// them, without writing files.
func BenchmarkFrameAllSensors(b *testing.B) {
	c := benchClip(b)
	var f recording.Frame
	for i := range 50 { // warm-up: slices reach their size
		if err := c.Frame(i, &f); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := c.Frame(i%297, &f); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}

// BenchmarkSensor measures each sensor alone.
func BenchmarkSensor(b *testing.B) {
	c := benchClip(b)
	sc := newScratch(grid)
	var f recording.Frame
	for _, bc := range []struct {
		name string
		run  func(i int)
	}{
		{"camera", func(i int) { c.detect(i, sc) }},
		{"lidar", func(i int) { c.lidar(i, sc); f.LiDAR = sc.depth.appendPoints(f.LiDAR[:0]) }},
		{"radar", func(i int) { f.MmWave = c.radar(i, sc, f.MmWave[:0]) }},
		{"csi", func(i int) { c.csi(i, sc, &sc.csiFrame) }},
		{"csi-store", func(int) { sc.csiFrame.store(&f) }},
		{"motion", func(i int) { c.motion.At(float64(i) * 0.1) }},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				bc.run(i % 297)
				i++
			}
		})
	}
}

// BenchmarkWholeSweep measures a LiDAR sweep of the whole room.
func BenchmarkWholeSweep(b *testing.B) {
	for _, beams := range []int{ScanRows, denseRows} {
		b.Run(strconv.Itoa(beams), func(b *testing.B) {
			c := newWorldClip(b, "mmfi", still(), func(w *World) { w.LiDAR.WholeSweep, w.LiDAR.Beams = true, beams })
			sc := newScratch(gridOf(beams))
			var f recording.Frame
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.lidar(i%297, sc)
				f.LiDAR = sc.depth.appendPoints(f.LiDAR[:0])
				i++
			}
		})
	}
}
