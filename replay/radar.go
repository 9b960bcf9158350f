package replay

import (
	"errors"
	"fmt"
	"time"

	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/sensors/radar"
)

// RadarConfig is the fake mmWave radar on two pseudo-terminals.
type RadarConfig struct {
	// CommandPath and DataPath become symbolic links to the two terminals, so
	// that the driver's configuration names the same paths after a restart.
	CommandPath, DataPath string
	Baud                  int // of the data port; radar.DefaultDataBaud if 0
}

// radarSource is a clip that hands out its radar points directly.
type radarSource interface {
	Radar(i int, dst *sensors.RadarFrame) error
}

// radarFake is a radar with TI's out-of-box demo. Like the real one it is
// silent until its command port is told to start.
type radarFake struct {
	data    *ptyPort
	command *ptyPort
	cli     *radarCLI
	line    uartLine

	started    uint64 // the start of the demo that the counter belongs to
	firstIndex int64  // frame index at which that start, or a restart, took effect
	fresh      bool
	frame      recording.Frame
	points     sensors.RadarFrame
}

func newRadarFake(cfg RadarConfig) (*radarFake, error) {
	if cfg.CommandPath == "" || cfg.DataPath == "" || cfg.CommandPath == cfg.DataPath {
		return nil, errors.New("two different paths are needed for command and data port")
	}
	if cfg.Baud == 0 {
		cfg.Baud = radar.DefaultDataBaud
	}
	if cfg.Baud < 0 {
		return nil, fmt.Errorf("baud rate %d is negative", cfg.Baud)
	}
	return &radarFake{
		data: &ptyPort{link: cfg.DataPath}, command: &ptyPort{link: cfg.CommandPath},
		line: uartLine{bytesPerSecond: float64(cfg.Baud) / 10}, // 8N1: ten bits a byte
	}, nil
}

func (f *radarFake) inOrder() bool       { return true }
func (f *radarFake) begin(planned) error { return nil }
func (f *radarFake) restart()            { f.fresh = true }

func (f *radarFake) open() error {
	if err := f.data.open(); err != nil {
		return err
	}
	if err := f.command.open(); err != nil {
		f.data.close()
		return err
	}
	f.cli = newRadarCLI(f.command)
	return nil
}

func (f *radarFake) close() {
	f.command.close()
	f.cli.wait()
	f.data.close()
}

// units implements fake.
func (f *radarFake) units(dst []unit, c recording.Clip, i int, t *frameTime) ([]unit, error) {
	started := f.cli.running()
	if started == 0 {
		return dst, errIdle
	}
	if started != f.started || f.fresh {
		f.started, f.fresh, f.firstIndex = started, false, t.index
	}
	if absent(c, modality.Radar, i) {
		return dst, nil
	}
	if s, ok := c.(radarSource); ok {
		if err := s.Radar(i, &f.points); err != nil {
			return dst, err
		}
	} else {
		if err := readFrame(c, i, modality.Of(modality.Radar), &f.frame); err != nil {
			return dst, err
		}
		f.points.Points = f.points.Points[:0]
		for row := f.frame.MmWave; len(row) >= mmfi.MmWaveColumns; row = row[mmfi.MmWaveColumns:] {
			f.points.Points = append(f.points.Points, sensors.RadarPoint{
				X: float32(row[0]), Y: float32(row[1]), Z: float32(row[2]), Doppler: float32(row[3]), SNRdB: float32(row[4]),
			})
		}
	}
	out := radar.Frame{
		FrameNumber: uint32(t.index - f.firstIndex + 1),
		CPUCycles:   uint32(t.deviceNS(0) / int64(time.Second/radar.DefaultCPUHz)),
	}
	for _, p := range f.points.Points {
		// The wire has no place for a point that is not a number.
		if sensors.Finite(p.X, p.Y, p.Z, p.Doppler, p.SNRdB) {
			out.Points = append(out.Points, radar.PointFromSensor(p))
		}
	}
	b, err := radar.AppendFrame(nil, &out)
	return append(dst, unit{data: b}), err
}

// send writes a frame at the speed of the line.
func (f *radarFake) send(data []byte) error { return f.line.write(f.data, data) }

// uartLine paces bytes to a baud rate.
type uartLine struct {
	bytesPerSecond float64
	free           time.Time // when the byte sent last has left
}

// uartChunk is how many bytes are written at a time: 0.7 ms at 921600 baud.
const uartChunk = 64

// write sends all of data. The first byte leaves at once if the line is free;
// no byte arrives earlier than on a real line.
func (l *uartLine) write(p *ptyPort, data []byte) error {
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	for len(data) > 0 {
		n := min(len(data), uartChunk)
		l.free = l.free.Add(time.Duration(float64(n) / l.bytesPerSecond * float64(time.Second)))
		time.Sleep(time.Until(l.free))
		if err := p.write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
