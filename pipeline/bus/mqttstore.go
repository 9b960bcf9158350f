package bus

import (
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// packetStore is paho's store in memory, but keeps and hands out copies: after
// a reconnect paho reads the packets it finds there and marks them as repeated
// while its writer may be sending the same ones.
type packetStore struct{ *mqtt.MemoryStore }

// Put keeps a copy of a publication, or the packet itself.
func (s packetStore) Put(key string, message packets.ControlPacket) {
	s.MemoryStore.Put(key, copyPublication(message))
}

// Get returns a copy of a stored publication, or the packet itself.
func (s packetStore) Get(key string) packets.ControlPacket {
	return copyPublication(s.MemoryStore.Get(key))
}

func copyPublication(m packets.ControlPacket) packets.ControlPacket {
	if p, ok := m.(*packets.PublishPacket); ok {
		c := *p
		return &c
	}
	return m
}
