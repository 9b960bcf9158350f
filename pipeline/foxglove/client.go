package foxglove

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/coder/websocket"
)

// opMessageData begins a binary message with data.
const opMessageData = 1

// levelError is that of a status that tells a client of its mistake.
const levelError = 2

// client is one program. Of each channel it has the newest message waiting, so that a
// slow one holds up nobody and takes little memory. The server's lock guards it.
type client struct {
	subs    [numChannels]subscription
	pending [numChannels][]byte // frames
	notes   [][]byte            // statuses
	wake    chan struct{}       // capacity 1: something waits
}

// subscription is what a client calls its interest in a channel.
type subscription struct {
	id uint32
	on bool
}

// request is a client's message. What else the protocol knows is not offered here.
type request struct {
	Op            string `json:"op"`
	Subscriptions []struct {
		ID        uint32 `json:"id"`
		ChannelID int64  `json:"channelId"`
	} `json:"subscriptions"`
	SubscriptionIDs []uint32 `json:"subscriptionIds"`
}

// read takes a client's messages until it leaves.
func (s *server) read(ctx context.Context, conn *websocket.Conn, c *client) {
	for {
		kind, b, err := conn.Read(ctx)
		if err != nil {
			return
		}
		problems := []string{"nothing can be published here"}
		if kind == websocket.MessageText {
			problems = s.take(c, b)
		}
		s.tell(c, problems)
	}
}

// take does what a message asks for and returns what is wrong with it.
func (s *server) take(c *client, b []byte) (problems []string) {
	var q request
	if err := json.Unmarshal(b, &q); err != nil {
		return []string{"not understood: " + err.Error()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.listen()
	switch q.Op {
	case "subscribe":
		for _, want := range q.Subscriptions {
			if problem := s.subscribe(c, want.ID, want.ChannelID-1); problem != "" {
				problems = append(problems, problem)
			}
		}
	case "unsubscribe":
		for _, id := range q.SubscriptionIDs {
			i := c.find(id)
			if i < 0 {
				problems = append(problems, fmt.Sprintf("there is no subscription %d", id))
				continue
			}
			c.subs[i], c.pending[i] = subscription{}, nil
			s.wanted[i]--
		}
	default:
		problems = []string{fmt.Sprintf("%.40q is not offered here", q.Op)}
	}
	return problems
}

func (s *server) subscribe(c *client, id uint32, i int64) string {
	switch {
	case i < 0 || i >= numChannels:
		return fmt.Sprintf("there is no channel %d", i+1)
	case c.subs[i].on:
		return fmt.Sprintf("channel %d is subscribed to already", i+1)
	case c.find(id) >= 0:
		return fmt.Sprintf("subscription %d is in use", id)
	}
	c.subs[i] = subscription{id, true}
	s.wanted[i]++
	return ""
}

// find returns the channel of a subscription, -1 if there is none.
func (c *client) find(id uint32) int {
	for i, sub := range c.subs {
		if sub.on && sub.id == id {
			return i
		}
	}
	return -1
}

// tell queues statuses for a client, as many as there is room for.
func (s *server) tell(c *client, problems []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range problems {
		text, err := json.Marshal(map[string]any{"op": "status", "level": levelError, "message": p})
		if err == nil && len(c.notes) < maxNotes {
			c.notes = append(c.notes, text)
		}
	}
	c.awake()
}

func (c *client) awake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// give queues a channel's newest message for all who want it. The caller holds the
// lock.
func (s *server) give(channel int, text []byte) {
	now := uint64(time.Now().UnixNano())
	for c := range s.clients {
		if !c.subs[channel].on {
			continue
		}
		frame := append(make([]byte, 0, 13+len(text)), opMessageData)
		frame = binary.LittleEndian.AppendUint32(frame, c.subs[channel].id)
		frame = binary.LittleEndian.AppendUint64(frame, now)
		c.pending[channel] = append(frame, text...)
		c.awake()
	}
}

// write sends what waits until the client leaves or takes nothing more.
func (s *server) write(ctx context.Context, conn *websocket.Conn, c *client) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		s.mu.Lock()
		notes, frames := c.notes, c.pending
		c.notes, c.pending = nil, [numChannels][]byte{}
		s.mu.Unlock()
		for _, note := range notes {
			if write(ctx, conn, websocket.MessageText, note) != nil {
				return
			}
		}
		for _, frame := range frames {
			if frame != nil && write(ctx, conn, websocket.MessageBinary, frame) != nil {
				return
			}
		}
	}
}
