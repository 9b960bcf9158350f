package pipeline

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
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
	for _, want := range []string{`posefuse_page_viewers 0`, `posefuse_refused_total{by="login"} 0`, `posefuse_refused_total{by="viewers"} 0`, `posefuse_bus_connections_limit 1024`, `posefuse_reloads_total{result="applied"} 0`} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
	documented(t, d.metrics.registry)
	if !testenv.Full() {
		return
	}
	cmd := exec.CommandContext(t.Context(), testenv.Promtool(t), "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// documented compares the table of docs/reliability.md with what is registered,
// names and labels.
func documented(t *testing.T, registry *prometheus.Registry) {
	t.Helper()
	page, err := os.ReadFile("../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, m := range regexp.MustCompile("`(posefuse_[a-z_]+)(?:{([a-z0-9_, ]+)})?`").FindAllStringSubmatch(string(page), -1) {
		told[m[1]+"{"+strings.ReplaceAll(m[2], ", ", ",")+"}"] = true
	}
	all := make(chan *prometheus.Desc)
	go func() {
		defer close(all)
		registry.Describe(all)
	}()
	own := regexp.MustCompile(`fqName: "(posefuse_[a-z_]+)".*variableLabels: {([^}]*)}`)
	for d := range all {
		m := own.FindStringSubmatch(d.String())
		if m == nil {
			continue // Go's own
		}
		name := m[1] + "{" + m[2] + "}"
		if !told[name] {
			t.Errorf("docs/reliability.md does not tell of %s", name)
		}
		delete(told, name)
	}
	for name := range told {
		t.Errorf("docs/reliability.md tells of %s, which is none", name)
	}
}
