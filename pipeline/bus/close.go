package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"posefuse/message"
)

// lastWord is the time the embedded server gets to hand the stopped status to
// its subscribers; its acknowledgement only says that it is stored.
const lastWord = 100 * time.Millisecond

// Close publishes the stopped status, flushes, and waits for the embedded
// server to end. It may be called more than once.
func (b *Bus) Close() error {
	select {
	case <-b.closed:
		return nil
	default:
	}
	var errs []error
	if b.warden != nil {
		b.warden.close()
	}
	last, err := json.Marshal(message.Status{Schema: message.StatusSchema, Room: b.room, State: message.Stopped,
		Time: time.Now().UTC().Format(time.RFC3339), Parts: []message.PartHealth{}})
	if err != nil {
		panic(err) // the value above has no unmarshallable part
	}
	if b.retained == nil || b.external {
		if err := b.nc.Publish(b.subject+"status", last); err != nil {
			b.log.Warn("the last status was not sent", "error", err)
		}
	}
	if b.retained != nil {
		if err := b.retained.close(b.topic+"status", last); err != nil {
			b.log.Warn("the last status was not sent", "error", err)
		}
	}
	b.mu.Lock()
	if b.service != nil {
		errs = append(errs, b.service.Stop())
		b.service = nil
	}
	b.mu.Unlock()
	if b.nc.IsConnected() {
		// An external server may go away just now; that is no fault of closing.
		if err := b.nc.FlushTimeout(2 * time.Second); err != nil {
			b.log.Warn("the last messages may be lost", "error", err)
		}
	}
	if b.server != nil && b.retained != nil && b.nc.IsConnected() {
		if err := b.awaitStored(last); err != nil {
			b.log.Warn("the last status may not be kept", "error", err)
		}
	}
	b.nc.Close()
	<-b.closed
	if b.server != nil {
		if b.retained != nil {
			time.Sleep(lastWord)
		}
		b.server.stop()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close bus: %w", err)
	}
	return nil
}

// awaitStored waits, at most mqttStop, until the embedded server has stored
// the retained status: it acknowledges one before it writes it.
func (b *Bus) awaitStored(status []byte) error {
	js, err := b.nc.JetStream()
	if err != nil {
		return err
	}
	const stream = "$MQTT_rmsgs"
	for end := time.Now().Add(mqttStop); ; time.Sleep(10 * time.Millisecond) {
		m, err := js.GetLastMsg(stream, "$MQTT.rmsgs."+b.subject+"status")
		if err == nil && bytes.Equal(m.Data, status) {
			return nil
		}
		if time.Now().After(end) {
			if err == nil {
				err = errors.New("an older one is stored")
			}
			return fmt.Errorf("the retained status was not stored within %v: %w", mqttStop, err)
		}
	}
}
