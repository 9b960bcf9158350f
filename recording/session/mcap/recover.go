package mcap

import (
	"io"
	"maps"
)

// recoverChunk is when a chunk of a recovered file is ended, uncompressed bytes.
const recoverChunk = 4 << 20

// Recover writes what Read finds in a file as a new one that is whole. The report
// is that of the file read; equal files give equal ones.
func Recover(f io.ReaderAt, size int64, to io.Writer) (Report, error) {
	first, err := Read(f, size, Options{}, Handler{})
	if err != nil {
		return first, err
	}
	w, err := NewWriter(to, first.Profile, first.Library)
	if err != nil {
		return first, err
	}
	c := copier{w: w, schemas: map[*Schema]uint16{}, channels: map[*Channel]uint16{}}
	report, err := Read(f, size, Options{}, Handler{Message: c.message, Attachment: w.Attach, Metadata: w.AddMetadata})
	if err == nil {
		err = w.Close()
	}
	return report, err
}

// copier gives what one file holds to the writer of another.
type copier struct {
	w        *Writer
	schemas  map[*Schema]uint16
	channels map[*Channel]uint16
	newest   *Channel
	id       uint16
}

func (c *copier) message(s *Schema, ch *Channel, m *Message) error {
	if ch != c.newest {
		id, err := c.channel(s, ch)
		if err != nil {
			return err
		}
		c.newest, c.id = ch, id
	}
	out := *m
	out.ChannelID = c.id
	if err := c.w.Write(&out); err != nil || c.w.Pending() < recoverChunk {
		return err
	}
	return c.w.Flush()
}

// channel returns the number that a channel has in the new file. Chunks describe
// their channels anew: equal ones are one.
func (c *copier) channel(s *Schema, ch *Channel) (uint16, error) {
	if id, ok := c.channels[ch]; ok {
		return id, nil
	}
	for other, id := range c.channels {
		if other.ID == ch.ID && other.Topic == ch.Topic && other.MessageEncoding == ch.MessageEncoding && other.SchemaID == ch.SchemaID && maps.Equal(other.Metadata, ch.Metadata) {
			delete(c.channels, other) // its memory is not used again
			c.channels[ch] = id
			return id, nil
		}
	}
	var schema uint16
	if s != nil {
		var ok bool
		if schema, ok = c.known(s); !ok {
			var err error
			if schema, err = c.w.AddSchema(s.Name, s.Encoding, s.Data); err != nil {
				return 0, err
			}
			c.schemas[s] = schema
		}
	}
	id, err := c.w.AddChannel(schema, ch.Topic, ch.MessageEncoding, ch.Metadata)
	c.channels[ch] = id
	return id, err
}

func (c *copier) known(s *Schema) (uint16, bool) {
	for other, id := range c.schemas {
		if other.ID == s.ID && other.Name == s.Name && other.Encoding == s.Encoding {
			return id, true
		}
	}
	return 0, false
}
