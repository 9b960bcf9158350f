package sim

import (
	"encoding/json"
	"math"
	"testing"

	"posefuse/recording"
	"posefuse/sensors/modality"
)

// A bare sphere covers exactly the cells whose ray passes within its angular
// radius, at the analytic range.
func TestLidarSphereSilhouette(t *testing.T) {
	ball := Capsule{A: Vec{3, 0.4, -0.3}, B: Vec{3, 0.4, -0.3}, RadiusM: 0.5}
	buf := newDepthBuffer(grid)
	buf.last = ScanColumns - 1
	buf.reset()
	buf.addCapsule(&ball, SurfacePerson)
	dist := vecLength(ball.A)
	silhouette := math.Asin(ball.RadiusM / dist)
	cells := 0
	for m := range ScanColumns {
		for r := range ScanRows {
			// Directions from the published geometry, not from our table.
			az := math.Pi + 2*math.Pi*(1-(float64(m)+0.5)/ScanColumns)
			el := (22.5 - float64(r)*45/31) * math.Pi / 180
			d := Vec{math.Cos(az) * math.Cos(el), math.Sin(az) * math.Cos(el), math.Sin(el)}
			angle := math.Acos(vecDot(d, ball.A) / dist)
			got := float64(buf.cells[m*ScanRows+r])
			if math.Abs(angle-silhouette) < 1e-6 {
				continue
			}
			if (angle < silhouette) != (got > 0) {
				t.Fatalf("row %d column %d: %g rad off the centre (silhouette %g), range %g", r, m, angle, silhouette, got)
			}
			if got > 0 {
				cells++
				side := dist * math.Sin(angle)
				want := dist*math.Cos(angle) - math.Sqrt(ball.RadiusM*ball.RadiusM-side*side)
				if math.Abs(got-want) > 1e-5 {
					t.Fatalf("row %d column %d: range %g, want %g", r, m, got, want)
				}
			}
		}
	}
	// Area of the disc over the area of a cell near the horizon.
	want := math.Pi * silhouette * silhouette / (2 * math.Pi / ScanColumns * lidarStepDeg * math.Pi / 180)
	if math.Abs(float64(cells)-want) > 0.1*want {
		t.Errorf("%d cells, want about %.0f", cells, want)
	}
}

// The metadata decodes a scan to the very points of the stored cloud, by the
// vendor's formula written out here (sensors.md 1.7).
func TestScanDecodesToStoredPoints(t *testing.T) {
	text, err := json.Marshal(NewOusterMetadata())
	if err != nil {
		t.Fatal(err)
	}
	var meta OusterMetadata
	if err := json.Unmarshal(text, &meta); err != nil {
		t.Fatal(err)
	}
	if meta.BeamAzimuthDeg[0] == 0 || len(meta.BeamAltitudeDeg) != ScanRows {
		t.Fatalf("drivers reject beam azimuths %v", meta.BeamAzimuthDeg)
	}
	c := newTestClip(t, "mmfi", asymmetric(), nil)
	var scan Scan
	var f recording.Frame
	for _, i := range []int{0, 17, 500} {
		if err := c.Scan(i, &scan); err != nil {
			t.Fatal(err)
		}
		if err := c.Frame(i, &f); err != nil {
			t.Fatal(err)
		}
		var decoded []float64
		for m := range ScanColumns {
			for r := range ScanRows {
				mm := float64(scan.RangesMM[r][m])
				if mm == 0 {
					continue
				}
				n := meta.OriginToBeamMM
				thetaE := 2 * math.Pi * (1 - float64(m)/float64(meta.DataFormat.ColumnsPerFrame))
				thetaA := -2 * math.Pi * meta.BeamAzimuthDeg[r] / 360
				phi := 2 * math.Pi * meta.BeamAltitudeDeg[r] / 360
				p := Vec{
					(mm-n)*math.Cos(thetaE+thetaA)*math.Cos(phi) + n*math.Cos(thetaE),
					(mm-n)*math.Sin(thetaE+thetaA)*math.Cos(phi) + n*math.Sin(thetaE),
					(mm - n) * math.Sin(phi),
				}
				for a := range 3 {
					row := meta.LidarToSensor[4*a : 4*a+4]
					decoded = append(decoded, (row[0]*p[0]+row[1]*p[1]+row[2]*p[2]+row[3])*0.001)
				}
			}
		}
		if len(decoded) != len(f.LiDAR) || len(decoded) < 3*500 {
			t.Fatalf("frame %d: %d decoded values, %d stored", i, len(decoded), len(f.LiDAR))
		}
		for k := range decoded {
			if math.Abs(decoded[k]-f.LiDAR[k]) > 1e-9 {
				t.Fatalf("frame %d value %d: decoded %v, stored %v", i, k, decoded[k], f.LiDAR[k])
			}
		}
		if got := scan.Points(nil); len(got) != len(f.LiDAR) || got[0] != f.LiDAR[0] || got[len(got)-1] != f.LiDAR[len(got)-1] {
			t.Errorf("frame %d: Scan.Points differs from the stored cloud", i)
		}
	}
}

// Without errors every point of the person lies on a capsule where the sensor
// sees it.
func TestLidarCleanPointsLieOnTheBody(t *testing.T) {
	c := newTestClip(t, "clean", still(), func(_ *Config, p *Preset) { p.LiDAR.BackgroundMin, p.LiDAR.BackgroundMax = 0, 0 })
	var f recording.Frame
	if err := c.Frame(3, &f); err != nil {
		t.Fatal(err)
	}
	n := len(f.LiDAR) / 3
	if n < 250 || n > 600 {
		t.Errorf("%d points on a standing person", n)
	}
	var sc scratch
	c.placeBodies(0, &sc)
	for k := 0; k < len(f.LiDAR); k += 3 {
		p := vecAdd(Vec{0, lidarHeightM, 0}, Vec{-f.LiDAR[k+1], f.LiDAR[k+2], f.LiDAR[k]})
		off := math.Inf(1)
		for j := range sc.bodies[0].Capsules {
			cp := &sc.bodies[0].Capsules[j]
			off = min(off, math.Abs(cp.AxisDistance(p)-cp.RadiusM))
		}
		if off > 0.002 {
			t.Fatalf("point %v is %g m off every surface", p, off)
		}
	}
}

// The sweep sees a moving person where that person is when the beam passes.
func TestLidarColumnsHaveTheirOwnTime(t *testing.T) {
	speed := Vec{0, 0, 2}
	c := newTestClip(t, "clean", moving(speed), func(_ *Config, p *Preset) { p.LiDAR.BackgroundMin, p.LiDAR.BackgroundMax = 0, 0 })
	sc := newScratch(grid)
	c.lidar(0, sc)
	var body scratch
	for col := sc.depth.first; col <= sc.depth.last; col++ {
		c.placeBodies(float64(col-lidarForwardCol)/ScanColumns*0.1, &body)
		for row := range ScanRows {
			mm := float64(sc.depth.cells[col*ScanRows+row])
			if mm <= 0 {
				continue
			}
			x, y, z := grid.point(row, col, mm)
			p := vecAdd(Vec{0, lidarHeightM, 0}, Vec{-y, z, x})
			off := math.Inf(1)
			for j := range body.bodies[0].Capsules {
				cp := &body.bodies[0].Capsules[j]
				off = min(off, math.Abs(cp.AxisDistance(p)-cp.RadiusM))
			}
			// A capsule is taken at the time of its middle column.
			if off > 0.008 {
				t.Fatalf("column %d row %d is %g m off the body at its time", col, row, off)
			}
		}
	}
}

func TestLidarStatistics(t *testing.T) {
	var counts []float64
	var f recording.Frame
	for s := 1; s <= 40; s += 4 {
		for a := 1; a <= 27; a += 4 {
			c, err := NewClip(Config{Seed: 7}, NewProcedural(7, recording.Key{Subject: s, Activity: a}, MotionOptions{}))
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < 297; i += 10 {
				if err := c.FrameOf(i, modality.Of(modality.LiDAR), &f); err != nil {
					t.Fatal(err)
				}
				counts = append(counts, float64(len(f.LiDAR)/3))
			}
		}
	}
	wantQuantiles(t, "points per frame", counts, map[float64][2]float64{
		0.05: {760, 920}, 0.50: {1050, 1200}, 0.95: {1330, 1490},
	})
}

// Range noise, lost returns and background are what the preset says.
func TestLidarErrors(t *testing.T) {
	noisy := newTestClip(t, "mmfi", still(), func(_ *Config, p *Preset) { p.Extrinsics = Offsets{}; p.LiDAR.EdgeShare = 0 })
	clean := newTestClip(t, "clean", still(), func(_ *Config, p *Preset) { p.LiDAR.BackgroundMin, p.LiDAR.BackgroundMax = 0, 0 })
	var exact, got Scan
	if err := clean.Scan(0, &exact); err != nil {
		t.Fatal(err)
	}
	var cells, lost, n, sum, sq float64
	for i := range 200 {
		if err := noisy.Scan(i, &got); err != nil {
			t.Fatal(err)
		}
		for r := range ScanRows {
			for m := range ScanColumns {
				if exact.RangesMM[r][m] == 0 {
					continue
				}
				cells++
				if got.RangesMM[r][m] == 0 {
					lost++
					continue
				}
				d := float64(got.RangesMM[r][m]) - float64(exact.RangesMM[r][m])
				n, sum, sq = n+1, sum+d, sq+d*d
			}
		}
	}
	if share := lost / cells; math.Abs(share-0.12) > 0.01 {
		t.Errorf("lost share %.3f, want 0.12", share)
	}
	mean := sum / n
	if sd := math.Sqrt(sq/n - mean*mean); math.Abs(sd-20) > 0.5 || math.Abs(mean) > 0.5 {
		t.Errorf("range error %.2f +- %.2f mm, want 0 +- 20", mean, sd)
	}
}
