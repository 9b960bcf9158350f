package train

import (
	"fmt"
	"math"
	"testing"

	"posefuse/model"
)

func TestMeasureOverhead(t *testing.T) {
	cfg := model.Edge()
	cfg.Modalities = "RM"
	cfg.Camera.Channels = 16
	for _, head := range []string{model.ConcatHead, model.MLPHead, model.AttentionHead} {
		cfg.Head = head
		o, err := MeasureOverhead(cfg, 4, 2)
		if err != nil {
			t.Fatal(err)
		}
		if o.Params == 0 || o.ForwardMS <= 0 || o.BackwardMS <= 0 || o.PoseMS <= 0 || o.CorrelationMS <= 0 || o.ScoreMS < 0 {
			t.Errorf("%s: %+v", head, o)
		}
		if want := 100 * (o.PoseMS + o.CorrelationMS + o.ScoreMS) / (o.ForwardMS + o.BackwardMS); math.Abs(o.Percent-want) > 1e-9 {
			t.Errorf("%s: overhead %v, want %v", head, o.Percent, want)
		}
	}
	if _, err := MeasureOverhead(cfg, 4, 0); err == nil {
		t.Error("a measurement of no round")
	}
	if _, err := MeasureOverhead(cfg, 1, 1); err == nil {
		t.Error("a batch of one sample")
	}
	cfg.Modalities = ""
	if _, err := MeasureOverhead(cfg, 4, 1); err == nil {
		t.Error("a network without modalities")
	}
}

// BenchmarkShapleyOverhead measures the rows of the paper's Table 2: what
// scoring costs in percent of a step's forward and backward pass. The paper's
// network at batch 192 takes some 40 GB; its share hardly depends on the batch.
func BenchmarkShapleyOverhead(b *testing.B) {
	for _, size := range []struct {
		cfg   model.Config
		batch int
	}{{model.Paper(), 8}, {model.Paper(), 16}, {model.Paper(), 32}, {model.Edge(), 192}} {
		for _, head := range []string{model.ConcatHead, model.MLPHead, model.AttentionHead} {
			for _, modalities := range []string{"RL", "RLM", "RLMW"} {
				b.Run(fmt.Sprintf("%s/batch=%d/%s/%s", size.cfg.Size, size.batch, head, modalities), func(b *testing.B) {
					cfg := size.cfg
					cfg.Head, cfg.Modalities = head, modalities
					o, err := MeasureOverhead(cfg, size.batch, max(b.N, 3))
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(o.ForwardMS, "forward-ms")
					b.ReportMetric(o.BackwardMS, "backward-ms")
					b.ReportMetric(o.PoseMS, "pose-ms")
					b.ReportMetric(o.CorrelationMS, "correlation-ms")
					b.ReportMetric(o.ScoreMS, "score-ms")
					b.ReportMetric(o.Percent, "overhead-%")
				})
			}
		}
	}
}
