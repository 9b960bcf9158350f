package pipeline

import (
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"posefuse/internal/testenv"
	"posefuse/message"
)

// TestMetricsKeepTheConventions: base units, one name for a sensor. In make
// test-full it asks promtool, which knows Prometheus' own rules for names, units
// and help texts; what rules and dashboard ask for is held by make
// check-packaging.
func TestMetricsKeepTheConventions(t *testing.T) {
	d := startDaemon(t, testConfig(t), newFakeModel("fake"))
	next(t, d.subscribe(t, "pose"), func(p *message.Pose) bool { return p.Coalition == "RLMW" })
	out := httptest.NewRecorder()
	promhttp.HandlerFor(d.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(out, httptest.NewRequest("GET", "/metrics", nil))
	text := out.Body.String()

	if found := regexp.MustCompile(`(?m)^posefuse([a-z_]*_(mm|ms)[{ ]|.*(modality=|sensor="[RLMW]")).*$`).FindString(text); found != "" {
		t.Errorf("another name for a sensor, or no base unit: %s", found)
	}
	for _, want := range []string{`posefuse_build_info{goversion="go`, `posefuse_model_info{name="fake"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if !testenv.Full() {
		return
	}
	cmd := exec.CommandContext(t.Context(), testenv.Promtool(t), "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
