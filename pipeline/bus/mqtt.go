package bus

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// Limits of the MQTT publisher.
const (
	mqttQueue    = 1024             // messages kept while the broker is away; the oldest give way
	mqttInFlight = 16               // sent and not acknowledged
	mqttTimeout  = 10 * time.Second // of connecting and writing
	mqttStop     = 2 * time.Second  // for the last message at shutdown
	mqttAttempts = 2 * time.Second  // longest pause between attempts to connect
)

// mqttMessage is one message on its way to a broker.
type mqttMessage struct {
	topic    string
	payload  []byte
	retained bool
}

// mqttPublisher sends messages to a broker from one goroutine, so that no
// caller ever waits for the network. Messages wait in a bounded queue while
// the broker is away; the retained status is sent again after every connect
// and overtakes the queue.
type mqttPublisher struct {
	client mqtt.Client
	log    *slog.Logger
	stop   context.CancelFunc
	done   chan struct{}
	// opened is closed with the first connection.
	opened chan struct{}

	mu        sync.Mutex
	wake      chan struct{} // capacity 1
	queue     []mqttMessage
	status    mqttMessage
	newStatus bool
	// announced is retained too and sent again after every connect, and when
	// somebody says "online" on birthTopic.
	announced   mqttMessage
	birthTopic  string
	newAnnounce bool
	up          bool // paho reports a connection
	settled     bool // and has read its store since
	dropped     uint64
	lastErr     string
}

type mqttOptions struct {
	url, user, password string
	tls                 *tls.Config
	clientPrefix        string
	will                mqttMessage
	log                 *slog.Logger
}

// newMQTTPublisher starts connecting and returns at once; it tries for ever.
func newMQTTPublisher(o mqttOptions) *mqttPublisher {
	ctx, stop := context.WithCancel(context.Background())
	p := &mqttPublisher{log: o.log, stop: stop, done: make(chan struct{}), opened: make(chan struct{}), wake: make(chan struct{}, 1)}
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails, see crypto/rand
	opts := mqtt.NewClientOptions().AddBroker(o.url).
		// Two clients with one id throw each other out, so the id is never reused.
		SetClientID(o.clientPrefix+"-"+hex.EncodeToString(id[:])).
		SetUsername(o.user).SetPassword(o.password).
		SetCleanSession(true).SetStore(packetStore{mqtt.NewMemoryStore(), p.onSettled}).
		SetReconnectingHandler(func(mqtt.Client, *mqtt.ClientOptions) { p.onReconnecting() }).
		SetAutoReconnect(true).SetConnectRetry(true).
		SetConnectRetryInterval(time.Second).SetMaxReconnectInterval(mqttAttempts).
		SetConnectTimeout(mqttTimeout).SetWriteTimeout(mqttTimeout).
		SetKeepAlive(10*time.Second).SetPingTimeout(5*time.Second).
		SetBinaryWill(o.will.topic, o.will.payload, 1, true).
		SetOnConnectHandler(func() mqtt.OnConnectHandler {
			first := sync.OnceFunc(func() { close(p.opened) })
			return func(mqtt.Client) { p.onConnect(); first() }
		}()).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { p.onLost(err) }).
		SetConnectionNotificationHandler(func(_ mqtt.Client, n mqtt.ConnectionNotification) {
			if f, ok := n.(mqtt.ConnectionNotificationFailed); ok {
				p.onLost(f.Reason)
			}
		})
	if o.tls != nil {
		opts.SetTLSConfig(o.tls)
	}
	p.client = mqtt.NewClient(opts)
	p.client.Connect() // with ConnectRetry its token ends only with success
	go p.run(ctx)
	return p
}

func (p *mqttPublisher) onConnect() {
	p.mu.Lock()
	p.up, p.lastErr = true, ""
	// The broker has published the will meanwhile; the status corrects it.
	p.newStatus = p.status.topic != ""
	p.newAnnounce = p.announced.topic != ""
	p.mu.Unlock()
	p.awaitBirth()
	p.signal()
}

// onSettled comes when paho will not read its store again for this connection.
func (p *mqttPublisher) onSettled() {
	p.mu.Lock()
	p.settled = true
	p.mu.Unlock()
	p.signal()
}

// onReconnecting comes before each attempt to connect again, in its goroutine.
func (p *mqttPublisher) onReconnecting() {
	p.mu.Lock()
	p.up, p.settled = false, false
	p.mu.Unlock()
}

// onLost comes in a goroutine of its own, possibly after the next connection.
func (p *mqttPublisher) onLost(err error) {
	p.mu.Lock()
	if p.client.IsConnectionOpen() {
		p.mu.Unlock()
		return
	}
	first := p.up || p.lastErr == ""
	p.up, p.settled = false, false
	p.lastErr = "connection lost"
	if err != nil {
		p.lastErr = err.Error()
	}
	p.mu.Unlock()
	if first {
		p.log.Warn("mqtt broker is away, trying again", "error", err)
	}
}

func (p *mqttPublisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// publish queues a message. It keeps payload and never waits.
func (p *mqttPublisher) publish(topic string, payload []byte) {
	p.mu.Lock()
	if len(p.queue) >= mqttQueue {
		p.queue = append(p.queue[:0], p.queue[1:]...)
		p.dropped++
	}
	p.queue = append(p.queue, mqttMessage{topic: topic, payload: payload})
	p.mu.Unlock()
	p.signal()
}

// publishStatus replaces the retained status.
func (p *mqttPublisher) publishStatus(topic string, payload []byte) {
	p.mu.Lock()
	p.status, p.newStatus = mqttMessage{topic: topic, payload: payload, retained: true}, true
	p.mu.Unlock()
	p.signal()
}

func (p *mqttPublisher) next() (mqttMessage, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.up || !p.settled {
		return mqttMessage{}, false
	}
	if p.newStatus {
		p.newStatus = false
		return p.status, true
	}
	if p.newAnnounce {
		p.newAnnounce = false
		return p.announced, true
	}
	if len(p.queue) == 0 {
		return mqttMessage{}, false
	}
	m := p.queue[0]
	p.queue = append(p.queue[:0], p.queue[1:]...)
	return m, true
}

// run sends what is queued, with acknowledgement (QoS 1): paho repeats what
// was in flight when a connection broke.
func (p *mqttPublisher) run(ctx context.Context) {
	defer close(p.done)
	var flying []mqtt.Token
	for {
		m, ok := p.next()
		if !ok {
			select {
			case <-p.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		for len(flying) > 0 {
			select {
			case <-flying[0].Done():
				p.note(flying[0].Error())
				flying = append(flying[:0], flying[1:]...)
				continue
			default:
			}
			if len(flying) < mqttInFlight {
				break
			}
			select {
			case <-flying[0].Done():
			case <-ctx.Done():
				return
			}
		}
		flying = append(flying, p.client.Publish(m.topic, 1, m.retained, m.payload))
	}
}

func (p *mqttPublisher) note(err error) {
	if err == nil {
		return
	}
	p.mu.Lock()
	p.dropped++
	p.mu.Unlock()
	p.log.Warn("mqtt broker did not take a message", "error", err)
}

// state returns whether the broker is connected, why not, and how many
// messages were lost.
func (p *mqttPublisher) state() (connected bool, lastErr string, dropped uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up, p.lastErr, p.dropped
}

// close publishes a last retained status and disconnects without the will.
func (p *mqttPublisher) close(topic string, last []byte) error {
	p.stop()
	<-p.done
	var err error
	if _, lastErr, _ := p.state(); lastErr == "" {
		// A daemon that stops while it starts has a last word too, unless the
		// broker has refused it.
		select {
		case <-p.opened:
		case <-time.After(mqttStop):
		}
	}
	if p.client.IsConnectionOpen() {
		t := p.client.Publish(topic, 1, true, last)
		if !t.WaitTimeout(mqttStop) {
			err = errors.New("mqtt broker did not take the last status in time")
		} else {
			err = t.Error()
		}
	}
	p.client.Disconnect(250)
	return err
}
