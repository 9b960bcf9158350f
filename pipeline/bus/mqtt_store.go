package bus

import (
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// packetStore is paho's store in memory, but keeps and hands out copies: after
// a reconnect paho reads the packets it finds there and marks them as repeated
// while its writer may be sending the same ones.
//
// It also tells when that reading is done. paho reports a connection before it,
// and what is published in between would be sent twice: by the caller, and from
// the store.
type packetStore struct {
	*mqtt.MemoryStore
	settled func()
}

// All returns the keys; paho asks for them once after each reconnect.
func (s packetStore) All() []string {
	keys := s.MemoryStore.All()
	s.settled()
	return keys
}

// Reset empties the store; paho does so once after the first connect.
func (s packetStore) Reset() {
	s.MemoryStore.Reset()
	s.settled()
}

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
