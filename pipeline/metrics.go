package pipeline

import (
	"math"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"posefuse/message"
	"posefuse/person"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// metrics are the daemon's Prometheus metrics, posefuse_<part>_<unit>.
type metrics struct {
	registry    *prometheus.Registry
	poses       [modality.Count + 1]prometheus.Counter // by number of modalities
	states      [modality.Count]map[timesync.State]prometheus.Counter
	latency     [3]prometheus.Histogram // align, infer, total
	inferErrors prometheus.Counter
	points      [modality.Count][numPointOutcomes]prometheus.Counter // of L and M

	searched [len(person.Sweep{})]prometheus.Counter // points of sweeps by label

	encoderStarts [modality.Count][numStarts]prometheus.Counter

	// influence and spread of the newest pose, mm, as bits; NaN where they are
	// not defined.
	influence [modality.Count]atomic.Uint64
	spread    atomic.Uint64
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.tellInfluence(&message.Pose{}) // nothing is known yet
	poses := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "posefuse_poses_total",
		Help: "Poses published, by number of modalities that took part."}, []string{"modalities"})
	for i := range m.poses {
		m.poses[i] = poses.WithLabelValues(string(rune('0' + i)))
	}
	states := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "posefuse_sensor_ticks_total",
		Help: "Ticks by sensor and how it took part."}, []string{"sensor", "state"})
	for i := range modality.Count {
		m.states[i] = map[timesync.State]prometheus.Counter{}
		for _, s := range []timesync.State{timesync.Fused, timesync.Late, timesync.Gap, timesync.Stale, timesync.Off} {
			m.states[i][s] = states.WithLabelValues(i.String(), string(s))
		}
	}
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "posefuse_latency_seconds",
		Help:    "Time per stage: align is tick to aligned set, infer the network after that, total the last sensor byte of the tick to publication.",
		Buckets: []float64{.0005, .001, .002, .003, .005, .0075, .01, .015, .02, .03, .04, .06, .08, .1, .15, .25, .5, 1}}, []string{"stage"})
	for i, stage := range []string{"align", "infer", "total"} {
		m.latency[i] = latency.WithLabelValues(stage).(prometheus.Histogram)
	}
	points := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "posefuse_points_total",
		Help: "Points of the clouds of fused ticks, by what became of them: used, broken (not finite or absurdly far), surplus (more than the network takes)."},
		[]string{"sensor", "outcome"})
	for _, i := range [...]modality.Kind{modality.LiDAR, modality.Radar} {
		for outcome, name := range pointOutcomes {
			m.points[i][outcome] = points.WithLabelValues(i.String(), name)
		}
	}
	searched := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "posefuse_person_points_total",
		Help: "Points of the LiDAR's sweeps by what the search for the person took them for."}, []string{"label"})
	for label := range m.searched {
		m.searched[label] = searched.WithLabelValues(person.Label(label).String())
	}
	m.inferErrors = prometheus.NewCounter(prometheus.CounterOpts{Name: "posefuse_inference_errors_total",
		Help: "Ticks whose inference did not give a pose."})
	starts := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "posefuse_encoder_starts_total",
		Help: "Encoder runs by sensor and what started them: arrival of the input, the complete tick, or a better sample after that."}, []string{"sensor", "by"})
	for i := range modality.Count {
		for when, name := range startNames {
			m.encoderStarts[i][when] = starts.WithLabelValues(i.String(), name)
		}
	}
	m.registry.MustRegister(poses, states, points, searched, latency, m.inferErrors, starts,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(p *message.Pose, t *timesync.Tick, totalNS int64) {
	n := 0
	for i := range modality.Count {
		v := p.Modalities[i.Letter()]
		if v.Presence {
			n++
		}
		if c := m.states[i][timesync.State(v.State)]; c != nil {
			c.Inc()
		}
	}
	m.tellInfluence(p)
	m.poses[n].Inc()
	m.latency[0].Observe(time.Duration(t.ReadyNS - t.TimeNS).Seconds())
	m.latency[1].Observe(p.LatencyMS.Infer / 1000)
	m.latency[2].Observe(time.Duration(totalNS).Seconds())
}

// tellInfluence keeps what the newest pose says of its sensors.
func (m *metrics) tellInfluence(p *message.Pose) {
	keep := func(at *atomic.Uint64, v *float64) {
		if v == nil {
			at.Store(math.Float64bits(math.NaN()))
			return
		}
		at.Store(math.Float64bits(*v))
	}
	for i := range modality.Count {
		keep(&m.influence[i], p.Modalities[i.Letter()].InfluenceMM)
	}
	keep(&m.spread, p.SpreadMeanMM)
}

var (
	descInfluence = prometheus.NewDesc("posefuse_influence_meters", "How far the joints of the newest pose would move on average without the sensor.", []string{"sensor"}, nil)
	descSpread    = prometheus.NewDesc("posefuse_spread_meters", "Mean over the joints of the newest pose's spread.", nil, nil)

	descSensorSamples = prometheus.NewDesc("posefuse_sensor_samples_total", "Samples by sensor and outcome.", []string{"sensor", "outcome"}, nil)
	descSensorInput   = prometheus.NewDesc("posefuse_sensor_input_total", "What the sensor's driver read, by outcome and unit.", []string{"sensor", "what"}, nil)
	descSensorLive    = prometheus.NewDesc("posefuse_sensor_live", "1 if the sensor is live.", []string{"sensor"}, nil)
	descSensorAge     = prometheus.NewDesc("posefuse_sensor_age_seconds", "Now minus the newest capture time.", []string{"sensor"}, nil)
	descSensorOffset  = prometheus.NewDesc("posefuse_sensor_clock_offset_seconds", "Room clock minus device clock.", []string{"sensor"}, nil)
	descSensorDrift   = prometheus.NewDesc("posefuse_sensor_clock_drift_ratio", "Room seconds gained per device second.", []string{"sensor"}, nil)
	descSensorRestart = prometheus.NewDesc("posefuse_sensor_restarts_total", "Times the sensor's source was started again.", []string{"sensor"}, nil)
	descBusLost       = prometheus.NewDesc("posefuse_bus_events_total", "Messages lost and clients cut, by cause.", []string{"cause"}, nil)
	descHTTPCut       = prometheus.NewDesc("posefuse_http_connections_cut_total", "Connections to the page's port that gave way to newer ones.", nil, nil)
	descViewers       = prometheus.NewDesc("posefuse_page_viewers", "Pages that are open and see the room.", nil, nil)
	descRefused       = prometheus.NewDesc("posefuse_refused_total", "Who was not let in, by what kept them out: login, address (too many connections of one), full (too many at all), viewers (too many pages).", []string{"by"}, nil)
	descConnections   = prometheus.NewDesc("posefuse_bus_connections", "Connections to the embedded server now.", nil, nil)
	descMaxConns      = prometheus.NewDesc("posefuse_bus_connections_limit", "Connections that the embedded server takes at most.", nil, nil)
	descReloads       = prometheus.NewDesc("posefuse_reloads_total", "Times the configuration was read again, by what came of it.", []string{"result"}, nil)
	descSets          = prometheus.NewDesc("posefuse_exercise_sets_total", "Sets of exercises that were counted to their end.", nil, nil)
	descRepetitions   = prometheus.NewDesc("posefuse_exercise_repetitions_total", "Repetitions in the sets that were counted to their end.", nil, nil)
	descExercisePoses = prometheus.NewDesc("posefuse_exercise_poses_total", "Pose messages of the exercise subscriber, by outcome.", []string{"outcome"}, nil)
	descExerciseOut   = prometheus.NewDesc("posefuse_exercise_results_total", "Results of the exercise subscriber for the broker, by outcome.", []string{"outcome"}, nil)
	descSkipped       = prometheus.NewDesc("posefuse_ticks_skipped_total", "Ticks without a pose: inference takes longer than a tick period, or the machine stood still.", nil, nil)
	descModelMemory   = prometheus.NewDesc("posefuse_model_memory_bytes", "Memory of the running model: weights mapped from its file, weights on the heap, packed weights, buffers.", []string{"kind"}, nil)
	descBuild         = prometheus.NewDesc("posefuse_build_info", "1; what was built from what.", []string{"version", "revision", "goversion"}, nil)
	descModel         = prometheus.NewDesc("posefuse_model_info", "1; the model that serves, in which room.", []string{"room", "name", "version", "sha256"}, nil)
	descSimulated     = prometheus.NewDesc("posefuse_sensor_simulated", "1 if the sensor's samples are made up.", []string{"sensor"}, nil)
	descProblem       = prometheus.NewDesc("posefuse_part_problem", "A part of the daemon that is not well, by its code in the status: 1 a warning, 2 an error.", []string{"part", "code"}, nil)
)

// descriptions are those of the metrics read at scrape time.
func (c *Core) descriptions() []*prometheus.Desc {
	return []*prometheus.Desc{descSensorSamples, descSensorInput, descSensorLive, descSensorAge, descSensorOffset, descSensorDrift, descSensorRestart,
		descBusLost, descHTTPCut, descViewers, descRefused, descConnections, descMaxConns, descReloads, descSets, descRepetitions, descExercisePoses, descExerciseOut, descSkipped, descModelMemory, descBuild, descModel, descSimulated, descProblem, descInfluence, descSpread}
}

// Describe implements prometheus.Collector.
func (c *Core) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descriptions() {
		ch <- d
	}
}

// Collect reads the state of sensors and bus.
func (c *Core) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for _, s := range c.sensorMessages() {
		if s.State == stateOff {
			continue
		}
		live := 0.0
		if s.State == stateLive {
			live = 1
		}
		gauge(descSensorLive, live, s.Name)
		for outcome, n := range s.Counters {
			if outcome != "in" && outcome != "pending" {
				count(descSensorSamples, n, s.Name, outcome)
			}
		}
		for what, n := range s.Input {
			count(descSensorInput, n, s.Name, what)
		}
		if s.AgeMS != nil {
			gauge(descSensorAge, *s.AgeMS/1e3, s.Name)
		}
		if s.OffsetMS != nil {
			gauge(descSensorOffset, *s.OffsetMS/1e3, s.Name)
		}
		if s.DriftPPM != nil {
			gauge(descSensorDrift, *s.DriftPPM/1e6, s.Name)
		}
		count(descSensorRestart, s.Restarts, s.Name)
	}
	if b := c.bus.Load(); b != nil {
		count(descHTTPCut, c.httpCut.Load())
		for cause, n := range b.Counters() {
			count(descBusLost, n, cause)
		}
		if l, embedded := b.Load(); embedded {
			gauge(descConnections, float64(l.Connections))
			gauge(descMaxConns, float64(l.MaxConnections))
			for by, n := range l.Refused {
				count(descRefused, n, string(by))
			}
		}
	}
	gauge(descViewers, float64(c.viewers.open.Load()))
	count(descRefused, c.viewers.refused.Load(), "viewers")
	applied, refused := c.reloads.counts()
	count(descReloads, applied, "applied")
	count(descReloads, refused, "refused")
	c.collectExercises(count)
	count(descSkipped, c.aligner.Stats().Skipped)
	if e := c.ticks.engine.Load(); e != nil {
		for kind, n := range e.memory {
			gauge(descModelMemory, float64(n), kind)
		}
	}
	for _, e := range c.cfg.Sensors.list() {
		if v := math.Float64frombits(c.metrics.influence[e.modality].Load()); !math.IsNaN(v) {
			gauge(descInfluence, v/1e3, e.name)
		}
	}
	if v := math.Float64frombits(c.metrics.spread.Load()); !math.IsNaN(v) {
		gauge(descSpread, v/1e3)
	}
	c.collectInfo(gauge)
}

// collectInfo tells who is asked: the build, the model, and what is not well.
func (c *Core) collectInfo(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	revision, goVersion := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	gauge(descBuild, 1, c.opt.Version, revision, goVersion)
	s := c.Status()
	if s.Model != nil {
		gauge(descModel, 1, c.cfg.Room, s.Model.Name, s.Model.Version, s.Model.SHA256)
	}
	for kind := range c.opt.Simulated.Kinds() {
		gauge(descSimulated, 1, kind.String())
	}
	for _, p := range s.Parts {
		if v, bad := map[string]float64{severityWarning: 1, severityError: 2}[p.Severity]; bad {
			gauge(descProblem, v, p.Part, p.Code)
		}
	}
}
