package train

import (
	"math"
	"time"
)

// share returns how much of the whole training is done, 0..1.
func (o Options) share(epoch, step, steps int, elapsed time.Duration) float64 {
	if o.ScheduleTime > 0 {
		return min(float64(elapsed)/float64(o.ScheduleTime), 1)
	}
	return (float64(epoch) + float64(step)/float64(steps)) / float64(o.Epochs)
}

// rate returns the learning rate: the paper's steps, or with DecayEvery 0 a
// warm-up over the first 2 % and a half cosine to 1 % of LR.
func (o Options) rate(share float64, epoch int) float64 {
	if o.DecayEvery > 0 {
		return o.LR * math.Pow(0.1, float64(epoch/o.DecayEvery))
	}
	if share < 0.02 {
		return o.LR * (0.05 + 0.95*share/0.02)
	}
	return o.LR * (0.01 + 0.99*(1+math.Cos(math.Pi*share))/2)
}
