package exercise

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posefuse/message"
)

// Quality of service and retention of the subscriber's messages.
//
//	posefuse/<room>/pose             subscribed, QoS 0: a lost pose is replaced 0.1 s later
//	posefuse/<room>/exercise/event   QoS 1, not retained: an old count must not greet a new app
//	posefuse/<room>/exercise/summary QoS 1, retained: an app that starts later shows the last set
//	posefuse/<room>/exercise/live    QoS 0, not retained: the next one comes 0.1 s later
//	posefuse/<room>/exercise/status  QoS 1, retained: online, stopped, or offline by last will
const (
	poseQoS     = 0
	resultQoS   = 1
	eventKept   = false
	summaryKept = true
	statusKept  = true
)

// leaveMS is how long the broker may take to hear that the client leaves, before it
// would publish the last will over the last word.
const leaveMS = 5000

const (
	inboxPoses    = 64  // poses waiting for the tracker; the oldest gives way
	outboxResults = 256 // results waiting for the broker; the oldest gives way
)

// SubscriberConfig configures a Subscriber. Zero values take the defaults.
type SubscriberConfig struct {
	Broker   string // MQTT address, default "tcp://127.0.0.1:1883"
	ClientID string // unique per broker; default "posefuse-exercise-<room>-<random>"
	Username string
	Password string
	TLS      *tls.Config // for ssl:// brokers; nil trusts the system's authorities
	// Timeout bounds every wait for the broker, default 5 s.
	Timeout time.Duration
	// Retry keeps trying to reach the broker at start; without it Run returns
	// the error. A connection lost later is always taken up again.
	Retry bool
	// Heartbeat is how often the owner of a room says that it counts, default
	// 10 s.
	Heartbeat time.Duration
	// Live also publishes where the movement is, with each pose, for screens.
	Live    bool
	Tracker Config       // Tracker.Room is required
	Log     *slog.Logger // default slog.Default()
}

// SubscriberStats counts what a Subscriber did.
type SubscriberStats struct {
	Poses       uint64 // taken from the broker
	Bad         uint64 // messages that are no pose of this room and schema
	Retained    uint64 // poses that the broker had kept: nobody does that now
	Dropped     uint64 // poses given up because the tracker was behind
	Published   uint64 // results the broker confirmed
	Unconfirmed uint64 // results not confirmed in time or given up; those sent go out after a reconnect
	Connects    uint64 // connections with the subscription in place
	Sets        uint64 // published as summaries
	Repetitions uint64 // in those
}

// Subscriber is the exercise checker as an MQTT client: it reads poses and
// publishes exercise events and summaries.
type Subscriber struct {
	cfg     SubscriberConfig
	tracker *Tracker
	prefix  string // posefuse/<room>

	inbox    chan input
	outbox   chan result
	failed   chan error    // the subscription is refused
	orders   chan *Tracker // to go on with
	arrived  chan struct{} // connected, with the subscription in place
	owner    owner
	hears    atomic.Bool             // something came through a subscription since the connection
	hearing  chan struct{}           // it is the first
	refused  atomic.Bool             // the subscription, with Retry
	chosen   atomic.Pointer[choice]  // what is looked for
	ordering sync.Mutex              // who changes that; of ordered
	ordered  *Order                  // what was asked for last, nil: nothing
	settings atomic.Pointer[Tracker] // of its settings: those that orders begin with
	model    atomic.Pointer[string]  // sha256 of the model whose figures are known

	poses, bad, retained, dropped, published, unconfirmed, connects, sets, repetitions atomic.Uint64
	lastBadLog                                                                         atomic.Int64
}

// input is what the tracker gets: a pose, or what is known of the model.
type input struct {
	pose    *message.Pose
	figures *Figures
}

// result is a message for the broker.
type result struct {
	topic  string
	retain bool
	text   []byte
}

// NewSubscriber checks the configuration; it does not connect.
func NewSubscriber(cfg SubscriberConfig) (*Subscriber, error) {
	room := cfg.Tracker.Room
	if room == "" || strings.ContainsAny(room, "/+#. \t") {
		return nil, fmt.Errorf("exercise subscriber: room is %q, give a name without spaces, dots and any of / + #", room)
	}
	if cfg.Broker == "" {
		cfg.Broker = "tcp://127.0.0.1:1883"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Timeout < 0 {
		return nil, fmt.Errorf("exercise subscriber: timeout is %v, give a positive duration", cfg.Timeout)
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 10 * time.Second
	}
	if cfg.ClientID == "" {
		var id [4]byte
		if _, err := rand.Read(id[:]); err != nil {
			return nil, fmt.Errorf("exercise subscriber: client id: %w", err)
		}
		cfg.ClientID = "posefuse-exercise-" + room + "-" + hex.EncodeToString(id[:])
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Subscriber{
		cfg: cfg, prefix: "posefuse/" + room,
		inbox:  make(chan input, inboxPoses),
		outbox: make(chan result, outboxResults),
		failed: make(chan error, 1), orders: make(chan *Tracker, 1), arrived: make(chan struct{}, 1), hearing: make(chan struct{}, 1),
	}
	s.owner.id = cfg.ClientID
	var err error
	s.tracker, err = NewTracker(cfg.Tracker, s)
	if err != nil {
		return nil, err
	}
	s.settings.Store(s.tracker)
	s.chosen.Store(s.tracker.choice())
	return s, nil
}

// Stats returns the counters.
func (s *Subscriber) Stats() SubscriberStats {
	return SubscriberStats{
		Poses: s.poses.Load(), Bad: s.bad.Load(), Retained: s.retained.Load(), Dropped: s.dropped.Load(),
		Published: s.published.Load(), Unconfirmed: s.unconfirmed.Load(), Connects: s.connects.Load(), Sets: s.sets.Load(), Repetitions: s.repetitions.Load(),
	}
}

// Run connects and works until ctx ends, then ends the running set, publishes
// its summary and disconnects. It returns nil after ctx ended, and an error if
// the broker does not let it read the poses. Run at most once.
func (s *Subscriber) Run(ctx context.Context) error {
	client := mqtt.NewClient(s.options())
	if err := s.connect(ctx, client); err != nil {
		client.Disconnect(0)
		if ctx.Err() == nil {
			return err
		}
		return nil // stopped while connecting: what was asked
	}
	var sending sync.WaitGroup
	last := make(chan struct{})
	sending.Go(func() { s.send(client, last) })
	beat := time.NewTicker(s.cfg.Heartbeat)
	defer beat.Stop()
	settle := time.NewTimer(time.Hour)
	defer settle.Stop()
	deaf := time.NewTimer(time.Hour)
	defer deaf.Stop()
	var refused error
	for ctx.Err() == nil && refused == nil {
		select {
		case in := <-s.inbox:
			if in.figures != nil {
				s.tracker.SetFigures(*in.figures)
			} else {
				s.tracker.Pose(in.pose)
			}
		case next := <-s.orders:
			s.obey(next)
		case refused = <-s.failed:
		case <-s.arrived:
			settle.Reset(settleTime)
		case <-settle.C:
			s.settle()
			deaf.Reset(s.cfg.Timeout)
		case <-s.hearing:
			s.settle()
		case <-deaf.C:
			s.deaf()
		case <-beat.C:
			s.heartbeat(client)
		case <-ctx.Done():
		}
	}
	s.tracker.Stop()
	if refused == nil {
		s.leave()
	}
	close(last)
	sending.Wait()
	client.Disconnect(leaveMS)
	return refused
}

func (s *Subscriber) options() *mqtt.ClientOptions {
	will := s.statusResult(message.Offline, time.Now())
	opts := mqtt.NewClientOptions()
	if s.cfg.TLS != nil {
		opts.SetTLSConfig(s.cfg.TLS)
	}
	return opts.
		AddBroker(s.cfg.Broker).
		SetClientID(s.cfg.ClientID).
		SetUsername(s.cfg.Username).SetPassword(s.cfg.Password).
		SetCleanSession(true).
		SetAutoReconnect(true).SetMaxReconnectInterval(5*time.Second).
		SetConnectTimeout(s.cfg.Timeout).SetWriteTimeout(s.cfg.Timeout).
		SetKeepAlive(10*time.Second).SetPingTimeout(s.cfg.Timeout).
		SetBinaryWill(will.topic, will.text, resultQoS, statusKept).
		SetOnConnectHandler(s.connected).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) {
			s.cfg.Log.Warn("connection to the broker lost, reconnecting", "broker", s.cfg.Broker, "error", err)
		})
}

// connect makes the first connection.
func (s *Subscriber) connect(ctx context.Context, client mqtt.Client) error {
	for try := 0; ; try++ {
		token := client.Connect()
		err := error(nil)
		if !token.WaitTimeout(s.cfg.Timeout) {
			err = fmt.Errorf("no answer within %v", s.cfg.Timeout)
		} else {
			err = token.Error()
		}
		if err == nil {
			return nil
		}
		err = fmt.Errorf("mqtt broker %s: %w; is the daemon running, and is this its MQTT address?", s.cfg.Broker, err)
		if !s.cfg.Retry {
			return err
		}
		if try == 0 {
			s.cfg.Log.Warn("waiting for the broker", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

// errUnconfirmed is what a token that ran out of time gives.
var errUnconfirmed = errors.New("not confirmed in time")

func wait(token mqtt.Token, timeout time.Duration) error {
	if !token.WaitTimeout(timeout) {
		return errUnconfirmed
	}
	return token.Error()
}

// Event queues an exercise event for publication.
func (s *Subscriber) Event(e *message.ExerciseEvent) {
	if s.owner.counts() {
		s.queue("/exercise/event", eventKept, e)
	}
}

// Summary queues a set's summary for publication.
func (s *Subscriber) Summary(m *message.ExerciseSummary) {
	if s.owner.counts() {
		s.sets.Add(1)
		s.repetitions.Add(uint64(max(m.Repetitions, 0)))
		s.queue("/exercise/summary", summaryKept, m)
	}
}

// Notice logs what the tracker says about the poses, and tells it in the status
// where it keeps from counting right.
func (s *Subscriber) Notice(code, text string) {
	s.cfg.Log.Warn(text, "code", code, "room", s.cfg.Tracker.Room)
	if code == noticeTwoDaemons {
		s.trouble(code, text)
	}
}

func (s *Subscriber) queue(what string, retain bool, message any) {
	text, err := json.Marshal(message)
	if err != nil {
		s.unconfirmed.Add(1)
		s.cfg.Log.Error("message cannot be encoded", "topic", s.prefix+what, "error", err)
		return
	}
	s.put(result{s.prefix + what, retain, text})
}

// put adds to the outbox; a full one gives up its oldest result.
func (s *Subscriber) put(r result) {
	for {
		select {
		case s.outbox <- r:
			return
		default:
		}
		select {
		case <-s.outbox:
			s.unconfirmed.Add(1)
		default:
		}
	}
}

// send publishes results in order until the outbox is closed. While the broker
// send publishes results, one after the other, until last is closed and
// everything before it is sent.
func (s *Subscriber) send(client mqtt.Client, last <-chan struct{}) {
	for {
		select {
		case r := <-s.outbox:
			s.publish(client, r)
		case <-last:
			for {
				select {
				case r := <-s.outbox:
					s.publish(client, r)
				default:
					return
				}
			}
		}
	}
}

func (s *Subscriber) publish(client mqtt.Client, r result) {
	if r.topic == s.prefix+liveTopic {
		client.Publish(r.topic, poseQoS, false, r.text)
		return
	}
	if err := wait(client.Publish(r.topic, resultQoS, r.retain, r.text), s.cfg.Timeout); err != nil {
		s.unconfirmed.Add(1)
		s.cfg.Log.Warn("result not confirmed by the broker", "topic", r.topic, "error", err)
		return
	}
	s.published.Add(1)
}
