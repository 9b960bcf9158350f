package bus

import (
	"encoding/json"
	"fmt"
	"strings"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats-server/v2/server"
)

// birth is the last level of the topic on which Home Assistant says that it is there,
// and that it is.
const (
	birth       = "status"
	birthOnline = "online"
)

// checkPrefix reports why a discovery prefix cannot be the first level of a topic.
func checkPrefix(prefix string) error {
	if err := CheckRoom(prefix); err != nil || prefix == "posefuse" {
		return fmt.Errorf("%q cannot be the first level of topics; write homeassistant, or leave it empty", prefix)
	}
	return nil
}

// component is an entity of a device in Home Assistant's MQTT discovery.
type component struct {
	Platform      string `json:"p"`
	UniqueID      string `json:"unique_id"`
	Name          string `json:"name"`
	StateTopic    string `json:"state_topic"`
	ValueTemplate string `json:"value_template"`
	DeviceClass   string `json:"device_class,omitempty"`
	Unit          string `json:"unit_of_measurement,omitempty"`
	StateClass    string `json:"state_class,omitempty"`
	Icon          string `json:"icon,omitempty"`
	Category      string `json:"entity_category,omitempty"`
	Attributes    string `json:"json_attributes_topic,omitempty"`
	ExpireS       int    `json:"expire_after,omitempty"`
}

// discovery is the message that makes a room a device in Home Assistant: its MQTT
// integration's device discovery.
func (b *Bus) discovery(sensors []string) (mqttMessage, error) {
	id := "posefuse_" + b.room
	list := map[string]component{}
	add := func(key string, c component) {
		c.UniqueID = id + "_" + key
		c.StateTopic = b.topic + c.StateTopic
		if c.Attributes != "" {
			c.Attributes = b.topic + c.Attributes
		}
		list[key] = c
	}
	const diagnostic = "diagnostic"
	add("presence", component{
		Platform: "binary_sensor", Name: "Somebody there", DeviceClass: "occupancy", StateTopic: "pose", ExpireS: 30,
		ValueTemplate: "{{ 'ON' if (value_json.presence if value_json.presence is not none else (1 if value_json.joints_m else 0)) > 0.5 else 'OFF' }}",
	})
	add("exercise", component{
		Platform: "sensor", Name: "Exercise", StateTopic: "exercise/event", Icon: "mdi:human-handsup",
		ValueTemplate: "{{ value_json.name if value_json.type != 'end' else 'none' }}",
	})
	add("repetitions", component{
		Platform: "sensor", Name: "Repetitions", StateTopic: "exercise/event", Icon: "mdi:counter", StateClass: "measurement",
		Unit: "repetitions", ValueTemplate: "{{ value_json.repetitions }}",
	})
	add("last_set", component{
		Platform: "sensor", Name: "Last set", StateTopic: "exercise/summary", Icon: "mdi:clipboard-check",
		ValueTemplate: "{{ value_json.repetitions }} × {{ value_json.name }}", Attributes: "exercise/summary",
	})
	add("problem", component{
		Platform: "binary_sensor", Name: "Problem", DeviceClass: "problem", StateTopic: "status", Category: diagnostic,
		ValueTemplate: "{{ 'ON' if value_json.parts | selectattr('severity', 'ne', 'ok') | list else 'OFF' }}",
	})
	add("rate", component{
		Platform: "sensor", Name: "Poses", DeviceClass: "frequency", Unit: "Hz", StateClass: "measurement", StateTopic: "status", Category: diagnostic,
		ValueTemplate: "{{ value_json.fps | round(1) }}",
	})
	for _, s := range sensors {
		add("sensor_"+s, component{
			Platform: "binary_sensor", Name: strings.ToUpper(s[:1]) + s[1:], DeviceClass: "connectivity", StateTopic: "sensor/" + s, Category: diagnostic, ExpireS: 30,
			ValueTemplate: "{{ 'ON' if value_json.state == 'live' else 'OFF' }}",
		})
	}
	payload, err := json.Marshal(map[string]any{
		"dev": map[string]any{"ids": id, "name": "posefuse " + b.room, "mf": "posefuse", "sw": b.version},
		"o":   map[string]any{"name": "posefuse", "sw": b.version},
		"availability": []map[string]string{{
			"topic": b.topic + "status", "value_template": "{{ 'online' if value_json.state == 'online' else 'offline' }}",
		}},
		"qos":  1,
		"cmps": list,
	})
	return mqttMessage{topic: b.cfg.MQTT.DiscoveryPrefix + "/device/" + id + "/config", payload: payload, retained: true}, err
}

// announce makes the room a device, if that is on.
func (b *Bus) announce(sensors []string) error {
	prefix := b.cfg.MQTT.DiscoveryPrefix
	if prefix == "" {
		return nil
	}
	m, err := b.discovery(sensors)
	if err != nil {
		return fmt.Errorf("bus.mqtt.discovery_prefix: %w", err)
	}
	b.retained.announce(m, prefix+"/"+birth)
	return nil
}

// announce publishes the retained message after every connection and whenever
// something says "online" on the topic.
func (p *mqttPublisher) announce(m mqttMessage, onlineTopic string) {
	p.mu.Lock()
	p.announced, p.birthTopic, p.newAnnounce = m, onlineTopic, true
	up := p.up
	p.mu.Unlock()
	p.signal()
	if up {
		p.awaitBirth()
	}
}

// awaitBirth subscribes for the current connection.
func (p *mqttPublisher) awaitBirth() {
	p.mu.Lock()
	topic := p.birthTopic
	p.mu.Unlock()
	if topic == "" {
		return
	}
	p.client.Subscribe(topic, 1, func(_ mqtt.Client, m mqtt.Message) {
		if string(m.Payload()) != birthOnline {
			return
		}
		p.mu.Lock()
		p.newAnnounce = true
		p.mu.Unlock()
		p.signal()
	})
}

// discoverable adds to what a role may do what Home Assistant does: read what is
// announced, and say that it is there.
func discoverable(p *server.Permissions, prefix string) *server.Permissions {
	if prefix == "" || p.Subscribe == nil || len(p.Subscribe.Allow) == 1 { // a detector reads nothing
		return p
	}
	p.Subscribe.Allow = append(p.Subscribe.Allow, prefix, prefix+".>")
	if len(p.Publish.Allow) == 0 {
		p.Publish.Deny = nil // of a viewer: all; what is not allowed is denied all the same
	}
	p.Publish.Allow = append(p.Publish.Allow, prefix+"."+birth)
	return p
}
