package sim

import (
	"math"
	"slices"

	"posefuse/frame"
	"posefuse/sensors/modality"
)

// place is a world made ready for the sensors of one clip.
type place struct {
	rig                  frame.Rig
	camera, lidar, radar mount
	truthCamera          *sensorPose // nil for MM-Fi's
	lens                 lens
	missing              struct {
		joints [numKeypoints]bool
		share  float64
	}
	absent     bool    // nobody is there
	ghostShare float64 // of the camera's frames without anybody
	grid       *lidarGrid
	wholeSweep bool
	reflectors []reflector // of the radar's static clutter; nil without
	lateS      [modality.Count]float64
	rateHz     [modality.Count]float64 // 0: with each frame
}

// newPlace prepares a checked world.
func newPlace(w *World, m Motion) place {
	p := place{
		rig:        w.rig(),
		camera:     newCameraMount(&w.Camera.RoomFromCamera),
		lidar:      newSensorMount(&w.LiDAR.RoomFromLiDAR),
		radar:      newSensorMount(&w.Radar.RoomFromRadar),
		lens:       lens{w.Camera.FocalPx, w.Camera.CentreUPx, w.Camera.CentreVPx},
		grid:       gridOf(w.LiDAR.Beams),
		wholeSweep: w.LiDAR.WholeSweep,
	}
	root := m.At(0)[0]
	p.lidar.turnTowards(root)
	if c := &p.camera; c.free || c.panRad != 0 || c.at != (Vec{0, cameraHeightM, 0}) {
		pose := c.pose(Vec{}, 0)
		p.truthCamera = &pose
	}
	for j, name := range KeypointNames {
		p.missing.joints[j] = slices.Contains(w.Camera.Missing.Joints, name)
	}
	p.missing.share = w.Camera.Missing.Share
	p.absent, p.ghostShare = w.Person.Absent, w.Camera.GhostShare
	p.lateS = [modality.Count]float64{camera: w.Camera.LateMS / 1000, lidar: w.LiDAR.LateMS / 1000, radar: w.Radar.LateMS / 1000}
	p.rateHz = [modality.Count]float64{camera: w.Camera.RateHz, lidar: w.LiDAR.RateHz, radar: w.Radar.RateHz}
	return p
}

// clock returns which frame the sensor of m delivers for frame i and by how many
// seconds its content is off.
func (c *Clip) clock(m modality.Kind, i int) (frame int, shiftS float64) {
	frame, shiftS = c.degraded.faultyClock(m, i)
	if hz := c.place.rateHz[m]; hz != 0 {
		// Measurements are numbered by the frame that is nearest, so that two
		// frames that hold the same one hold the same noise.
		atS := float64(math.Floor(float64(frameTime(frame)*hz)+1e-6) / hz)
		nearest := max(int(math.Round(atS/framePeriodS)), 0)
		if off := atS - frameTime(nearest); math.Abs(off) > 1e-9 {
			shiftS += off
		}
		frame = nearest
	}
	if late := c.place.lateS[m]; late != 0 {
		shiftS -= late
	}
	return frame, shiftS
}

// reflector is something that does not move and that the radar sees.
type reflector struct {
	rangeM, sinAz, sinEl, snrDB float64
}

// What the static clutter is like, from awr1843_oob_sdk3.6_mer1.dat of the shared
// captures: 100 frames of a still room with clutter removal off. 141 to 169
// points a frame, most of them in the same cells of range and Doppler in more than
// 90 % of frames, with these shares over the Doppler bins -2 to 2.
var (
	clutterDoppler = [5]float64{.036, .309, .313, .306, .036}
	// Quantiles of the SNR at these shares, dB.
	clutterShare = []float64{0, .01, .1, .25, .5, .75, .9, .99, 1}
	clutterSNRdB = []float64{8.8, 9.2, 10.6, 12.1, 18.6, 24.9, 40.3, 47.7, 49}
)

// Each reflector shows in the bins -1, 0 and 1 in most frames, in the outer ones
// in some.
const (
	clutterSeen    = 0.93
	clutterJitter  = 1.0 // dB, standard deviation from frame to frame
	clutterReachM  = 8.0 // the view of the shipped .cfg
	clutterHalfSin = 0.9 // reflectors lie within this sine of azimuth
	clutterHalfEl  = 0.3
)

// newReflectors finds what the radar sees of a room: surfaces in random
// directions, the same ones in every clip of an environment. pointsPerFrame is the
// mean number of detections they make.
func newReflectors(seed uint64, environment int, sc *scene, m *mount, pointsPerFrame float64) []reflector {
	perReflector := 0.0
	for _, share := range clutterDoppler {
		perReflector += float64(clutterSeen * min(share/clutterDoppler[2], 1))
	}
	n := int(math.Round(pointsPerFrame / perReflector))
	s := NewStream(seed, "radar-reflectors", environment)
	pose := m.pose(Vec{}, 0)
	out := make([]reflector, 0, n)
	for len(out) < n {
		sinAz := float64(clutterHalfSin * (float64(2*s.Float64()) - 1))
		sinEl := float64(clutterHalfEl * (float64(2*s.Float64()) - 1))
		snr := quantile(s.Float64())
		d := Vec{math.Sqrt(max(1-float64(sinAz*sinAz)-float64(sinEl*sinEl), 0)), sinAz, sinEl}
		r, _ := sc.castAll(pose.at, pose.dirToRoom(d))
		out = append(out, reflector{rangeM: min(r, clutterReachM), sinAz: sinAz, sinEl: sinEl, snrDB: snr})
	}
	return out
}

// quantile returns the SNR below which the share u of static detections lies.
func quantile(u float64) float64 {
	k := 1
	for k < len(clutterShare)-1 && clutterShare[k] < u {
		k++
	}
	f := (u - clutterShare[k-1]) / (clutterShare[k] - clutterShare[k-1])
	return clutterSNRdB[k-1] + float64(f*(clutterSNRdB[k]-clutterSNRdB[k-1]))
}

// staticClutter adds the room's own detections to those of frame i.
func (c *Clip) staticClutter(i int, out *radarScatterers) {
	if c.place.reflectors == nil {
		return
	}
	spec := &c.preset.Radar
	s := c.stream("radar-static", i)
	for k := range c.place.reflectors {
		r := &c.place.reflectors[k]
		for bin, share := range clutterDoppler {
			u := s.Float64()
			if u >= clutterSeen*min(share/clutterDoppler[2], 1) {
				continue
			}
			snr := max(r.snrDB+float64(clutterJitter*s.Norm()), spec.ThresholdDB-4)
			root := fromDecibels(-max(snr-spec.ThresholdDB, 0) / 2)
			az := r.sinAz + float64(spec.AzimuthNoise*root*s.Norm())
			el := r.sinEl + float64(spec.ElevationNoise*root*s.Norm())
			out.dets = append(out.dets, radarDetection{
				key: math.MaxUint64, rangeM: float64(math.Round(r.rangeM/spec.RangeBinM) * spec.RangeBinM), snrDB: snr,
				sinAz:      float64(math.Round(az/radarAngleGrid) * radarAngleGrid),
				sinEl:      float64(math.Round(el/radarAngleGrid) * radarAngleGrid),
				dopplerMPS: float64(float64(bin-2) * spec.DopplerBinMPS),
			})
		}
	}
}
