package exercise_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"posefuse/exercise"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/recording/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is an embedded MQTT broker on a port of its own.
type broker struct {
	t    *testing.T
	dir  string
	port int
	s    *server.Server
}

func startBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{t: t, dir: t.TempDir(), port: testenv.FreePort(t)}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *broker) start() {
	b.t.Helper()
	s, err := server.NewServer(&server.Options{
		ServerName: "test", Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: b.dir,
		MQTT: server.MQTTOpts{Host: "127.0.0.1", Port: b.port},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(testenv.Patience) {
		b.t.Fatal("broker does not start")
	}
	b.s = s
}

func (b *broker) stop() {
	if b.s != nil {
		b.s.Shutdown()
		b.s.WaitForShutdown()
		b.s = nil
	}
}

func (b *broker) url() string { return fmt.Sprintf("tcp://127.0.0.1:%d", b.port) }

// app is a client of the test that keeps what it hears.
type app struct {
	topic  string
	client mqtt.Client
	mu     sync.Mutex
	heard  []mqtt.Message
	more   chan struct{}
	subs   atomic.Int64 // subscriptions confirmed
}

func newApp(t *testing.T, b *broker, id, topic string) *app {
	t.Helper()
	a := &app{topic: topic, more: make(chan struct{}, 1)}
	a.client = mqtt.NewClient(mqtt.NewClientOptions().AddBroker(b.url()).SetClientID(id).SetAutoReconnect(true).
		SetMaxReconnectInterval(100 * time.Millisecond).
		SetOnConnectHandler(func(mqtt.Client) { a.subscribe() }))
	must(t, a.client.Connect())
	testenv.Wait(t, "a subscription", func() bool { return a.subs.Load() >= 1 })
	t.Cleanup(func() { a.client.Disconnect(100) })
	return a
}

// subscribe asks for the app's messages, and for those retained.
func (a *app) subscribe() {
	token := a.client.Subscribe(a.topic, 1, func(_ mqtt.Client, m mqtt.Message) {
		a.mu.Lock()
		a.heard = append(a.heard, m)
		a.mu.Unlock()
		select {
		case a.more <- struct{}{}:
		default:
		}
	})
	if token.WaitTimeout(testenv.Patience) && token.Error() == nil {
		a.subs.Add(1)
	}
}

func must(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(testenv.Patience) || token.Error() != nil {
		t.Fatalf("mqtt: %v", token.Error())
	}
}

// await waits until a message satisfies ok.
func (a *app) await(t *testing.T, what string, ok func(mqtt.Message) bool) mqtt.Message {
	t.Helper()
	deadline := time.After(testenv.Patience)
	for {
		a.mu.Lock()
		for _, m := range a.heard {
			if ok(m) {
				a.mu.Unlock()
				return m
			}
		}
		a.mu.Unlock()
		select {
		case <-a.more:
		case <-deadline:
			t.Fatalf("no message: %s", what)
		}
	}
}

// publishSet publishes a set's poses, far faster than live, but never far ahead
// of the subscriber, whose inbox drops what it cannot hold.
func (a *app) publishSet(t *testing.T, sub *exercise.Subscriber, s stream, fromNS int64) (untilNS int64) {
	t.Helper()
	before := sub.Stats().Poses
	for i := range s {
		joints := [17][3]float64(s[i])
		ns := fromNS + int64(i+1)*1e8
		text, err := json.Marshal(message.Pose{
			Schema: message.PoseSchema, Room: "room1", Seq: uint64(i + 1), CaptureNS: ns,
			CaptureTime: time.Unix(2000, ns).UTC().Format(time.RFC3339Nano),
			Frame:       "camera", JointOrder: "h36m17", JointsM: &joints, Coalition: "RLMW",
			Model: message.PoseModel{Name: "edge", Version: "1"},
		})
		if err != nil {
			t.Fatal(err)
		}
		must(t, a.client.Publish("posefuse/room1/pose", 0, false, text))
		untilNS = ns
		if i%16 == 15 {
			testenv.Wait(t, "the subscriber to keep up", func() bool { return sub.Stats().Poses == before+uint64(i+1) })
		}
	}
	return untilNS
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// startSubscriber runs a subscriber until the returned function is called.
func startSubscriber(t *testing.T, b *broker) (s *exercise.Subscriber, stop func() error) {
	t.Helper()
	s, err := exercise.NewSubscriber(exercise.SubscriberConfig{
		Broker: b.url(), Tracker: exercise.Config{Room: "room1"}, Log: quiet(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() {
			cancel()
			result = <-done
		})
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return s, stop
}

func statusIs(state string) func(mqtt.Message) bool {
	return func(m mqtt.Message) bool {
		var got message.ExerciseStatus
		return strings.HasSuffix(m.Topic(), "/status") && json.Unmarshal(m.Payload(), &got) == nil &&
			got.Schema == message.ExerciseStatusSchema && got.Room == "room1" && got.State == state && got.Owner != "" && got.Time != ""
	}
}

// TestSubscriberCountsOverMQTT: poses in, events and summary out, also after
// the broker went away and came back.
func TestSubscriberCountsOverMQTT(t *testing.T) {
	b := startBroker(t)
	a := newApp(t, b, "app", "posefuse/room1/exercise/#")
	sub, stop := startSubscriber(t, b)
	a.await(t, "online", statusIs("online"))

	must(t, a.client.Publish("posefuse/room1/pose", 0, false, "{"))
	must(t, a.client.Publish("posefuse/room1/pose", 0, false, `{"schema":"posefuse.pose.v9"}`))
	_, squats := set(1, 12, 5, sim.MotionOptions{})
	until := a.publishSet(t, sub, squats, 0)
	counted := func(n int) func(mqtt.Message) bool {
		return func(m mqtt.Message) bool {
			var e message.ExerciseEvent
			return strings.HasSuffix(m.Topic(), "/event") && json.Unmarshal(m.Payload(), &e) == nil &&
				e.Schema == message.ExerciseEventSchema && e.Exercise == "A12" && e.Repetitions == n && e.Model == "edge@1"
		}
	}
	a.await(t, "5 repetitions", counted(5))

	b.stop()
	b.start()
	testenv.Wait(t, "a second connection", func() bool { return sub.Stats().Connects >= 2 })
	testenv.Wait(t, "the app's second subscription", func() bool { return a.subs.Load() >= 2 })
	_, more := set(2, 12, 3, sim.MotionOptions{})
	a.publishSet(t, sub, more[20:], until)
	a.await(t, "8 repetitions after the broker's return", counted(8))

	if err := stop(); err != nil {
		t.Fatalf("run: %v", err)
	}
	m := a.await(t, "summary", func(m mqtt.Message) bool { return strings.HasSuffix(m.Topic(), "/summary") })
	var sum message.ExerciseSummary
	if err := json.Unmarshal(m.Payload(), &sum); err != nil || sum.Repetitions != 8 || sum.Schema != message.ExerciseSummarySchema {
		t.Errorf("summary %s (%v)", m.Payload(), err)
	}
	a.await(t, "stopped", statusIs("stopped"))
	st := sub.Stats()
	if st.Bad != 2 || st.Dropped != 0 || st.Poses != uint64(len(squats)+len(more)-20) || st.Sets != 1 || st.Repetitions != 8 {
		t.Errorf("stats %+v, poses sent %d", st, len(squats)+len(more)-20)
	}

	// The summary and the status are kept for those who come later.
	// The broker acknowledges a message before it has retained it, so who comes in
	// between asks again.
	late := newApp(t, b, "late", "posefuse/room1/exercise/#")
	asked := time.Now()
	testenv.Wait(t, "retained summary and status", func() bool {
		if time.Since(asked) > time.Second {
			late.subscribe()
			asked = time.Now()
		}
		late.mu.Lock()
		defer late.mu.Unlock()
		kept := map[string]bool{} // in any order
		for _, m := range late.heard {
			if m.Retained() && (strings.HasSuffix(m.Topic(), "/summary") || statusIs("stopped")(m)) {
				kept[m.Topic()] = true
			}
		}
		return len(kept) == 2
	})
}

func TestSubscriberErrors(t *testing.T) {
	for name, cfg := range map[string]exercise.SubscriberConfig{
		"no room":          {},
		"wildcard room":    {Tracker: exercise.Config{Room: "a/#"}},
		"unknown exercise": {Tracker: exercise.Config{Room: "a", Exercises: []string{"A99"}}},
		"twice":            {Tracker: exercise.Config{Room: "a", Exercises: []string{"A12", "A12"}}},
		"unknown target":   {Tracker: exercise.Config{Room: "a", Goals: map[string]exercise.Goal{"A50": {Range: 3}}}},
		"target below":     {Tracker: exercise.Config{Room: "a", Goals: map[string]exercise.Goal{"A12": {Range: -3}}}},
		"timeout":          {Tracker: exercise.Config{Room: "a"}, Timeout: -1},
	} {
		if s, err := exercise.NewSubscriber(cfg); err == nil || s != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// Nobody listens: one error that names the address.
	url := fmt.Sprintf("tcp://127.0.0.1:%d", testenv.FreePort(t))
	s, err := exercise.NewSubscriber(exercise.SubscriberConfig{Broker: url, Tracker: exercise.Config{Room: "a"}, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), url) {
		t.Errorf("run without broker: %v", err)
	}
}

// TestOneServiceCounts: of two services in a room one publishes; when it stops,
// the other goes on with the set, and what the broker keeps is the living one's.
func TestOneServiceCounts(t *testing.T) {
	b := startBroker(t)
	a := newApp(t, b, "app", "posefuse/room1/exercise/#")
	first, stopFirst := startSubscriber(t, b)
	a.await(t, "online", statusIs("online"))
	second, stopSecond := startSubscriber(t, b)
	testenv.Wait(t, "the second connection", func() bool { return second.Stats().Connects == 1 })
	time.Sleep(time.Second) // it listens for an owner, and asks for one where the broker was slow to tell
	asked := second.Stats().Published
	_, squats := set(1, 12, 5, sim.MotionOptions{})
	half := len(squats) / 2
	until := a.publishSet(t, first, squats[:half], 0)
	testenv.Wait(t, "the second service's poses", func() bool { return second.Stats().Poses == uint64(half) })
	if n := second.Stats().Published; n != asked {
		t.Errorf("the service that waits has published %d messages", n-asked)
	}
	if err := stopFirst(); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, "the second service to take over", func() bool { return second.Stats().Published > asked })
	a.publishSet(t, second, squats[half:], until)
	a.await(t, "5 repetitions by the second service", func(m mqtt.Message) bool {
		var e message.ExerciseEvent
		return strings.HasSuffix(m.Topic(), "/event") && json.Unmarshal(m.Payload(), &e) == nil && e.Repetitions == 5
	})
	late := newApp(t, b, "late", "posefuse/room1/exercise/status")
	late.await(t, "the second service's retained word", func(m mqtt.Message) bool { return m.Retained() && statusIs("online")(m) })
	if err := stopSecond(); err != nil {
		t.Fatal(err)
	}
}

// TestBadPosesAreRefused: skeletons that are none are counted as bad, and what
// the broker has kept is no pose of now.
func TestBadPosesAreRefused(t *testing.T) {
	b := startBroker(t)
	a := newApp(t, b, "app", "posefuse/room1/exercise/#")
	joint := "[0.1,0.2,3]"
	pose := func(joints string) string {
		return `{"schema":"posefuse.pose.v1","room":"room1","seq":1,"capture_ns":5,"frame":"camera","joint_order":"h36m17","joints_m":[` + joints + `]}`
	}
	must(t, a.client.Publish("posefuse/room1/pose", 1, true, pose(strings.Repeat(joint+",", 16)+joint)))
	sub, _ := startSubscriber(t, b)
	a.await(t, "online", statusIs("online"))
	list := strings.Repeat(joint+",", 16)
	bad := []string{
		pose(list + "[1,2]"), pose(strings.Repeat(joint+",", 15) + joint), pose(strings.Repeat(joint+",", 32) + joint),
		strings.Replace(pose(list+joint), "camera", "world", 1), strings.Replace(pose(list+joint), `"capture_ns":5,`, "", 1),
		pose("[0,0,3000],[0,0,3000],[0,0,3000],[0,0,3000],[0,0,3000],[0,0,3000],[0,0,3000],[0,0,3000],[0,-480,3000]" + strings.Repeat(",[0,0,3000]", 8)),
		"", "\x00\xff",
	}
	for _, text := range bad {
		must(t, a.client.Publish("posefuse/room1/pose", 1, false, text))
	}
	must(t, a.client.Publish("posefuse/room1/pose", 1, false, pose(list+"null")))
	testenv.Wait(t, "the good pose", func() bool { return sub.Stats().Poses == 1 })
	if st := sub.Stats(); st.Bad != uint64(len(bad)) || st.Retained > 1 {
		t.Errorf("%+v, want %d bad", st, len(bad))
	}
}

// TestPrepare: a reload changes what is said and looked for while a subscriber runs.
// What was ordered holds on unless the settings ask for something else; settings
// that cannot be used, or are those at work, change nothing.
func TestPrepare(t *testing.T) {
	b := startBroker(t)
	a := newApp(t, b, "app", "posefuse/room1/exercise/#")
	sub, _ := startSubscriber(t, b)
	a.await(t, "online", statusIs("online"))
	settings := func(edit func(*exercise.Config)) exercise.Config {
		c := exercise.Config{Room: "elsewhere", Goals: map[string]exercise.Goal{}}
		edit(&c)
		return c
	}
	german := func(c *exercise.Config) { c.Language = "de" }
	for name, step := range map[string]struct {
		edit func(*exercise.Config)
		want string
	}{
		"as it is": {func(*exercise.Config) {}, ""},
		"language": {func(c *exercise.Config) { c.Language = "tlh" }, "tlh"},
		"exercise": {func(c *exercise.Config) { c.Exercises = []string{"sqat"} }, "sqat"},
	} {
		apply, err := sub.Prepare(settings(step.edit))
		if apply != nil || (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) {
			t.Errorf("%s: something to do %v, %v", name, apply != nil, err)
		}
	}
	if _, err := sub.Take([]byte(`{"exercises":["A13"]}`)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		edit   func(*exercise.Config)
		name   string // of A13
		chosen int    // exercises
	}{
		{german, "Linke Hand heben", 1},
		{func(c *exercise.Config) { german(c); c.Exercises = []string{"A12", "A13"} }, "Linke Hand heben", 2},
		{func(c *exercise.Config) { c.Exercises = []string{"A12", "A13"}; c.SetRestS = 9 }, "raise hand left", 2},
	} {
		apply, err := sub.Prepare(settings(step.edit))
		if err != nil || apply == nil {
			t.Fatalf("something to do %v, %v", apply != nil, err)
		}
		apply()
		list, err := sub.List(nil)
		if err != nil || !strings.Contains(string(list), `"exercise":"A13","name":"`+step.name) || strings.Count(string(list), `"chosen":true`) != step.chosen {
			t.Errorf("want %q, %d chosen: %s, %v", step.name, step.chosen, list, err)
		}
		if apply, err = sub.Prepare(settings(step.edit)); apply != nil || err != nil {
			t.Errorf("the same once more: something to do %v, %v", apply != nil, err)
		}
	}
	_, squats := set(1, 12, 3, sim.MotionOptions{})
	a.publishSet(t, sub, squats, 0)
	testenv.Wait(t, "the last squat's poses", func() bool { return sub.Stats().Poses == uint64(len(squats)) })
	a.await(t, "3 squats", func(m mqtt.Message) bool {
		var e message.ExerciseEvent
		return strings.HasSuffix(m.Topic(), "/event") && json.Unmarshal(m.Payload(), &e) == nil && e.Exercise == "A12" && e.Repetitions == 3
	})
}

// TestOrder: what is looked for changes while a subscriber runs; a wrong order
// changes nothing and says why.
func TestOrder(t *testing.T) {
	b := startBroker(t)
	a := newApp(t, b, "app", "posefuse/room1/exercise/#")
	sub, _ := startSubscriber(t, b)
	a.await(t, "online", statusIs("online"))
	for text, want := range map[string]string{
		`{"exercises":["lunge"]}`:         "lunge left-front",
		`{"exercise":"squat"}`:            "unknown field",
		`{"targets":{"sqat":{}}}`:         "sqat",
		`{"exercises":["A12","squat"]}`:   "twice",
		`{"targets":{"A12":{"range":2}}}`: "not beyond",
	} {
		if reply, err := sub.Take([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v, want %q", text, reply, err, want)
		}
	}
	reply, err := sub.Take([]byte(`{"exercises":["raise hand left"],"targets":{"A13":{"repetitions":4}}}`))
	if err != nil || string(reply) != `{"exercises":["A13"]}` {
		t.Fatalf("%s, %v", reply, err)
	}
	list, err := sub.List(nil)
	if err != nil || strings.Count(string(list), `"chosen":true`) != 1 || !strings.Contains(string(list), `{"exercise":"A13","name":"raise hand left","chosen":true,"goal":{"repetitions":4},"value_unit":"deg"}`) {
		t.Errorf("%s, %v", list, err)
	}
	_, squats := set(1, 12, 3, sim.MotionOptions{})
	until := a.publishSet(t, sub, squats, 0)
	testenv.Wait(t, "the last squat's poses", func() bool { return sub.Stats().Poses == uint64(len(squats)) })
	_, raises := set(1, 13, 4, sim.MotionOptions{})
	a.publishSet(t, sub, raises, until)
	a.await(t, "4 of 4 raises", func(m mqtt.Message) bool {
		var e message.ExerciseEvent
		if !strings.HasSuffix(m.Topic(), "/event") || json.Unmarshal(m.Payload(), &e) != nil {
			return false
		}
		if e.Exercise != "A13" {
			t.Errorf("counted %s", e.Exercise)
		}
		return e.Repetitions == 4 && e.TargetRepetitions == 4
	})
}
